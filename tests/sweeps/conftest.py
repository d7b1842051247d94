"""A hand-written sweep, a trained one, and MLflow's tables for them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from trained_sweep import RUNS, train_sweep
from written_sweep import (
    write_sweep,
)

from sweeps import tracking


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's tables take two seconds to make; they are made once and copied."""
    from sweeps.tracking.store import Store

    storage = tmp_path_factory.mktemp("template")
    assert Store(tracking.default_uri(storage), storage).client.search_experiments()
    return storage / "mlflow.db"


@pytest.fixture
def storage(tmp_path: Path, empty_database: Path) -> Path:
    folder = tmp_path / "my runs"
    folder.mkdir()
    shutil.copy(empty_database, folder / "mlflow.db")
    return folder


@pytest.fixture
def sweep(storage: Path) -> Path:
    return write_sweep(storage / "digits")


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained once a session; who writes into it takes `trained`."""
    return train_sweep(tmp_path_factory.mktemp("trained") / "small", list(RUNS))


@pytest.fixture
def trained(trained_once: Path, tmp_path: Path) -> Path:
    """A copy to write into."""
    return Path(shutil.copytree(trained_once, tmp_path / "small"))
