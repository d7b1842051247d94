"""The map of failures: which verdicts a sweep's trials have, and where in the space they live."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sweeps import SweepSpec, make_plan
from sweeps.ailments import ailment_table, ailments
from sweeps.journal import Journal
from sweeps.plan import Plan
from sweeps.results import Results

SWEEP: dict[str, Any] = {
    "name": "ill",
    "base": {"data": "digits", "model": "mlp", "epochs": 4},
    "scientific": {"loss.name": ["hinge", "minimax"]},
    "nuisance": {
        "generator.lr": {"log_uniform": [1e-5, 1e-1]},
        "model.norm": {"choice": ["none", "layer"]},
        "discriminator.lr": {"same_as": "generator.lr", "times": 4},
    },
    "search": {"trials_each": 12},
    "objective": {"samples": 500},
}


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Rates from 1e-2 diverge, and minimax with layer norm collapses."""
    plan = make_plan(SweepSpec.of(SWEEP))
    plan.write(tmp_path)
    for trial in plan.trials:
        with Journal(tmp_path, trial.uid) as log:
            log.append("start", trial=trial.uid, attempt=1)
            for epoch in range(1, 5):
                told = {"verdict": verdict(plan, trial.uid), "evidence": "planted"}
                log.append("epoch", trial=trial.uid, epoch=epoch, values={"fid500": 9.0}, **told)
    return Results.read(tmp_path)


def verdict(plan: Plan, uid: str) -> str:
    trial = plan.trial(uid)
    if trial.varied["generator.lr"] > 1e-2:
        return "diverged"
    if trial.arm == "minimax" and trial.varied["model.norm"] == "layer":
        return "collapsed"
    return "healthy"


def test_each_failure_is_told_with_what_its_trials_have_in_common(results: Results) -> None:
    diverged, collapsed = ailments(results)
    assert diverged.verdict == "diverged"
    rates = [results.plan.trial(uid).varied["generator.lr"] for uid in diverged.trials]
    assert len(rates) >= 2
    assert diverged.arms == {"hinge": len(rates) // 2, "minimax": len(rates) // 2}
    assert diverged.where[0] == f"generator.lr {min(rates):.3g} .. {max(rates):.3g}"
    assert not any(told.startswith("discriminator.lr") for told in diverged.where)
    assert min(rates) > 1e-2

    assert collapsed.verdict == "collapsed"
    assert set(collapsed.arms) == {"minimax"}
    assert "model.norm layer" in collapsed.where


def test_what_is_all_over_the_space_is_not_said_to_live_anywhere(results: Results) -> None:
    for result in results.trials.values():
        result.verdict = "slow"
    (slow,) = ailments(results)
    assert len(slow.trials) == len(results.trials)
    assert slow.where == ()


def test_a_healthy_sweep_has_no_map(results: Results) -> None:
    for result in results.trials.values():
        result.verdict = "healthy"
    assert ailments(results) == []


def test_the_table_has_a_row_a_verdict(results: Results) -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(ailment_table(ailments(results)))
    lines = console.export_text().splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["verdict", "diverged"]
    assert any(line.startswith("collapsed") and "minimax" in line for line in lines)
