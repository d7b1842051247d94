"""A hand-written sweep, and MLflow's tables for it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
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
