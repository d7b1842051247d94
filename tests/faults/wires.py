"""Network namespaces with a wire each to one bridge, so that a node can be cut off and not killed.

Needs root and `ip`; whoever has neither is told by `possible`.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


class Wires:
    """Machines on this machine: each has an address of its own.

    Args:
        net: The first three numbers of all addresses; the host is `.1`, machine k is `.10 + k`.
    """

    def __init__(self, name: str, net: str, count: int) -> None:
        self.host = f"{net}.1"
        self.addresses = [f"{net}.{10 + k}" for k in range(count)]
        self._name = name

    def inside(self, machine: int) -> list[str]:
        """What stands before a command that runs on a machine."""
        return ["ip", "netns", "exec", self._of(machine)]

    def machine_of(self, pid: int) -> int:
        """The machine that a process runs on."""
        own = os.stat(f"/proc/{pid}/ns/net").st_ino
        machines = range(len(self.addresses))
        return next(k for k in machines if os.stat(f"/run/netns/{self._of(k)}").st_ino == own)

    def cut(self, machine: int) -> None:
        """Takes the wire of a machine out; its processes live on."""
        _ip("link", "set", f"{self._of(machine)}h", "down")

    def mend(self, machine: int) -> None:
        _ip("link", "set", f"{self._of(machine)}h", "up")

    def lay(self) -> None:
        bridge = f"{self._name}b"
        _ip("link", "add", bridge, "type", "bridge")
        _ip("addr", "add", f"{self.host}/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        for machine, address in enumerate(self.addresses):
            space = self._of(machine)
            _ip("netns", "add", space)
            _ip("link", "add", f"{space}h", "type", "veth", "peer", "name", "eth0", "netns", space)
            _ip("link", "set", f"{space}h", "master", bridge)
            _ip("link", "set", f"{space}h", "up")
            _ip("-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
            _ip("-n", space, "link", "set", "eth0", "up")
            _ip("-n", space, "link", "set", "lo", "up")

    def clear(self) -> None:
        for machine in range(len(self.addresses)):
            _ip("netns", "del", self._of(machine), check=False)
        _ip("link", "del", f"{self._name}b", check=False)

    def _of(self, machine: int) -> str:
        return f"{self._name}m{machine}"


def possible() -> bool:
    """Whether this user may lay wires."""
    name = _name()
    try:
        made = _ip("netns", "add", name, check=False)
    except FileNotFoundError:
        return False
    _ip("netns", "del", name, check=False)
    return made == 0


@contextmanager
def wired(count: int) -> Iterator[Wires]:
    """So many machines, each on a wire of its own; gone at the end."""
    wires = Wires(_name(), f"10.77.{os.getpid() % 250}", count)
    try:
        wires.lay()
        yield wires
    finally:
        wires.clear()


def _name() -> str:
    return f"gs{os.getpid() % 100_000}"  # Names of links have at most 15 letters.


def _ip(*words: str, check: bool = True) -> int:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
    return done.returncode
