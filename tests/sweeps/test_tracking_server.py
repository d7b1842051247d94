"""The uploader as a process of its own, MLflow servers, and the pages that `ui` shows."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from served import served
from written_sweep import (
    COMPLETED,
    DIVERGED,
    FAILED,
    LEFT,
    STOPPED,
    client_at,
    client_of,
    drive,
    journalled,
    points_of,
    runs_of,
    tell,
)

from sweeps import tracking
from sweeps.errors import EnvironmentTrouble, UserError
from sweeps.folder import owned
from sweeps.tracking.ports import checked_port, free_port
from sweeps.tracking.uploader import Uploader

# MLflow 3.17 asks SQLAlchemy 2.1 for what that will drop; nothing of ours can help it.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")


@pytest.fixture(scope="module")
def server(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What `gansweep ui` starts, on an empty store."""
    storage = tmp_path_factory.mktemp("server")
    shutil.copy(empty_database, storage / "mlflow.db")
    with served(storage) as address:
        yield address
    # Nothing of the process group may be left.
    with pytest.raises(OSError, match="refused"):
        fetch(address)


def fetch(address: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(address, timeout=10) as page:
        content: bytes = page.read()
    return content


def test_the_pages_are_served_on_loopback(server: str) -> None:
    assert server.startswith("http://127.0.0.1:")
    assert b"<title>MLflow</title>" in fetch(server)


def test_a_server_gets_the_same_points_and_pictures(sweep: Path, server: str) -> None:
    tracking.sync(sweep, server)
    client = client_at(server)
    runs = runs_of(client)
    for uid in (COMPLETED, STOPPED, DIVERGED, LEFT, FAILED):
        assert points_of(client, runs[uid]) == journalled(sweep, uid)
    assert len(client.list_artifacts(runs[COMPLETED].info.run_id, "images")) == 6
    assert runs[LEFT].info.status == "KILLED"


def test_a_server_that_is_away_costs_little_and_loses_nothing(sweep: Path, storage: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead = f"http://alice:s3cret@127.0.0.1:{unused.getsockname()[1]}"
        uploader = Uploader(sweep, dead)
        trouble = uploader.pass_once()
        assert trouble is not None
        assert not trouble.lasting
        assert "refused" in trouble.message
        assert "s3cret" not in trouble.message
        with pytest.raises(EnvironmentTrouble, match="refused"):
            tracking.sync(sweep, dead)
    tracking.sync(sweep, tracking.default_uri(storage))
    assert len(runs_of(client_of(sweep))) == 6


def test_a_server_that_refuses_us_is_not_asked_again(sweep: Path) -> None:
    from werkzeug.serving import make_server

    def refuse(_environ: Any, start: Any) -> list[bytes]:
        start("403 Forbidden", [("Content-Type", "text/plain")])
        return [b"Invalid Host header - possible DNS rebinding attack detected"]

    refusing = make_server("127.0.0.1", 0, refuse)
    thread = Thread(target=refusing.serve_forever, daemon=True)
    thread.start()
    trouble = Uploader(sweep, f"http://127.0.0.1:{refusing.server_port}").pass_once()
    refusing.shutdown()
    thread.join()
    refusing.server_close()
    assert trouble is not None
    assert trouble.lasting
    assert "--allowed-hosts" in trouble.message


def test_a_password_is_neither_stored_nor_told(sweep: Path, server: str) -> None:
    address = server.replace("http://", "http://alice:s3cret@")
    assert Uploader(sweep, address).pass_once() is None
    assert list(json.loads((sweep / "tracking.json").read_text())) == [
        server.replace("http://", "http://alice@")
    ]
    for path in sweep.rglob("*"):
        assert path.is_dir() or b"s3cret" not in path.read_bytes()
    assert tracking.redacted("postgresql://u:p%40w@h:5/db?password=x") == "postgresql://u@h:5/db"


@pytest.mark.parametrize("uri", ["runs/mlruns", "file:///tmp/mlruns", "ftp://host", ""])
def test_what_cannot_be_a_store_is_refused_at_once(sweep: Path, uri: str) -> None:
    with pytest.raises(UserError, match="tracking-uri"):
        tracking.start_uploader(sweep, uri)


def test_the_process_follows_a_sweep_to_its_end_in_silence(
    sweep: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    drive(sweep, "sweep", state="running")
    with owned(sweep):
        process = tracking.start_uploader(sweep, tracking.default_uri(sweep.parent))
        tell(sweep, LEFT, [3.0], first=2)
        until = time.monotonic() + 60
        while not (sweep / "tracking.json").is_file() and time.monotonic() < until:
            time.sleep(0.1)
        assert process.running
        tell(sweep, LEFT, [2.0], first=3)
        drive(sweep, "sweep", state="interrupted")
    assert tracking.wait(process, 60)
    client = client_of(sweep)
    run = runs_of(client)[LEFT]
    assert points_of(client, run) == journalled(sweep, LEFT)
    assert run.info.status == "KILLED"
    assert capfd.readouterr() == ("", "")
    assert (sweep / "tracking.log").read_text() == ""


def test_a_process_that_gives_up_says_so_in_one_line(
    sweep: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead = f"http://alice:s3cret@127.0.0.1:{unused.getsockname()[1]}"
        with owned(sweep):
            drive(sweep, "sweep", state="running")
            process = tracking.start_uploader(sweep, dead)
            command = Path(f"/proc/{process.pid}/cmdline")
            assert not command.exists() or b"s3cret" not in command.read_bytes()
            log, until = sweep / "tracking.log", time.monotonic() + 60
            while not (log.is_file() and "refused" in log.read_text()):
                assert time.monotonic() < until
                time.sleep(0.1)
            assert not tracking.wait(process, 0.1)
    assert not process.running
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "gansweep sync digits" in err
    assert "s3cret" not in err + (sweep / "tracking.log").read_text()


def test_a_port_in_use_is_passed_over() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) > port


def test_a_port_that_was_asked_for_is_not_passed_over_and_its_holder_is_named(
    storage: Path,
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(EnvironmentTrouble, match=rf"--port {port} .* process {os.getpid()} \("):
            tracking.serve(storage, port)
    assert checked_port(port) == port


def test_pages_are_refused_where_nothing_was_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no sweep has written"):
        tracking.serve(tmp_path, 5000)
