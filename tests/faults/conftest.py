"""What every test of a fault leaves as it was."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from served import served

import faults
import gancore.training

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
