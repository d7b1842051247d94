"""What a sweep has cost: added up by arm, and what was spared at each trial's own price."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sweeps import SweepSpec, journal, make_plan
from sweeps.journal import Journal
from sweeps.receipt import Cost, clock, costs, receipt
from sweeps.results import Results
from sweeps.settings import Confirm, Resources

SWEEP: dict[str, Any] = {
    "name": "spent",
    "base": {"data": "digits", "model": "mlp", "epochs": 10},
    "scientific": {"loss.name": ["hinge", "minimax"]},
    "nuisance": {"generator.lr": {"log_uniform": [1e-5, 1e-4]}},
    "search": {"trials_each": 2},
    "objective": {"samples": 500},
    "resources": {"gpu": 0.5},
}


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Of hinge one trial of 10 epochs and one stopped after 4; of minimax one that broke."""
    make_plan(SweepSpec.of(SWEEP)).write(tmp_path)
    for uid, epochs, each in (("000-hinge", 10, 90.0), ("002-hinge", 4, 60.0)):
        with Journal(tmp_path, uid) as log:
            for epoch in range(1, epochs + 1):
                values = {"fid500": 9.0, "seconds_training": each - 1, "seconds_evaluation": 1.0}
                log.append("epoch", trial=uid, epoch=epoch, values=values)
            if epochs == 10:
                log.append("end", trial=uid, state="completed", verdict="healthy", reason="")
    with Journal(tmp_path, "001-minimax") as log:
        log.append("end", trial="001-minimax", state="failed", verdict="failed", reason="")
    with Journal(tmp_path, journal.DRIVER) as log:
        log.append("stop", trial="002-hinge", epoch=4, reason="asha")
    return Results.read(tmp_path)


def test_arms_are_added_up_and_what_was_spared_costs_what_it_would_have(results: Results) -> None:
    assert costs(results) == [
        Cost("hinge", search=10 * 90 + 4 * 60, confirm=0, spared=6 * 60, gpu_seconds=570),
        Cost("minimax", search=0, confirm=0, spared=0),
    ]


def test_the_table_has_gpu_hours_where_there_were_gpus(results: Results) -> None:
    console = Console(width=80, record=True)
    console.print(receipt(results))
    rows = [line.split() for line in console.export_text().splitlines()]
    assert rows[0] == ["cost", "search", "spared", "GPU-hours"]
    assert rows[1] == ["hinge", "19:00", "6:00", "0.16"]
    assert rows[-1] == ["all", "19:00", "6:00", "0.16"]


def test_the_table_tells_of_confirmations_where_there_are_any(results: Results) -> None:
    results.plan = replace(results.plan, confirm=Confirm(), resources=Resources())
    console = Console(width=80, record=True)
    console.print(receipt(results))
    rows = [line.split() for line in console.export_text().splitlines()]
    assert rows[:2] == [["cost", "search", "confirm", "spared"], ["hinge", "19:00", "0:00", "6:00"]]


@pytest.mark.parametrize(("given", "shown"), [(0, "0:00"), (59.6, "1:00"), (3661, "1:01:01")])
def test_seconds_as_a_clock_shows_them(given: float, shown: str) -> None:
    assert clock(given) == shown
