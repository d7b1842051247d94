"""A sweep of real trials, trained in this process in seconds: one of each kind of system."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from sweeps import SweepSpec, journal, make_plan
from sweeps.journal import Journal
from sweeps.plan import Plan
from sweeps.trial import run_trial

SMALL: dict[str, Any] = {
    "data": "digits",
    "model": {"name": "mlp", "width": 16},
    "latent": 8,
    "batch": 128,
    "epochs": 3,
}
PLAIN, CONDITIONAL, CLASSIFIER, GROWING, TRANSLATOR = (
    "000-adversarial",
    "001-conditional",
    "002-semi_supervised",
    "003-progressive",
    "004-cycle",
)
RUNS: dict[str, dict[str, Any]] = {
    PLAIN: {**SMALL, "system": "adversarial"},
    CONDITIONAL: {**SMALL, "system": "conditional"},
    CLASSIFIER: {**SMALL, "system": {"name": "semi_supervised", "labels": 100}},
    # It is at 4 pixels when its first epoch ends.
    GROWING: {
        **SMALL,
        "system": {"name": "progressive", "first": 4, "fade_kimg": 1, "stable_kimg": 1.5},
        "model": {"name": "progan", "max_width": 8},
        "epochs": 2,
    },
    TRANSLATOR: {
        **SMALL,
        "data": {"name": "two_classes", "of": "digits", "a": 3, "b": 8, "resolution": 8},
        "system": "cycle",
        "model": {"name": "cycle", "width": 4, "blocks": 1, "layers": 1},
        "batch": 32,
        "epochs": 1,
    },
}
SAMPLES = 30


def train_sweep(place: Path, uids: list[str]) -> Path:
    """Plans trials by name and trains them, without Ray."""
    place.mkdir(parents=True)
    plan = _plan(uids)
    plan.write(place)
    (place / "sweep.yaml").write_text("# Which system?\n")
    with Journal(place, journal.DRIVER) as log:
        log.append("sweep", state="running", pid=1, code_version="0.1+abc")
        for uid in uids:
            for progress in run_trial(place, plan, uid, device="cpu"):
                assert not progress.unable, progress.unable
        log.append("sweep", state="interrupted")
    return place


def _plan(uids: list[str]) -> Plan:
    trials = []
    for uid in uids:
        sweep = {"name": "small", "base": RUNS[uid], "objective": {"samples": SAMPLES}}
        plan = make_plan(SweepSpec.of({**sweep, "nuisance": {"generator.lr": [1e-3]}}))
        trials.append(replace(plan.trials[0], uid=uid, arm=uid.partition("-")[2]))
    return replace(plan, trials=tuple(trials))
