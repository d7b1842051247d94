"""What tests share: one cache of prepared data, and one thread, as a Ray trial has."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from written_sweep import write_sweep

from sweeps import tracking

# A shell in the background, and `nohup`, have them ignored, and so would all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Before any worker starts: with it every Ray worker would compile all that it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder of the tests' own, prepared once a session."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANSWEEP_CACHE", str(folder))
        # Where it is noted whose plug-ins may run.
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield folder


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
