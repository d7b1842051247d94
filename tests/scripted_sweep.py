"""A sweep of any size as its journal and its folder would be, without training anything."""

from __future__ import annotations

import io
import math
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from PIL import Image

from gancore.metrics import Passport
from sweeps import SweepSpec, journal, make_plan
from sweeps.journal import Journal
from sweeps.plan import Plan, Trial

LOSSES = ("nonsaturating", "hinge", "wasserstein_gp", "minimax", "least_squares")
PENALISED = "wasserstein_gp"
PASSPORT = Passport(
    metric="fid1k",
    features="classifier",
    features_digest="dd3f8cb780a8",
    accuracy=0.972,
    real=4000,
    generated=1000,
    data_name="mnist5k",
    data="7f1b0a2e00c0",
    split="train",
    resolution=32,
    shown_at=32,
    channels=1,
    weights="ema",
).as_mapping()


def script_sweep(
    place: Path,
    *,
    losses: Sequence[str] = LOSSES,
    each: int = 4,
    seeds: int = 3,
    epochs: int = 9,
    grids: int = 0,
) -> Path:
    """A finished sweep: half of the search stopped at epoch 3, some trials ill, seeds confirmed.

    Args:
        each: Trials of the search an arm.
        seeds: Confirmations of an arm's first trial.
        grids: Sample grids a trial; files of a few contents, by hard links.
    """
    place.mkdir(parents=True)
    content: dict[str, Any] = {
        "name": "scripted",
        "base": {
            "data": {"name": "mnist5k", "resolution": 32},
            "model": "dcgan",
            "epochs": epochs,
        },
        "scientific": {"loss.name": list(losses)},
        "nuisance": {
            "generator.lr": {"log_uniform": [1e-5, 1e-2]},
            "discriminator.lr": {"log_uniform": [1e-5, 1e-2]},
            "batch": {"choice": [16, 32, 64]},
        },
        "search": {"trials_each": each},
        "objective": {"samples": 1000},
    }
    if PENALISED in losses:
        weight = {"log_uniform": [0.1, 10], "when": {"loss.name": PENALISED}}
        content["nuisance"]["loss.gp_weight"] = weight
    plan = make_plan(SweepSpec.of(content))
    again = _confirmations([vars(trial) for trial in plan.trials], losses, seeds)
    plan.joined(Trial(**trial) for trial in again).write(place)
    (place / "sweep.yaml").write_text("# Which loss wins?\nbase: {data: mnist5k}\n")
    pictures = _pictures(place, 8) if grids else []
    with patch("os.fsync"):
        _drive(place, "sweep", state="running", code_version="0.1+abc")
        for number, trial in enumerate(Plan.read(place).trials):
            _tell(place, trial, random.Random(number))
            for k in range(grids):
                grid = place / "trials" / trial.uid / "samples" / f"epoch-{k:04d}.png"
                grid.parent.mkdir(parents=True, exist_ok=True)
                os.link(pictures[(number + k) % len(pictures)], grid)
        _drive(place, "sweep", state="finished")
    return place


def analysis_of(labels: Sequence[str]) -> dict[str, Any]:
    """What statistics might say of these arms, every key of it."""
    middle = {label: 5.0 + 1.5 * k for k, label in enumerate(labels)}
    steps = [1, 2, 4, 8, 16, 32]
    return {
        "answer": f"{labels[0]} beats {labels[1]}: 5.00 [4.6, 5.4] against 6.50 [6.1, 6.9], "
        "3 seeds each, corrected p = 0.01.",
        "level": 0.95,
        "arms": [
            {
                "label": label,
                "n": 3,
                "median": m,
                "iqm": m,
                "low": m - 0.4,
                "high": m + 0.4,
                "robust": 1 / m,
            }
            for label, m in middle.items()
        ],
        "pairs": [
            {
                "a": labels[0],
                "b": other,
                "difference": middle[labels[0]] - middle[other],
                "p": 0.004 * k,
                "corrected_p": 0.01 * k,
                "effect": -1.5 * k,
                "verdict": f"{labels[0]} is better",
            }
            for k, other in enumerate(labels[1:], 1)
        ],
        "budget": {
            label: {
                unit: {
                    "x": [scale * x for x in steps],
                    "mean": [m + 40 / x for x in steps],
                    "low": [m + 30 / x for x in steps],
                    "high": [m + 55 / x for x in steps],
                }
                for unit, scale in (("trials", 1), ("epochs", 9))
            }
            for label, m in middle.items()
        },
        "importance": [
            {"path": "discriminator.lr", "share": 0.61},
            {"path": "generator.lr", "share": 0.3},
            {"path": "batch", "share": 0.09},
        ],
        "notes": ["Intervals: stratified bootstrap of the interquartile mean."],
    }


def _confirmations(
    trials: Sequence[dict[str, Any]], losses: Sequence[str], seeds: int
) -> list[dict[str, Any]]:
    first = {trial["arm"]: trial for trial in reversed(trials)}
    again = [(first[loss], seed) for seed in range(seeds) for loss in losses]
    return [
        {
            **trial,
            "uid": f"{len(trials) + number:03d}-{trial['arm']}",
            "seed": 1000 + seed,
            "phase": "confirm",
            "repeats": trial["uid"],
        }
        for number, (trial, seed) in enumerate(again)
    ]


def _tell(place: Path, trial: Any, chance: random.Random) -> None:
    confirm = trial.phase == "confirm"
    rate = abs(math.log10(trial.varied["generator.lr"]) + 3)
    floor = 4 + LOSSES.index(trial.varied["loss.name"]) + (1 if confirm else 3 * rate)
    ill = not confirm and (trial.draw == 3 or trial.varied["discriminator.lr"] > 4e-3)
    poor = not confirm and not ill and rate > 0.7
    last = 2 if ill else min(3, trial.epochs) if poor else trial.epochs
    end = {"verdict": "healthy", "state": "completed", "reason": "all epochs trained"}
    if ill:
        end = {"verdict": "diverged", "state": "diverged", "reason": "the loss is nan"}
    elif not confirm and chance.random() < 0.2:
        end |= {"verdict": "collapsed"}
    with Journal(place, trial.uid) as log:
        log.append(
            "start",
            trial=trial.uid,
            attempt=1,
            node="node7",
            device="cuda",
            code_version="0.1+abc",
            versions={"torch": "2"},
            passport=PASSPORT,
            passport_digest="d16e57",
        )
        for epoch in range(1, last + 1):
            score = floor + 300 * math.exp(-1.3 * epoch) + chance.random()
            values = {"fid1k": math.nan if ill and epoch == last else score}
            values |= {"seconds_training": 20.0, "seconds_evaluation": 2.0}
            log.append("epoch", trial=trial.uid, epoch=epoch, values=values, **_verdict(end))
        if not poor:
            log.append("end", trial=trial.uid, epoch=last, **end)
    if poor:
        reason = "asha, rung 3: 19.2 misses 8.1 (4 came before)"
        _drive(place, "stop", trial=trial.uid, epoch=last, reason=reason)


def _verdict(end: dict[str, str]) -> dict[str, str]:
    return {"verdict": end["verdict"], "evidence": ""}


def _drive(place: Path, kind: str, **content: Any) -> None:
    with Journal(place, journal.DRIVER) as log:
        log.append(kind, **content)


def _pictures(place: Path, count: int) -> list[Path]:
    """Grids of 8 x 8 blurred colours at twice their size, as hard to store as real ones."""
    files = []
    for k in range(count):
        grain = random.Random(k).randbytes(3 * 48 * 48)
        small = Image.frombytes("RGB", (48, 48), grain).resize((256, 256), Image.Resampling.BICUBIC)
        stream = io.BytesIO()
        small.resize((512, 512), Image.Resampling.NEAREST).save(stream, "PNG", compress_level=1)
        files.append(place / f"picture-{k}.png")
        files[-1].write_bytes(stream.getvalue())
    return files
