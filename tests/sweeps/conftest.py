"""A trained sweep."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from trained_sweep import RUNS, train_sweep


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained once a session; who writes into it takes `trained`."""
    return train_sweep(tmp_path_factory.mktemp("trained") / "small", list(RUNS))


@pytest.fixture
def trained(trained_once: Path, tmp_path: Path) -> Path:
    """A copy to write into."""
    return Path(shutil.copytree(trained_once, tmp_path / "small"))
