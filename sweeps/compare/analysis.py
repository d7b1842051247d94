"""All that the statistics say of one or more sweeps, as the report and `--json` take it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sweeps.compare.budget import Curve, curves_in_epochs, curves_in_trials
from sweeps.compare.importance import importances, robustness
from sweeps.compare.intervals import CONFIDENCE, Arm
from sweeps.compare.landscape import axes_of, rows_of, verdict_map
from sweeps.compare.pairs import Pair
from sweeps.compare.statistics import METHODS, Comparison, compare
from sweeps.report.data import Shown, shown_trials
from sweeps.results import Results

ABOUT = {
    "budget": (
        "In trials the band is the uncertainty of the mean, as far as so few draws tell it: up to "
        "a quarter of them. In epochs it is the luck of the order in which the points are tried."
    ),
    "importance": (
        "How unlike the best draws are to all (PED-ANOVA, Watanabe et al. 2023), one "
        "hyper-parameter at a time; nothing is said of fewer than 20 draws."
    ),
}

NEAR = "% near best"
"""An arm's share of draws within a tenth of its best."""


def comparison(results: Sequence[Results]) -> Comparison | None:
    """The arms on their confirmed seeds; None where nothing has been confirmed.

    Raises:
        UserError: The sweeps' scores cannot be compared.
    """
    shown = shown_trials(results)
    scores: dict[str, list[float]] = {}
    for one in shown:
        if one.result.trial.phase == "confirm" and one.result.ended:
            best = one.result.best
            scores.setdefault(one.label, []).append(math.nan if best is None else best)
    if not scores:
        return None
    plan = results[0].plan
    return compare(scores, metric=plan.objective, goal=plan.goal, data=_data(shown))


def analysis(results: Sequence[Results]) -> dict[str, Any]:
    """What `sweeps.report` draws beside the journal's own numbers (see `report.data`).

    Raises:
        UserError: The sweeps' scores cannot be compared.
    """
    labels = {(s.sweep, s.result.trial.arm): s.label for s in shown_trials(results)}
    sweeps = list(dict.fromkeys(sweep for sweep, _ in labels))
    told: dict[str, Any] = {"level": CONFIDENCE, "budget": {}, "importance": [], "landscape": {}}
    for sweep, one in zip(sweeps, results, strict=True):
        own = {arm: label for (name, arm), label in labels.items() if name == sweep}
        for arm, curves in _budget(one).items():
            told["budget"][own[arm]] = curves
        told["importance"] += _importance(one, own)
        told["landscape"][sweep] = _landscape(one)
    told["about"] = ABOUT
    compared = comparison(results)
    near = {
        own[(sweep, r.arm)]: r.share
        for own in (labels,)
        for sweep, one in zip(sweeps, results, strict=True)
        for r in robustness(one)
    }
    if compared is None:
        told["arms"] = [{"label": label, NEAR: 100 * share} for label, share in near.items()]
        return told
    told["answer"] = compared.sentence
    told["arms"] = [_row(arm, near.get(arm.label)) for arm in compared.arms]
    told["pairs"] = [_pair(pair) for pair in compared.pairs]
    told["notes"] = [*(f"{what}: {how}" for what, how in METHODS.items()), *_seeds(compared)]
    return told


def _data(shown: Sequence[Shown]) -> str:
    names = dict.fromkeys(str(s.result.trial.config["data"]["name"]) for s in shown)
    return ", ".join(names)


def _row(arm: Arm, near: float | None) -> dict[str, Any]:
    iqm = asdict(arm.iqm) if arm.iqm else {"value": None, "low": None, "high": None}
    return {
        "label": arm.label,
        "n": arm.n,
        "best": arm.best,
        "median": arm.median,
        "iqm": iqm["value"],
        "low": iqm["low"],
        "high": iqm["high"],
        NEAR: None if near is None else 100 * near,
    }


def _pair(pair: Pair) -> dict[str, Any]:
    return {
        "a": pair.better,
        "b": pair.worse,
        "difference": pair.difference.value,
        "low": pair.difference.low,
        "high": pair.difference.high,
        "p": pair.p,
        "corrected_p": pair.corrected_p,
        "effect": pair.effect,
        "verdict": _told(pair),
    }


def _told(pair: Pair) -> str:
    if pair.separable:
        return "told apart"
    needed = f"; about {pair.needed:,} seeds would be needed" if pair.needed else ""
    return f"not separable{needed}"


def _seeds(compared: Comparison) -> Iterator[str]:
    if compared.plan is None:
        return
    told = ", ".join(f"{difference:.0%} with {n:,}" for difference, n, _ in compared.plan.seeds)
    yield (
        f"seeds an arm to see a difference, from the spread between seeds so far "
        f"({compared.plan.cov:.1%}), power {compared.plan.power:g}: {told}"
    )


def _budget(results: Results) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for curve in (*curves_in_trials(results), *curves_in_epochs(results)):
        found.setdefault(curve.arm, {})[curve.unit] = _curve(curve)
    return found


def _curve(curve: Curve) -> dict[str, Any]:
    return {"x": curve.xs, "mean": curve.mean, "low": curve.low, "high": curve.high}


def _landscape(results: Results) -> dict[str, Any]:
    """The search's points for parallel coordinates, and where which verdict lies."""
    found = verdict_map(results)
    return {
        "axes": [asdict(axis) for axis in axes_of(results)],
        "rows": [asdict(row) for row in rows_of(results)],
        "verdicts": asdict(found) if found else None,
    }


def _importance(results: Results, labels: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for one in importances(results):
        for share in one.shares:
            row: dict[str, Any] = {"path": share.path, "share": share.importance}
            yield row | ({} if one.arm is None else {"arm": labels[one.arm]})
