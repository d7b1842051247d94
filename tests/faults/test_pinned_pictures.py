"""The pictures of a sweep are those of its first trial, or the user says otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from played_sweep import SWEEP

from gancore.config import RunConfig
from sweeps import SweepSpec, make_plan, pinned
from sweeps.errors import UserError
from sweeps.plan import Plan
from sweeps.signals import Signals
from sweeps.trial import check_pictures


class TestItsPictures:
    def test_changed_ones_are_refused_until_they_are_accepted(self, tmp_path: Path) -> None:
        """E8."""
        pictures = tmp_path / "pictures"
        pictures.mkdir()
        for number in range(8):
            Image.new("L", (8, 8), number).save(pictures / f"{number}.png")
        content = {
            **SWEEP,
            "base": {
                **SWEEP["base"],
                "data": {"name": "folder", "path": str(pictures), "resolution": 8},
            },
            "objective": {"features": "inception"},
        }
        place = tmp_path / "q"
        place.mkdir()
        make_plan(SweepSpec.of(content)).write(place)
        begin(place, 0)
        begin(place, 1)
        Image.new("L", (8, 8), 200).save(pictures / "8.png")
        with pytest.raises(pinned.DataChanged, match="--accept-data-change") as caught:
            begin(place, 0)
        assert "\n" not in str(caught.value)
        pinned.forget(place)
        begin(place, 0)
        begin(place, 1)

    def test_the_user_is_to_decide(self) -> None:
        from sweeps.schedule.tune import Halt

        halt = Halt(Signals(lambda _number: None))
        assert halt("", {"unable": "changed", "refused": True})
        assert halt("", {"unable": "weights", "refused": False})
        assert (type(halt.error), str(halt.error)) == (UserError, "changed")


def begin(place: Path, number: int) -> None:
    """Begins a trial, without networks."""

    trial = Plan.read(place).trials[number]
    check_pictures(place, trial, RunConfig.of(trial.config), "0")
