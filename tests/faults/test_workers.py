"""What dies in a sweep that runs through Ray, in one session for all tests of this file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import faults
from faults import act
from sweeps import Options, run, tracking

# MLflow 3.17 asks SQLAlchemy 2.1 for what that will drop; nothing of ours can help it.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")


@pytest.fixture(scope="module", autouse=True)
def ray_session() -> Iterator[None]:
    from sweeps.cluster import connected

    with connected(None, verbose=False):
        yield


@pytest.mark.slow
def test_a_killed_worker_costs_its_trial_the_epoch_in_flight_and_the_others_nothing(
    tmp_path: Path,
) -> None:
    file = faults.scripted(tmp_path / "killed", {(0, 3): act.kill()})
    calm = faults.planned(faults.scripted(tmp_path / "calm"))
    faults.play(calm)
    results = run(file, Options(storage=tmp_path / "runs"))
    assert results.exit_code == 0
    killed, other = results.trials.values()
    assert [start["from_epoch"] for start in killed.starts] == [0, 2]
    assert [start["from_epoch"] for start in other.starts] == [0]
    store = tracking.default_uri(results.folder.parent)
    faults.assert_sound(results.folder, calm, store=store)
