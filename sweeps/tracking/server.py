"""MLflow's own pages on what the sweeps wrote, for this machine alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from types import FrameType
from urllib.parse import quote

from sweeps.children import python
from sweeps.errors import EnvironmentTrouble, UserError
from sweeps.tracking.address import artifact_folder, clear_quoted, database_file, default_uri
from sweeps.tracking.ports import HOST, checked_port, free_port
from sweeps.tracking.store import experiment_name

READY_SECONDS = 120
SETTINGS = {
    # A module that lies where one stands is not MLflow's.
    "PYTHONSAFEPATH": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Seven queue workers that only MLflow's language-model pages would use.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    # A model is a program, and a stranger's is a stranger's.
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
}
FOREIGN = ("MLFLOW_", "_MLFLOW_", "UVICORN_", "GUNICORN_", "FORWARDED_ALLOW_IPS")
"""Beginnings of variables that could open this server; they are meant for another one."""


def serve(storage: Path, port: int | None = None) -> None:
    """Shows the default store of a storage folder until Ctrl-C; says where in one line.

    Args:
        port: None takes the first that is free.

    Raises:
        UserError: No sweep has written to the store yet.
        EnvironmentTrouble: The port is in use, or the server ended by itself.
    """
    if not database_file(storage).is_file():
        raise UserError(f"no sweep has written to {database_file(storage)} yet")
    port = free_port() if port is None else checked_port(port)
    log = storage / "mlflow-ui.log"
    with log.open("wb") as stream:
        server = subprocess.Popen(
            _command(storage, port),
            env=_environment(),
            # Uvicorn imports from where it stands before anywhere else.
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        with suppress(KeyboardInterrupt):
            address = _address_when_ready(server, port, log)
            clear_quoted(default_uri(storage))
            print(f"MLflow on {storage}, until Ctrl-C: {address}", flush=True)
            server.wait()
            raise EnvironmentTrouble(f"MLflow's server ended by itself; see {log}")
    finally:
        signal.signal(signal.SIGTERM, before)
        _end(server)


def _environment() -> dict[str, str]:
    own = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN)}
    return {**own, **SETTINGS}


def _command(storage: Path, port: int) -> list[str]:
    # Names in full: MLflow's own list has `10.*`, which every `10.evil.com` matches.
    names = [f"{host}:{port}" for host in (HOST, "localhost")]
    options = {
        "--backend-store-uri": default_uri(storage),
        "--artifacts-destination": artifact_folder(storage).as_uri(),
        "--host": HOST,
        "--port": str(port),
        "--workers": "1",
        "--allowed-hosts": ",".join(names),
        "--cors-allowed-origins": ",".join(f"http://{name}" for name in names),
    }
    return [
        python(),
        "-m",
        "mlflow",
        "server",
        *(w for pair in options.items() for w in pair),
    ]


def _address_when_ready(server: subprocess.Popen[bytes], port: int, log: Path) -> str:
    """Where the sweeps are shown, as soon as the server answers."""
    address = f"http://{HOST}:{port}"
    query = f"experiments/get-by-name?experiment_name={quote(experiment_name())}"
    until = time.monotonic() + READY_SECONDS
    # Without a proxy that the environment may name: this is a talk with ourselves.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < until and server.poll() is None:
        try:
            with opener.open(f"{address}/api/2.0/mlflow/{query}", timeout=5) as answer:
                number = json.load(answer)["experiment"]["experiment_id"]
            return f"{address}/#/experiments/{number}/runs?workflowType=machine_learning"
        except urllib.error.HTTPError:  # It answers, and knows of no sweep yet.
            return address
        except OSError:
            time.sleep(0.2)
    raise EnvironmentTrouble(f"MLflow's server did not start; see {log}")


def _end(server: subprocess.Popen[bytes]) -> None:
    """Ends the server with its workers, which are all in its process group."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(server.pid, how)
        with suppress(subprocess.TimeoutExpired):
            server.wait(5)
            return


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
