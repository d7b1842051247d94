"""A sweep as its journal tells it, written by hand, and what MLflow says of it."""

from __future__ import annotations

import math
import sqlite3
from pathlib import Path
from typing import Any

from PIL import Image

from sweeps import SweepSpec, journal, make_plan, tracking
from sweeps.journal import Journal
from sweeps.plan import Plan
from sweeps.tracking.description import legal

SWEEP: dict[str, Any] = {
    "name": "digits",
    "base": {"data": "digits", "model": "mlp", "epochs": 3, "latent": 16},
    "scientific": {"loss.name": ["hinge", "minimax"]},
    "nuisance": {"generator.lr": {"log_uniform": [1e-5, 1e-4]}},
    "search": {"trials_each": 3},
    "objective": {"samples": 500},
}
COMPLETED, STOPPED, DIVERGED = "000-hinge", "001-minimax", "002-hinge"
LEFT, FAILED, WAITING = "003-minimax", "004-hinge", "005-minimax"
PASSPORT = {"features": "classifier", "generated": 500}


def write_sweep(place: Path) -> Path:
    """A sweep that was interrupted: one trial of every fate, and one that never began."""
    place.mkdir()
    make_plan(SweepSpec.of(SWEEP)).write(place)
    (place / "sweep.yaml").write_text("# Which loss wins?\n# On digits.\nbase: {data: digits}\n")
    drive(place, "sweep", state="running", pid=1, code_version="0.1+abc")
    healthy = {"state": "completed", "verdict": "healthy", "reason": "all 3 epochs"}
    tell(place, COMPLETED, [9.0, 5.0, 0.1 + 0.2], **healthy)
    tell(place, STOPPED, [8.0, 7.5])
    drive(place, "stop", trial=STOPPED, epoch=2, reason="asha: rung 2")
    tell(place, DIVERGED, [8.5, math.nan], state="diverged", verdict="diverged", reason="nan loss")
    tell(place, LEFT, [4.0])
    tell(place, FAILED, [], state="failed", verdict="failed", reason="OSError: disk")
    drive(place, "sweep", state="interrupted")
    return place


def tell(place: Path, uid: str, scores: list[float], first: int = 1, **end: str) -> None:
    attempt = 1 if first == 1 else 2
    with Journal(place, uid) as log:
        log.append(
            "start",
            trial=uid,
            attempt=attempt,
            node="node7",
            pid=1,
            device="cpu",
            code_version="0.1+abc",
            versions={"torch": "2"},
            passport=PASSPORT,
            passport_digest="d16e57",
        )
        for epoch, score in enumerate(scores, first):
            grid = place / "trials" / uid / "samples" / f"epoch-{epoch:04d}.png"
            grid.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (1100, 550), 40 * epoch).save(grid)
            checkpoint = place / "trials" / uid / "checkpoints" / f"epoch-{epoch:04d}.pt"
            checkpoint.parent.mkdir(exist_ok=True)
            checkpoint.write_bytes(b"weights")
            checkpoint.with_suffix(".json").write_text("{}")
            # A loss of -inf beside a score of NaN, as where the logits explode.
            loss = -math.inf if math.isnan(score) else score / 3
            values = {"fid500": score, "loss/generator@x": loss, "kimg": epoch / 7}
            log.append("epoch", trial=uid, attempt=attempt, epoch=epoch, values=values)
        if end:
            log.append("end", trial=uid, attempt=attempt, epoch=len(scores), **end)


def drive(place: Path, kind: str, **content: Any) -> None:
    with Journal(place, journal.DRIVER) as log:
        log.append(kind, **content)


def client_of(place: Path) -> Any:
    return client_at(tracking.default_uri(place.parent))


def client_at(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(uri)


def runs_of(client: Any) -> dict[str, Any]:
    """Every run of the experiment by its name; two of one name are a failure."""
    experiment = client.get_experiment_by_name("gansweep")
    runs = client.search_runs([experiment.experiment_id])
    assert len({run.info.run_name for run in runs}) == len(runs)
    return {run.info.run_name: run for run in runs}


def points_of(client: Any, run: Any) -> list[tuple[str, int, int, str]]:
    return sorted(
        (m.key, m.step, m.timestamp, repr(m.value))
        for key in run.data.metrics
        for m in client.get_metric_history(run.info.run_id, key)
    )


def journalled(place: Path, uid: str) -> list[tuple[str, int, int, str]]:
    """The points of a trial as MLflow should have them: legal names, no infinity, its best."""
    plan = Plan.read(place)
    better = min if plan.goal == "min" else max
    rows: list[tuple[str, int, int, str]] = []
    best: list[float] = []
    for record in journal.read(place, uid):
        if record["kind"] != "epoch":
            continue
        values = {legal(key): value for key, value in record["values"].items()}
        score = record["values"][plan.objective]
        best = [better([*best, score])] if math.isfinite(score) else best
        values |= {f"best/{plan.objective}": value for value in best}
        for key, value in values.items():
            told = repr(value if math.isfinite(value) else math.nan)
            rows.append((key, record["epoch"], record["time_ms"], told))
    return sorted(rows)


def everything(storage: Path) -> dict[str, Any]:
    """The rows of every table of MLflow's database and the content of every artifact."""
    with sqlite3.connect(storage / "mlflow.db") as database:
        tables = [
            t for (t,) in database.execute("select name from sqlite_master where type='table'")
        ]
        rows = {t: sorted(map(repr, database.execute(f"select * from {t}"))) for t in tables}
    database.close()
    files = [p for p in (storage / "mlartifacts").rglob("*") if p.is_file()]
    return {**rows, **{str(p): p.read_bytes() for p in files}}
