"""What MLflow is told of a sweep and of a trial: names, parameters, tags, status, numbers."""

from __future__ import annotations

import getpass
import hashlib
import json
import math
import posixpath
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from statistics import fmean
from typing import Any, NamedTuple

from gancore.config import flatten
from sweeps import journal
from sweeps.needs import told
from sweeps.plan import Plan, Trial
from sweeps.results import Point, Results, TrialResult

SWEEP_ID = "gansweep.sweep_id"
SWEEP = "gansweep.sweep"
ARM = "gansweep.arm"
KIND = "gansweep.kind"
TRIAL = "gansweep.trial"
RESOURCES = "gansweep.resources"
EVALUATED = "gansweep.evaluated"

EVALUATIONS = "evaluations"
"""Where evaluations lie: in a trial's folder, and among the artifacts of its run."""

STATUS = {
    "completed": "FINISHED",
    "stopped": "FINISHED",
    # Divergence is an answer of the trial, not an accident of the machine: see its verdict.
    "diverged": "FINISHED",
    "finished": "FINISHED",
    "failed": "FAILED",
    "interrupted": "KILLED",
}
"""MLflow's status for the states in which a trial or a sweep ends; RUNNING for the others."""

LONGEST = 5000
"""Characters of a tag or parameter: under the limits of every MLflow store."""


LONGEST_KEY = 250
"""Characters of the name of a metric or a tag."""

_READABLE = str.maketrans(",=", " :")


class Value(NamedTuple):
    """One point of a metric, in the order of MLflow's own `Metric`."""

    key: str
    value: float
    time_ms: int
    step: int


def identity(sweep: str, owner: str) -> dict[str, str]:
    """The tags by which the run of a trial, or with `journal.DRIVER` of the sweep, is found."""
    if owner == journal.DRIVER:
        return {SWEEP_ID: sweep, KIND: "sweep"}
    return {SWEEP_ID: sweep, KIND: "trial", TRIAL: owner}


def trial_params(trial_config: Mapping[str, Any]) -> dict[str, str]:
    """A run's whole configuration, flat."""
    return {key: decimal(value)[:LONGEST] for key, value in flatten(trial_config)}


def trial_tags(result: TrialResult, state: str, sweep: str) -> dict[str, str]:
    """What can be filtered and grouped by; an entry without a value is left out.

    Args:
        sweep: Its name.
    """
    trial = result.trial
    start = result.starts[-1] if result.starts else {}
    tags = {
        SWEEP: sweep,
        ARM: trial.arm,
        "gansweep.draw": trial.draw,
        "gansweep.phase": trial.phase,
        "gansweep.planned_epochs": trial.epochs,
        "gansweep.repeats": trial.repeats,
        "gansweep.source": trial.source,
        "gansweep.begins": trial.begins if trial.source else None,
        "gansweep.trained_before": _before(trial),
        "gansweep.seed": trial.seed,
        "gansweep.state": state,
        "gansweep.verdict": result.verdict,
        "gansweep.stop_reason": result.reason,
        "gansweep.best_epoch": result.best_epoch,
        "gansweep.infinite": ", ".join(_infinite(result.points)),
        "gansweep.attempts": len(result.starts),
        "gansweep.node": start.get("node"),
        "gansweep.device": start.get("device"),
        "gansweep.code_version": start.get("code_version"),
        "gansweep.versions": json.dumps(start.get("versions", {})),
        "gansweep.passport": json.dumps(start.get("passport", {})),
        "gansweep.passport_digest": start.get("passport_digest"),
        **_source(),
    }
    return _texts(tags)


def _before(trial: Trial) -> str | None:
    """What a run of changing values trained with before those that are its parameters."""
    last = dict(flatten(trial.config))
    told = [
        f"to epoch {until}: "
        + ", ".join(f"{k} {decimal(v)}" for k, v in flatten(run) if last.get(k) != v)
        for until, run in trial.before
    ]
    return "; ".join(told) or None


def trial_values(points: list[Point]) -> list[Value]:
    """Every number of some epochs, each at its own time; sent again, it is the same row.

    SQL stores keep NaN but turn an infinity into 1.8e308, which ruins every chart: it is sent as
    NaN, and the tag `gansweep.infinite` says where it stood.
    """
    return [
        Value(legal(key), value if math.isfinite(value) else math.nan, p.time_ms, p.epoch)
        for p in points
        for key, value in p.values.items()
    ]


def best_key(objective: str) -> str:
    """The metric by which trials can be sorted: the objective's last value is not its best."""
    return legal(f"best/{objective}")


def best_values(result: TrialResult, after: int) -> Iterator[Value]:
    """The best score so far of every epoch after a given one; none before the first score."""
    changes = {point.epoch: point.values[result.objective] for point in result.improvements}
    best: float | None = None
    for point in result.points:
        best = changes.get(point.epoch, best)
        if best is not None and point.epoch > after:
            yield Value(best_key(result.objective), best, point.time_ms, point.epoch)


def evaluation_values(facts: Mapping[str, Any], features: str) -> list[Value]:
    """The scores of an evaluation at its checkpoint's epoch: `eval/fid10k`.

    A score that is not finite is left out.

    Args:
        facts: As its file has them.
        features: The trial's own feature network; scores by another are `eval/inception/fid10k`,
            since unlike protocols make no curve.
    """
    return [
        Value(legal(name), row["value"], row["time_ms"], facts["epoch"])
        for name, row in _evaluated(facts, features)
        if row["value"] is not None
    ]


def evaluation_tags(facts: Mapping[str, Any], features: str) -> dict[str, str]:
    """The intervals of an evaluation, which as numbers would be two more charts for each score."""
    return {
        legal(f"gansweep.{name}"): f"{row['value']:.4g} [{row['low']:.4g}, {row['high']:.4g}]"
        for name, row in _evaluated(facts, features)
        if None not in (row["value"], row.get("low"), row.get("high"))
    }


def _evaluated(facts: Mapping[str, Any], features: str) -> Iterator[tuple[str, Any]]:
    other = facts["passport"]["features"]
    prefix = "eval/" if other == features else f"eval/{other}/"
    for name, row in facts["scores"].items():
        yield f"{prefix}{name}", row


def sweep_params(plan: Plan) -> dict[str, str]:
    """The space that was searched, and how."""
    drawn: dict[str, set[Any]] = {}
    for trial in plan.trials:
        for key, value in trial.varied.items():
            drawn.setdefault(key, set()).add(value)
    space = {f"space.{key}": _span(values) for key, values in drawn.items()}
    schedule = dict(vars(plan.schedule))
    if plan.search.method == "pbt":  # It has no rungs: of a schedule it takes two numbers.
        schedule = {key: schedule[key] for key in ("grace", "eta")}
    search = {"method": plan.search.method, "seed": plan.search.seed}
    resources = plan.resources.as_json()
    if resources.pop("auto", False):
        resources["gpu"] = "auto"
    if plan.resources.of or plan.shares:
        resources["of"] = told(plan.kinds())
    ways = {"search": search, "schedule": schedule, "resources": resources}
    facts = {
        "objective": plan.objective,
        "goal": plan.goal,
        "scientific": ", ".join(plan.scientific),
        "arms": len(plan.arms),
        "trials": len(plan.trials),
        "epochs": plan.epochs,
    }
    return {key: decimal(value)[:LONGEST] for key, value in (facts | space | _flat(ways)).items()}


def sweep_tags(results: Results, state: str) -> dict[str, str]:
    """How far the sweep is and what leads."""
    best = results.best
    counts = Counter(r.state for r in results.trials.values())
    first = next(iter(journal.read(results.folder, journal.DRIVER)), {})
    tags = {
        SWEEP: results.folder.name,
        "gansweep.state": state,
        "gansweep.trials": ", ".join(f"{n} {name}" for name, n in sorted(counts.items())),
        "gansweep.epochs": f"{results.epochs_done} of {results.epochs_planned}",
        "gansweep.best_trial": best.trial.uid if best else None,
        "gansweep.best_arm": best.trial.arm if best else None,
        f"gansweep.best_{results.plan.objective}": best.best if best else None,
        "gansweep.extended": "; ".join(extensions(results)),
        "gansweep.code_version": first.get("code_version"),
        "gansweep.folder": results.folder,
        **_source(),
    }
    return _texts(tags)


def extensions(results: Results) -> Iterator[str]:
    """What was added to the sweep since it was planned."""
    for record in journal.read(results.folder, journal.DRIVER):
        if record["kind"] == "amend":
            yield from record["edits"]


def best_so_far(results: Results) -> Iterator[Value]:
    """Each arm's best score over the seconds since the sweep began: what its time has bought."""
    sign = 1 if results.plan.goal == "min" else -1
    points = sorted(
        (point.time_ms, uid, result.trial.arm, sign * point.values.get(result.objective, math.nan))
        for uid, result in results.trials.items()
        for point in result.points
    )
    best: dict[str, float] = {}
    for time_ms, _, arm, score in points:
        if math.isfinite(score) and score < best.get(arm, math.inf):
            best[arm] = score
            seconds = (time_ms - (results.began_ms or time_ms)) // 1000
            yield Value(legal(f"best/{arm}"), sign * score, time_ms, max(0, seconds))


def confirmed_means(results: Results) -> Iterator[Value]:
    """The mean score of each arm's fresh seeds, as of the last that ended: a bar an arm."""
    for arm, trials in results.of_phase("confirm").items():
        ended = [r for r in trials if r.ended and r.best is not None]
        if ended:
            mean = fmean(r.best for r in ended if r.best is not None)
            time_ms = max(r.points[-1].time_ms for r in ended)
            yield Value(legal(f"confirmed/{arm}"), mean, time_ms, 0)


def legal(key: str) -> str:
    """A metric's name as MLflow takes it; no two names become one.

    In an arm's label `,` and `=` become space and colon: `hinge,weight=10.0` is `hinge
    weight:10.0`. Whatever else MLflow refuses, or would read alike, is replaced, and a digest of
    the whole name stands at the end.
    """
    plain = key.translate(_READABLE)
    # A space or a colon of its own would meet a comma or an equals sign, and so would a name that
    # ends as a replaced one does.
    if not re.search(r"[^\w\-.,=/]|\.[0-9a-f]{12}$", key) and _is_path(plain):
        return plain
    body = re.sub(r"[^\w\-. :/]", "_", plain).strip("/.") or "_"
    body = re.sub(r"/[/.]*/", "/", body)[: LONGEST_KEY - 13]
    return f"{body}.{hashlib.sha256(key.encode(errors='surrogatepass')).hexdigest()[:12]}"


def _is_path(key: str) -> bool:
    """Whether MLflow's servers could lay a name out as a path, and it is short enough."""
    return posixpath.normpath(key) == key != "." and key[:1] not in "/." and len(key) <= LONGEST_KEY


def decimal(value: Any) -> str:
    """A value as a plain text: `0.00001`, not `1e-05`; the number read back is the same."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, float) and math.isfinite(value):
        return format(Decimal(repr(value)), "f")
    return str(value)


def _infinite(points: list[Point]) -> Iterator[str]:
    for point in points:
        for key, value in point.values.items():
            if math.isinf(value):
                yield f"{key}={value} at epoch {point.epoch}"


def _span(values: set[Any]) -> str:
    """The values of a dimension: all where they are few, else from the least to the greatest."""
    if len(values) <= 3 or not all(isinstance(v, int | float) for v in values):
        return ", ".join(sorted(map(decimal, values)))
    return f"{decimal(min(values))} .. {decimal(max(values))} ({len(values)} values)"


def _flat(mapping: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in flatten(mapping) if value is not None}


def _source() -> dict[str, str]:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # A container's user may have no name.
        user = "unknown"
    return {"mlflow.user": user, "mlflow.source.name": "gansweep", "mlflow.source.type": "LOCAL"}


def _texts(tags: Mapping[str, Any]) -> dict[str, str]:
    return {k: str(v)[:LONGEST] for k, v in tags.items() if v is not None and v != ""}
