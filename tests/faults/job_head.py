"""The head of a cluster with its job server, as `ray start --head` makes it on a machine."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from faults.commands import KEPT, ROOT
from faults.nodes import RAY, _end, _free_port, _wait_for


class Head(NamedTuple):
    """A head that runs.

    Args:
        address: Of its job server.
        environment: What a client needs to be let in.
    """

    address: str
    environment: dict[str, str]


@contextmanager
def job_head(cpus: int) -> Iterator[Head]:
    """A head with room for trials, and a token; neither Python nor gansweep are on its PATH.

    Ray's sockets need a short path, so its folder is not the test's.
    """
    folder = Path(tempfile.mkdtemp(prefix="gs"))
    environment = {key: os.environ[key] for key in KEPT if key in os.environ}
    others = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p != str(ROOT)]
    environment |= {
        "HOME": str(folder),
        "PATH": os.defpath,
        "PYTHONPATH": os.pathsep.join(others),
        "LC_ALL": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    port, dashboard = _free_port(), _free_port()
    words = ["--head", "--block", "--node-ip-address", "127.0.0.1", "--port", str(port)]
    words += ["--dashboard-port", str(dashboard), "--dashboard-agent-listen-port", "0"]
    words += ["--num-cpus", str(cpus), "--temp-dir", str(folder / "ray")]
    words += ["--ray-client-server-port", str(_free_port())]
    log = folder / "head"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [RAY, "start", *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_for(log, process)
        token = {"RAY_AUTH_TOKEN": environment["RAY_AUTH_TOKEN"]}
        address = f"http://127.0.0.1:{dashboard}"
        yield Head(address, {**token, "RAY_API_SERVER_ADDRESS": address})
    finally:
        _end(process)
        shutil.rmtree(folder, ignore_errors=True)
