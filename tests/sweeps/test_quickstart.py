"""The quickstart keeps README's promises: `pytest -m slow`, about four minutes on two cores."""

import os
import subprocess
import sys
from pathlib import Path

import faults
import pytest

from sweeps.results import Results
from sweeps.tracking import default_uri

FILE = Path(__file__).parents[2] / "search_spaces" / "quickstart.yaml"

pytestmark = [
    pytest.mark.slow,
    # As in test_tracking.py: MLflow 3.17 asks SQLAlchemy 2.1 for what that will drop.
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
]


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    storage = tmp_path_factory.mktemp("quickstart") / "runs"
    subprocess.run(
        [sys.executable, "-m", "sweeps.cli", "run", str(FILE), "--storage", str(storage)],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "GANSWEEP_CACHE": str(cache)},
    )
    return storage


def test_every_arm_draws_digits_and_half_of_the_epochs_are_saved(storage: Path) -> None:
    results = Results.read(storage / "quickstart")
    assert results.exit_code == 0
    assert results.epochs_done <= results.epochs_planned / 2
    assert len(results.leaderboard) == 4
    # Below about 3 on these features a person reads the samples as digits; above 20 not.
    assert all(
        trials[0].best is not None and trials[0].best < 4 for _, trials in results.leaderboard
    )


def test_it_is_sound_and_mlflow_has_every_point_of_the_journal_and_no_other(storage: Path) -> None:
    faults.assert_sound(storage / "quickstart", store=default_uri(storage))
