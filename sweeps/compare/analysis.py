"""All that the statistics say of one or more sweeps, as the report and `--json` take it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sweeps.compare.budget import Curve, curves_in_epochs, curves_in_trials, learnt
from sweeps.compare.importance import importances, robustness
from sweeps.compare.intervals import CONFIDENCE, Arm
from sweeps.compare.pairs import Pair
from sweeps.compare.statistics import METHODS, Comparison, compare
from sweeps.compare.verdict import estimate
from sweeps.report.data import Shown, shown_trials
from sweeps.results import Results

ABOUT = {
    "budget": (
        "In trials the band is the uncertainty of the mean, as far as so few draws tell it: up to "
        "a quarter of them, if they are eight or more. In epochs it is the luck of the order in "
        "which the points are tried."
    ),
    "importance": (
        "How unlike the best draws are to all (PED-ANOVA, Watanabe et al. 2023), one "
        "hyper-parameter at a time; pale where shuffled scores look as important too often "
        "(p above 0.05). Nothing is said of fewer than 20 draws."
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
    told: dict[str, Any] = {"level": CONFIDENCE, "budget": {}, "importance": [], "robustness": {}}
    for sweep, one in zip(sweeps, results, strict=True):
        own = {arm: label for (name, arm), label in labels.items() if name == sweep}
        for arm, curves in _budget(one).items():
            told["budget"][own[arm]] = curves
        told["importance"] += _importance(one, own, sweep if len(results) > 1 else None)
        told["robustness"] |= {own[found.arm]: asdict(found) for found in robustness(one)}
    told["about"] = _about(results)
    near = {label: 100 * found["share"] for label, found in told["robustness"].items()}
    compared = comparison(results)
    if compared is None:
        told["arms"] = [{"label": label, NEAR: share} for label, share in near.items()]
        return told
    told["answer"] = compared.sentence
    told["arms"] = [{**_row(arm), NEAR: near.get(arm.label)} for arm in compared.arms]
    told["pairs"] = [_pair(pair) for pair in compared.pairs]
    told["notes"] = [*(f"{what}: {how}" for what, how in METHODS.items()), *_seeds(compared)]
    return told


def _data(shown: Sequence[Shown]) -> str:
    names = dict.fromkeys(str(s.result.trial.config["data"]["name"]) for s in shown)
    return ", ".join(names)


def _about(results: Sequence[Results]) -> dict[str, str]:
    """A word on what each figure rests on."""
    if not any(map(learnt, results)):
        return ABOUT
    chosen = " The search chose its points by what came before, so they are no random draws."
    return {section: text + chosen for section, text in ABOUT.items()}


def _row(arm: Arm) -> dict[str, Any]:
    nothing = {"value": None, "low": None, "high": None}
    iqm = asdict(arm.iqm) if arm.iqm else nothing
    mean = asdict(arm.mean) if arm.mean else nothing
    return {
        "label": arm.label,
        "n": arm.n,
        "best": arm.best,
        "median": arm.median,
        "iqm": iqm["value"],
        "low": iqm["low"],
        "high": iqm["high"],
        "mean": mean["value"],
        "mean_low": mean["low"],
        "mean_high": mean["high"],
        "estimate": estimate(arm.mean) if arm.mean else None,
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
        "improvement": pair.improvement.value,
        "improvement_low": pair.improvement.low,
        "improvement_high": pair.improvement.high,
        "verdict": _told(pair),
    }


def _told(pair: Pair) -> str:
    if pair.separable:
        return "yes"
    return f"no, n ~ {pair.needed:,}" if pair.needed else "no"


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
    return {"x": curve.xs, **{k: v for k, v in asdict(curve).items() if k not in ("arm", "xs")}}


def _importance(
    results: Results, labels: Mapping[str, str], sweep: str | None
) -> Iterator[dict[str, Any]]:
    of_all = {} if sweep is None else {"sweep": sweep}
    for one in importances(results):
        for share in one.shares:
            row: dict[str, Any] = {"path": share.path, "share": share.importance, "p": share.p}
            yield row | (of_all if one.arm is None else {"arm": labels[one.arm]})
