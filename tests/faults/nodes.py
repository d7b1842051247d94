"""A Ray cluster of several nodes on this machine, each of which can be killed or drained."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from faults import growing
from faults.commands import KEPT, ROOT, parent
from faults.wires import Wires

START_SECONDS = 60
RAY = str(Path(sys.executable).with_name("ray"))


class Nodes:
    """A running cluster: a head without CPUs, and nodes with some.

    Args:
        environment: What a driver needs to be let in.
    """

    def __init__(self, address: str, environment: Mapping[str, str]) -> None:
        self.address = address
        self.environment = dict(environment)

    def kill_under(self, worker: int) -> int:
        """SIGKILL to the raylet that started a worker; the worker lives on until it notices."""
        raylet = parent(worker)
        assert raylet > 1, f"process {worker} is no more"  # 0 would be all of our own group.
        os.kill(raylet, signal.SIGKILL)
        return raylet

    def drain(self, node: str, seconds: int) -> None:
        """Tells the cluster that a node is taken away after so long, as a cloud does."""
        words = ["drain-node", "--address", self.address, "--node-id", node]
        words += ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "a test"]
        words += ["--deadline-remaining-seconds", str(seconds)]
        subprocess.run([RAY, *words], env=self.environment, check=True, capture_output=True)


@dataclass(frozen=True)
class Node:
    """A node that is unlike the others.

    Args:
        words: More for `ray start`.
        environment: Laid over that of the others.
        without: A folder that is another, empty one there: for this the test must be root.
    """

    cpus: int = 1
    words: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    without: Path | None = None

    @property
    def prefix(self) -> list[str]:
        """What its command runs under."""
        if self.without is None:
            return []
        script = 'mount -t tmpfs none "$0" && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", script, str(self.without)]


@contextmanager
def nodes(
    wanted: Sequence[int | Node],
    wires: Wires | None = None,
    *,
    grows: Mapping[str, Mapping[str, float]] | None = None,
    most: int = 3,
) -> Iterator[Nodes]:
    """Starts a head and a node for each number of CPUs; what is left of them at the end is killed.

    Ray's sockets need a short path, so its folder is not the test's.

    Args:
        wires: Nodes run on these machines, each with its own address.
        grows: By name, kinds of nodes that the autoscaler may start, and what a node of each has.
        most: How many of each it may start.
    """
    workers = [node if isinstance(node, Node) else Node(node) for node in wanted]
    folder = Path(tempfile.mkdtemp(prefix="gs"))
    environment = {key: os.environ[key] for key in KEPT if key in os.environ}
    environment |= {
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
        "LC_ALL": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    port = _free_port()
    host = wires.host if wires else "127.0.0.1"
    address = f"{host}:{port}"
    head = ["--head", "--port", str(port), "--num-cpus", "0", "--include-dashboard", "false"]
    head += ["--temp-dir", str(folder / "ray")]
    own_environment: Mapping[str, str] = {}
    if grows:
        own_environment = growing.ENVIRONMENT
        head += ["--autoscaling-config", growing.written(folder, address, grows, most)]
    starts = [(Node(0, environment=own_environment), [], host, head)]
    for machine, node in enumerate(workers):
        inside = wires.inside(machine) if wires else []
        own = wires.addresses[machine] if wires else host
        words = ["--address", address, "--num-cpus", str(node.cpus), *node.words]
        starts.append((node, inside, own, words))
    running: list[subprocess.Popen[bytes]] = []
    try:
        for number, (node, inside, own, words) in enumerate(starts):
            log = folder / f"node{number}"
            with log.open("wb") as stream:
                running.append(
                    subprocess.Popen(
                        [
                            *inside,
                            *node.prefix,
                            RAY,
                            "start",
                            "--block",
                            "--node-ip-address",
                            own,
                            *words,
                        ],
                        env={**environment, **node.environment},
                        stdin=subprocess.DEVNULL,
                        stdout=stream,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                )
            _wait_for(log, running[-1])
        yield Nodes(address, environment)
    finally:
        for process in running:
            _end(process)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(log: Path, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    while "Ray runtime started" not in log.read_text(errors="replace"):
        assert process.poll() is None, log.read_text(errors="replace")
        assert time.monotonic() < until, log.read_text(errors="replace")
        time.sleep(0.1)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a node by its session: each has one of its own."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
