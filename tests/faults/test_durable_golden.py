"""Sweeps that earlier versions wrote are read and go on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from counted_sweep import attempt, curve, ran

from gancore.training import checkpoint
from sweeps import journal
from sweeps.journal import Journal
from sweeps.results import Results
from sweeps.troubles import troubles

GOLDEN = Path(__file__).with_name("golden")
COMPLETED, DIVERGED, STOPPED, LEFT = (f"{number:03d}-hinge" for number in range(4))
SCORES = {
    COMPLETED: [10.035, 5.035, 3.3684, 2.535],
    DIVERGED: [10.0165],
    STOPPED: [10.0588, 5.0588],
    LEFT: [10.0132, 5.0132],
}


@pytest.fixture(params=sorted(path.name for path in GOLDEN.iterdir()))
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return Path(shutil.copytree(GOLDEN / request.param, tmp_path / "golden"))


def test_a_sweep_of_an_earlier_format_reads_as_it_did(place: Path) -> None:
    """C8."""
    results = Results.read(place)
    assert results.state == "interrupted"
    assert {uid: r.state for uid, r in results.trials.items()} == {
        COMPLETED: "completed",
        DIVERGED: "diverged",
        STOPPED: "stopped",
        LEFT: "interrupted",
    }
    for uid, result in results.trials.items():
        scores = [round(value, 4) for _, value in curve(result) if value == value]
        assert scores == SCORES[uid]
    assert results.trials[DIVERGED].epoch == 2
    assert troubles(results) == []
    assert journal.sweep_id(place) is not None


def test_a_sweep_of_an_earlier_format_goes_on(place: Path) -> None:
    """C8: from the checkpoint that it left, and its old records stay what they were."""
    before = Results.read(place)
    identity = journal.sweep_id(place)
    with Journal(place, journal.DRIVER) as log:
        log.append("sweep", state="running", id=identity)
    assert journal.sweep_id(place) == identity
    result = ran(place, LEFT)
    assert (result.state, result.starts[-1]["from_epoch"]) == ("completed", 2)
    assert result.starts[-1]["troubles"] == []
    assert result.points[:2] == before.trials[LEFT].points
    for uid in (COMPLETED, DIVERGED):
        lines = (journal.journal_folder(place) / f"{uid}.jsonl").read_bytes()
        assert len(list(attempt(place, uid))) == 1
        assert (journal.journal_folder(place) / f"{uid}.jsonl").read_bytes() == lines
    for path in place.glob("trials/*/checkpoints/*.pt"):
        checkpoint.load(path)
    assert troubles(Results.read(place)) == []
