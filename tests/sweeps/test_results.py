"""What a journal says of a sweep."""

import csv
import math
from pathlib import Path
from typing import Any

import pytest

from sweeps import SweepSpec, journal, make_plan
from sweeps.journal import Journal
from sweeps.results import Results

SWEEP: dict[str, Any] = {
    "name": "small",
    "base": {"data": "digits", "model": "mlp", "epochs": 4},
    "scientific": {"loss.name": ["hinge", "minimax"]},
    "nuisance": {"generator.lr": {"log_uniform": [1e-4, 1e-3]}},
    "search": {"trials_each": 3},
    "objective": {"samples": 500},
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    make_plan(SweepSpec.of(SWEEP)).write(tmp_path)
    return tmp_path


def tell(place: Path, uid: str, scores: list[float], **end: str) -> None:
    with Journal(place, uid) as log:
        log.append("start", trial=uid, attempt=1)
        for epoch, score in enumerate(scores, start=1):
            log.append("epoch", trial=uid, attempt=1, epoch=epoch, values={"fid500": score})
        if end:
            log.append("end", trial=uid, epoch=len(scores), **end)


def drive(place: Path, *records: dict[str, Any]) -> None:
    with Journal(place, journal.DRIVER) as log:
        for record in records:
            log.append(**record)


def test_a_sweep_is_told_by_its_journal_alone(place: Path) -> None:
    done = {"state": "completed", "verdict": "healthy", "reason": "all epochs trained"}
    tell(place, "000-hinge", [9.0, 5.0, 7.0, 6.0], **done)
    tell(place, "001-minimax", [8.0])
    tell(place, "002-hinge", [math.nan], state="diverged", verdict="diverged", reason="loss is nan")
    tell(place, "003-minimax", [4.0, math.inf])
    drive(
        place,
        {"kind": "sweep", "state": "running"},
        {"kind": "stop", "trial": "001-minimax", "epoch": 1, "reason": "asha: rung 1"},
    )
    results = Results.read(place)
    states = {uid: r.state for uid, r in results.trials.items()}
    assert states == {
        "000-hinge": "completed",
        "001-minimax": "stopped",
        "002-hinge": "diverged",
        "003-minimax": "running",
        "004-hinge": "waiting",
        "005-minimax": "waiting",
    }
    first = results.trials["000-hinge"]
    assert (first.best, first.best_epoch, first.epoch) == (5.0, 2, 4)
    assert [arm for arm, _ in results.leaderboard] == ["minimax", "hinge"]
    assert [r.trial.uid for r in results.leaderboard[1][1]] == [
        "000-hinge",
        "002-hinge",
        "004-hinge",
    ]
    assert results.best is not None
    assert results.best.trial.uid == "003-minimax"
    assert results.epochs_done == 8
    assert results.epochs_planned == 24
    assert results.exit_code == 130

    drive(place, {"kind": "sweep", "state": "interrupted"})
    results.refresh()
    assert results.trials["003-minimax"].state == "interrupted"


def test_an_epoch_done_again_after_a_crash_counts_once(place: Path) -> None:
    tell(place, "000-hinge", [9.0, 5.0])
    with Journal(place, "000-hinge") as log:
        log.append("start", trial="000-hinge", attempt=2)
        log.append("epoch", trial="000-hinge", attempt=2, epoch=2, values={"fid500": 5.0})
        log.append("epoch", trial="000-hinge", attempt=2, epoch=3, values={"fid500": 6.0})
    assert [p.epoch for p in Results.read(place).trials["000-hinge"].points] == [1, 2, 3]


@pytest.mark.parametrize(("failed", "code"), [(False, 0), (True, 4)])
def test_the_exit_code_says_whether_trials_failed(place: Path, failed: bool, code: int) -> None:
    for number, uid in enumerate(Results.read(place).trials):
        state = "failed" if failed and number == 0 else "diverged"
        tell(place, uid, [1.0], state=state, verdict=state, reason="")
    assert Results.read(place).exit_code == code


def test_the_table_is_safe_to_open_in_a_spreadsheet(place: Path) -> None:
    tell(place, "000-hinge", [1.5], state="failed", verdict="failed", reason="=cmd()")
    with Results.read(place).write_csv().open() as stream:
        rows = list(csv.DictReader(stream))
    assert rows[0]["reason"] == "'=cmd()"
    assert float(rows[0]["best_fid500"]) == 1.5
    assert float(rows[0]["generator.lr"]) > 0
    assert rows[5]["best_fid500"] == ""
