"""What tests of faults find, and what each of them leaves as it was."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from commanded import TEXT
from served import served

import faults
import gancore.training
from faults import job_server as served_jobs
from sweeps import door, sweep

TRAIN = gancore.training.train


@pytest.fixture(autouse=True)
def nothing_stays_swapped() -> Iterator[None]:
    """Whoever imports a scripted sweep's plug-in, to build its report say, swaps training for good:
    it is back after the test."""
    yield
    gancore.training.train = TRAIN


@pytest.fixture(scope="module")
def server(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An MLflow server on an empty store."""
    storage = tmp_path_factory.mktemp("server")
    shutil.copy(empty_database, storage / "mlflow.db")
    with served(storage) as address:
        yield address.partition("/#")[0]


@pytest.fixture
def proxy(server: str) -> Iterator[faults.Proxy]:
    """What stands before it and can fail."""
    with faults.Proxy(server) as standing:
        yield standing


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "q.yaml"
    path.write_text(TEXT)
    return path


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that a command does but training and MLflow."""
    monkeypatch.setattr(sweep, "_train", lambda *_: None)
    monkeypatch.setattr(sweep.tracking, "start_uploader", lambda *_: None)
    monkeypatch.setattr(sweep.tracking, "wait", lambda *_: True)


@pytest.fixture
def job_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[served_jobs.Server]:
    """A job server that asks for the token of this test's environment."""
    for name in (door.MODE, door.TOKEN_PATH):
        monkeypatch.setenv(name, "")  # So that what is set is taken back.
        monkeypatch.delenv(name)
    monkeypatch.setenv(door.TOKEN, served_jobs.TOKEN)
    with served_jobs.job_server() as running:
        monkeypatch.setenv("RAY_API_SERVER_ADDRESS", f"http://127.0.0.1:{running.server_port}")
        yield running
