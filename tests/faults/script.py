"""Sweeps of scripted trials: written, planned, and played without Ray."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml

from faults import act, scripted_trials
from sweeps import bucket, folder, journal, make_plan, trust
from sweeps.dispatch import Dispatcher
from sweeps.journal import Journal
from sweeps.plan import Plan
from sweeps.results import Results
from sweeps.spec import load
from sweeps.trial import Progress, run_trial

PLUGIN = "scripted_trials"
SWEEP: dict[str, Any] = {
    "plugins": [PLUGIN],
    "base": {"data": "digits", "model": "mlp", "latent": 8, "epochs": 4},
    "scientific": {"loss.name": ["hinge", "minimax"]},
    "nuisance": {"generator.lr": {"log_uniform": [1e-5, 1e-3]}},
    "search": {"trials_each": 1},
    "schedule": "none",
    "objective": {"samples": 64},
}


def scripted(tmp_path: Path, script: act.Script | None = None, **changes: Any) -> Path:
    """A sweep file whose trials follow a script; without one, two trials of four quick epochs.

    Args:
        script: See `faults.act`.
        changes: Of the file's keys; `epochs` is short for that of `base`.
    """
    content = {**SWEEP, **changes}
    if "epochs" in content:
        content["base"] = {**content["base"], "epochs": content.pop("epochs")}
    plugin = tmp_path / PLUGIN
    plugin.mkdir(parents=True)
    shutil.copy2(str(scripted_trials.__file__), plugin / "__init__.py")
    (plugin / scripted_trials.SCRIPT).write_text(json.dumps(act.rows(script or {})))
    file = tmp_path / "scripted.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return file


def planned(file: Path, storage: Path | None = None) -> Path:
    """The folder of a scripted sweep as `gansweep run` would leave it just before it trains.

    Args:
        storage: None takes `runs` beside the file.
    """
    place = (storage or file.parent / "runs") / file.stem
    place.mkdir(parents=True)
    (place / "sweep.yaml").write_text(file.read_text())
    shutil.copytree(file.parent / PLUGIN, place / "plugins" / PLUGIN)
    make_plan(load(file)).write(place)
    trust.remember(place)
    bucket.of(place).publish(place)
    return place


def play_trial(place: Path, uid: str) -> list[Progress]:
    """Trains one scripted trial in this process, from where it is to its end."""
    return list(_reports(place, Plan.read(place), uid))


def play(place: Path, *, slots: int = 1) -> Results:
    """Runs a scripted sweep in this process, from where it is to its end: the product's own
    dispatcher, journal and trials in turn, with a loop in Ray's place.
    """
    with folder.owned(place), Journal(place, journal.DRIVER) as log:
        log.append("sweep", state="running", pid=os.getpid(), code_version="scripted")
        dispatcher = Dispatcher(Results.read(place), log)
        live: dict[str, Iterator[Progress]] = {}
        while True:
            while len(live) < slots and (uid := dispatcher.next()):
                dispatcher.began(uid)
                live[uid] = _reports(place, dispatcher.plan, uid)
            if not live:
                break
            for uid in list(live):
                if not _one_report(dispatcher, live[uid]):
                    live.pop(uid)
                    dispatcher.left(uid)
        ended = all(r.ended for r in Results.read(place).trials.values())
        log.append("sweep", state="finished" if ended else "interrupted")
    return Results.read(place)


def _one_report(dispatcher: Dispatcher, reports: Iterator[Progress]) -> bool:
    """Lets a trial report once; whether it goes on."""
    said = next(reports, None)
    if said is None:
        return False
    decision = dispatcher.judge(said.uid, said.epoch, said.score, said.stage, ended=said.ended)
    if said.ended or decision.action != "go_on":
        reports.close()
        return False
    return True


def _reports(place: Path, plan: Plan, uid: str) -> Iterator[Progress]:
    # Trials take turns: what is swapped for one must be back before another's turn.
    reports = run_trial(bucket.arrived(bucket.spoken(place)), plan, uid, device="cpu")
    with closing(reports):
        while True:
            with patch("gancore.training.train", scripted_trials.train):
                said = next(reports, None)
            if said is None:
                return
            yield said
