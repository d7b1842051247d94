"""The quickstart keeps README's promises: `pytest -m slow`, about four minutes on two cores."""

import os
import subprocess
import sys
from pathlib import Path

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


def test_mlflow_has_every_point_of_the_journal_and_no_other(storage: Path) -> None:
    from mlflow import MlflowClient

    results = Results.read(storage / "quickstart")
    client = MlflowClient(default_uri(storage))
    experiments = [e.experiment_id for e in client.search_experiments()]
    runs = {r.info.run_name: r for r in client.search_runs(experiments, max_results=1000)}
    for uid, result in results.trials.items():
        (run,) = [r for name, r in runs.items() if name and uid in name]
        for key in run.data.metrics:
            history = client.get_metric_history(run.info.run_id, key)
            told = [(m.step, m.timestamp, m.value) for m in history]
            journalled = [
                (p.epoch, p.time_ms, p.values[key]) for p in result.points if key in p.values
            ]
            assert sorted(told) == journalled, (uid, key)
        assert {k for p in result.points for k in p.values} <= run.data.metrics.keys()
