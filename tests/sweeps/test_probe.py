"""The probe: where it looks at a run, and what it makes of too little time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gancore.systems.progressive import Progressive
from sweeps import SweepSpec, make_plan
from sweeps import probe as probing
from sweeps.errors import UserError

GROWING: dict[str, Any] = {
    "name": "growing",
    "base": {
        "system": {"name": "progressive", "first": 4, "fade_kimg": 1.5, "stable_kimg": 0.75},
        "data": "digits",
        "model": {"name": "progan", "capacity": 64, "max_width": 8},
        "latent": 8,
        "batch": 150,
        "epochs": 3,
    },
    "scientific": {"model.group": [0, 4]},
    "search": {"trials_each": 1},
    "objective": {"samples": 60},
}


def looked_at(monkeypatch: pytest.MonkeyPatch) -> tuple[list[int], list[int]]:
    """The resolutions of all steps and of all scores to come."""
    trained: list[int] = []
    scored: list[int] = []
    step, score = Progressive.step, Progressive.score

    def stepping(self: Progressive, *real: Any) -> None:
        trained.append(self.resolution)
        step(self, *real)

    def scoring(self: Progressive) -> Any:
        scored.append(self.resolution)
        return score(self)

    monkeypatch.setattr(Progressive, "step", stepping)
    monkeypatch.setattr(Progressive, "score", scoring)
    return trained, scored


def test_a_growing_network_is_timed_at_each_resolution(monkeypatch: pytest.MonkeyPatch) -> None:
    trained, scored = looked_at(monkeypatch)
    told = probing.probe(make_plan(SweepSpec.of(GROWING)), Path())
    assert not told.troubles
    for arm in told.arms.values():
        assert [stage.begins for stage in arm.stages] == [0, 750]
        assert len(set(arm.stages)) == 2
    for resolution in (4, 8):
        assert trained.count(resolution) > 2 * probing._STEPS_BEFORE
        assert scored.count(resolution) >= 2


def test_without_time_every_stage_has_its_steps_but_one_score_stands_for_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trained, scored = looked_at(monkeypatch)
    monkeypatch.setattr(probing, "SECONDS", 0.0)
    told = probing.probe(make_plan(SweepSpec.of(GROWING)), Path())
    assert scored == [8]
    assert len({stage.score for arm in told.arms.values() for stage in arm.stages}) == 1
    assert trained.count(4) > 2 * probing._STEPS_BEFORE


def test_an_error_of_an_arm_is_one_line_and_the_others_are_timed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step = Progressive.step

    def failing(self: Progressive, *real: Any) -> None:
        if self.config.model.options["group"] == 4:
            raise ValueError("no such thing\nand more of it")
        step(self, *real)

    monkeypatch.setattr(Progressive, "step", failing)
    told = probing.probe(make_plan(SweepSpec.of(GROWING)), Path())
    assert told.arms.keys() == {"group=0"}
    (trouble,) = told.troubles.values()
    assert isinstance(trouble, UserError)
    assert str(trouble) == "arm group=4 cannot run: ValueError: no such thing"
