"""A plan that is asked for again and again is always the one on disk, and is not read twice."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from unittest.mock import patch

import pytest
from written_sweep import drive, write_sweep

from sweeps import journal, planfile
from sweeps.errors import DamagedSweep
from sweeps.known_plan import KnownPlan
from sweeps.plan import Plan


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return write_sweep(tmp_path / "digits")


def test_it_follows_the_driver_and_reads_only_what_is_new(place: Path) -> None:
    known = KnownPlan(place)
    first = known.now()
    assert first == Plan.read(place)
    joins = replace(first.trials[0], uid="900-hinge", phase="confirm")
    drive(place, "join", trial=asdict(joins))
    drive(place, "heard", trial=joins.uid, epoch=1)
    with patch.object(planfile, "read", side_effect=AssertionError("read again")):
        assert known.now().trials == (*first.trials, joins)
        with patch.object(journal, "_record", side_effect=AssertionError("read again")):
            assert known.now().trials == (*first.trials, joins)
    drive(place, "retire", trial=joins.uid, reason="better")
    assert known.now().trial(joins.uid).phase == "retired"
    assert known.now() == Plan.read(place)


def test_a_plan_that_is_written_anew_is_read_anew(place: Path) -> None:
    known = KnownPlan(place)
    known.now()
    replace(known.now(), name="other").write(place)
    assert known.now().name == "other"


def test_what_is_damaged_is_told_with_its_file(place: Path) -> None:
    known = KnownPlan(place)
    known.now()
    drive(place, "join", trial={"uid": "no trial"})
    with pytest.raises(DamagedSweep, match=r"_driver\.jsonl: is no plan of a sweep"):
        known.now()
    content = json.loads((place / planfile.FILE).read_text())
    del content["sha256"], content["format"], content["goal"]
    (place / planfile.FILE).write_text(json.dumps(content))
    with pytest.raises(DamagedSweep, match=r"plan\.json: is no plan of a sweep: lacks 'goal'"):
        KnownPlan(place).now()
