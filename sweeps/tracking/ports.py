"""Ports of this machine: which is free, and who holds one that is not."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

from sweeps.errors import EnvironmentTrouble

HOST = "127.0.0.1"
FIRST_PORT = 5000
PORTS_TRIED = 20
_LISTENING = "0A"


def free_port(first: int = FIRST_PORT) -> int:
    """The first port from a given one on that nobody listens on.

    Raises:
        EnvironmentTrouble: They are all taken.
    """
    for port in range(first, min(first + PORTS_TRIED, 65536)):
        if _is_free(port):
            return port
    raise EnvironmentTrouble(
        f"ports {first} to {first + PORTS_TRIED - 1} are in use: choose one with --port"
    )


def checked_port(port: int) -> int:
    """A port that was asked for by its number.

    Raises:
        EnvironmentTrouble: It is in use; the message says by whom.
    """
    if _is_free(port):
        return port
    raise EnvironmentTrouble(
        f"--port {port} is in use by {holder(port)}: end that, or choose another"
    )


def holder(port: int) -> str:
    """The process that listens on a port, as far as this user may know."""
    sockets = {f"socket:[{inode}]" for inode in _listening(port)}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if any(os.readlink(handle) in sockets for handle in (process / "fd").iterdir()):
                words = (process / "cmdline").read_bytes().split(b"\0")
                command = b" ".join(words).decode(errors="replace").strip()
                return f"process {process.name} ({command[:60]})"
    return "a process of another user"


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the server will: a port that is only waiting out its last connection is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _listening(port: int) -> set[str]:
    """The inodes of the sockets that listen on a port, of any address."""
    found = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in Path("/proc/net", table).read_text().splitlines()[1:]:
                fields = line.split()
                if int(fields[1].rpartition(":")[2], 16) == port and fields[3] == _LISTENING:
                    found.add(fields[9])
    return found
