"""Sweeps as the plain data that a report's page draws: arms, trials, curves, failures, protocol.

What statistics add comes as a mapping, every key of it optional, arms by the labels that
`shown_trials` gives them:

    answer       str: the paragraph on top
    level        float: of all intervals, such as 0.95
    arms         [{label, n, median, iqm, low, high}]: of the confirmed seeds where there are any;
                 `low` and `high` are the interval of `iqm`; `mean`, `mean_low` and `mean_high`
                 are what the answer speaks of, and `estimate` is the same in words. More numbers
                 by name are more columns
    pairs        [{a, b, difference, p, corrected_p, effect, improvement, verdict}]: two arms, by
                 label; `low` and `high` are the interval of `difference`, `improvement_low` and
                 `improvement_high` of `improvement`, the probability that a run of `a` beats one
                 of `b`; `verdict` says in a few words whether they are told apart
    budget       {label: {"trials": {x, mean, low, high}, "epochs": {...}, "hours": {...}}}: the
                 expected best against what was spent, four lists of one length each
    importance   [{path, share, p}], and `arm` where the shares are of one arm, or `sweep` where
                 they are of one sweep among several; pale above p = 0.05
    notes        [str]: methods and their sources, told under the tables
    about        {"budget": str, "importance": str}: a sentence more on top of a section
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from sweeps.ailments import ailments
from sweeps.errors import UserError
from sweeps.receipt import seconds
from sweeps.report.protocol import machine_facts, sweep_facts, word
from sweeps.results import Point, Results, TrialResult

MOST_POINTS = 200
"""Of a drawn curve; of a longer one the best of each stretch stands for it."""

WIDE = 20.0
"""Largest over smallest from which on positive numbers are drawn by their logarithm."""

FEW = 3
"""Draws a value from which on numbers that repeat are drawn as choices, such as 16, 32 and 64."""

DIGITS = 6

SOUND = ("healthy", "converged", "waiting")
"""What may be said of a trial that did not fall ill."""


@dataclass(frozen=True)
class Shown:
    """A trial as the page knows it.

    Args:
        label: Its arm's, with the sweep's name before it where two sweeps have an arm so called.
        sweep: Its sweep's name, unlike all others'.
    """

    label: str
    sweep: str
    of: Results
    result: TrialResult


def shown_trials(results: Sequence[Results]) -> list[Shown]:
    """Every trial of all sweeps, in the order planned, with labels that are unlike.

    Raises:
        UserError: The sweeps' scores cannot be compared.
    """
    _refuse_unlike(results)
    names = _names(results)
    arms = [{r.trial.arm for r in one.trials.values()} for one in results]
    seen = Counter(arm for own in arms for arm in own)
    return [
        Shown(arm if seen[arm] == 1 else f"{name}/{arm}", name, one, result)
        for name, one in zip(names, results, strict=True)
        for result in one.trials.values()
        for arm in (result.trial.arm,)
    ]


def report_data(
    results: Sequence[Results], analysis: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """All that the page says but for the pictures; JSON has a form for every value.

    Raises:
        UserError: The sweeps' scores cannot be compared.
    """
    told = analysis or {}
    trials = shown_trials(results)
    digests = list(dict.fromkeys(filter(None, map(_digest, trials))))
    arms = _arms(trials, digests, told)
    index = {arm["label"]: number for number, arm in enumerate(arms)}
    plan = results[0].plan
    dimensions = list(_dimensions(trials))
    return {
        "title": " and ".join(dict.fromkeys(t.sweep for t in trials)),
        "objective": plan.objective,
        "goal": plan.goal,
        "answer": told.get("answer") or _answer(arms, plan.objective, len(digests)),
        "analysed": "answer" in told,
        "level": told.get("level"),
        "notes": list(told.get("notes", ())),
        "about": dict(told.get("about", {})),
        "arms": arms,
        "pairs": [_plain(pair) for pair in told.get("pairs", ())],
        "budget": _plain(told.get("budget", {})),
        "importance": [_plain(row) for row in told.get("importance", ())],
        "dimensions": dimensions,
        "trials": [_trial(t, index[t.label], dimensions) for t in trials],
        "failures": list(_failures(results, trials, index)),
        "sweeps": [
            sweep_facts(name, one) for name, one in zip(_names(results), results, strict=True)
        ],
        "protocols": [_protocol(digest, trials, index) for digest in digests],
        "machines": machine_facts(results),
    }


def _names(results: Sequence[Results]) -> list[str]:
    """The folders' names; with a folder more before them, or a number, until none is twice."""
    names = [one.folder.resolve().name for one in results]
    if len(set(names)) < len(names):
        names = ["/".join(one.folder.resolve().parts[-2:]) for one in results]
    again: Counter[str] = Counter()
    for place, name in enumerate(names):
        again[name] += 1
        if again[name] > 1:
            names[place] = f"{name} ({again[name]})"
    return names


def _digest(shown: Shown) -> str | None:
    """The protocol that a trial began with: a growing network's later ones follow from it."""
    starts = shown.result.starts
    return str(starts[0]["passport_digest"]) if starts else None


def _refuse_unlike(results: Sequence[Results]) -> None:
    names, first = _names(results), results[0]
    for name, one in zip(names[1:], results[1:], strict=True):
        if (first.plan.objective, first.plan.goal) != (one.plan.objective, one.plan.goal):
            raise UserError(
                f"{names[0]!r} is ranked by {first.plan.objective} ({first.plan.goal}) and "
                f"{name!r} by {one.plan.objective} ({one.plan.goal}): they cannot be compared"
            )
        ours, theirs = _passports(first), _passports(one)
        if ours and theirs and ours.keys() != theirs.keys():
            keys = _differing([*ours.values(), *theirs.values()])
            raise UserError(
                f"{names[0]!r} and {name!r} were scored by unlike protocols "
                f"({', '.join(keys) or 'other passports'}): they cannot be compared"
            )


def _passports(results: Results) -> dict[str, Mapping[str, Any]]:
    starts = [r.starts[0] for r in results.trials.values() if r.starts]
    return {start["passport_digest"]: start["passport"] for start in starts}


def _differing(passports: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the passports disagree on: `generated 1000, 5000`."""
    values = {
        key: list(dict.fromkeys(str(p.get(key)) for p in passports))
        for key in dict.fromkeys(key for p in passports for key in p)
    }
    return [
        f"{key} {' or '.join(v[:12] for v in told)}"
        for key, told in values.items()
        if len(told) > 1
    ]


def _arms(
    trials: Sequence[Shown], digests: Sequence[str], told: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """A row an arm, in the order planned, which is the order of their colours.

    `rank` is the order by what is known: the interquartile mean, or the median of the confirmed
    seeds. Then come arms that were not confirmed, by their best, which flatters them; those that
    never scored come last. Unlike protocols are not mixed.
    """
    by_label: dict[str, list[Shown]] = {}
    for trial in trials:
        by_label.setdefault(trial.label, []).append(trial)
    extra = {row["label"]: _plain(row) for row in told.get("arms", ())}
    for row in extra.values():
        row.pop("best", None)  # The journal's own, whose trial stands beside it.
    arms = [_arm(label, own, digests) | extra.get(label, {}) for label, own in by_label.items()]
    sign = 1 if trials[0].of.plan.goal == "min" else -1

    def key(arm: Mapping[str, Any]) -> tuple[int, bool, bool, float]:
        fresh = _first(arm.get("iqm"), arm["median"] if arm["confirmed"] else None)
        score = _first(fresh, arm["best"])
        return (arm["protocol"], score is None, fresh is None, sign * (score or 0.0))

    for rank, arm in enumerate(sorted(arms, key=key), 1):
        arm["rank"] = rank
    return arms


def _arm(label: str, own: Sequence[Shown], digests: Sequence[str]) -> dict[str, Any]:
    results = [t.result for t in own]
    confirmed = [r for r in results if r.trial.phase == "confirm"]
    scores = [r.best for r in confirmed or results if r.best is not None]
    ranked = min(results, key=lambda r: r.rank_key)
    digest = next(filter(None, map(_digest, own)), None)
    return {
        "label": label,
        "sweep": own[0].sweep,
        "protocol": digests.index(digest) if digest else 0,
        "trials": len(results),
        "confirmed": len(confirmed),
        "n": len(scores),
        "best": _number(ranked.best),
        "best_trial": ranked.trial.uid,
        "median": _number(median(scores)) if scores else None,
        "epochs": sum(r.epoch for r in results),
        "hours": _number(sum(map(seconds, results)) / 3600),
        "stopped": sum(r.state == "stopped" for r in results),
        "ill": sum(_fate(r) not in SOUND for r in results),
    }


def _answer(arms: Sequence[Mapping[str, Any]], objective: str, protocols: int) -> str:
    """What can be said without statistics, which is not who won."""
    ranked = sorted(arms, key=lambda arm: arm["rank"])
    leaders = [
        next((a for a in ranked if a["protocol"] == p and a["best"] is not None), None)
        for p in range(max(1, protocols))
    ]
    parts = [
        f"{arm['label']} has the best {objective}, {arm['best']:.4g}"
        + (f" (protocol {arm['protocol'] + 1})" if protocols > 1 else "")
        for arm in leaders
        if arm
    ]
    trials = sum(arm["trials"] for arm in arms)
    seeds = sum(arm["confirmed"] for arm in arms)
    head = "; ".join(parts) or "No trial has a score yet"
    base = f"{head}. {_count(trials, 'trial')} in {_count(len(arms), 'arm')}"
    if seeds:
        return f"{base}, {seeds} of them on fresh seeds; no test was made on them."
    return (
        f"{base}. These are scores of a search, one seed each: which arm is better than which, "
        "only training again on fresh seeds can tell."
    )


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _dimensions(trials: Sequence[Shown]) -> Iterator[dict[str, Any]]:
    """The nuisance paths whose values differ between trials, each with its kind of axis."""
    paths = dict.fromkeys(
        path
        for t in trials
        for path in t.result.trial.varied
        if path not in (*t.of.plan.scientific, *t.of.plan.tied)
    )
    draws = len({(t.sweep, t.result.trial.draw) for t in trials})
    for path in paths:
        values = [t.result.trial.varied[path] for t in trials if path in t.result.trial.varied]
        if len({repr(v) for v in values}) < 2:
            continue
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        if numbers and FEW * len(set(values)) > draws:
            low, high = min(values), max(values)
            yield {"path": path, "log": low > 0 and high / low >= WIDE, "low": low, "high": high}
        else:
            ordered = map(word, sorted(values) if numbers else sorted(values, key=word))
            yield {"path": path, "choices": list(dict.fromkeys(ordered))}


def _trial(shown: Shown, arm: int, dimensions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    result = shown.result
    trial, points = result.trial, list(_thinned(result))
    content = {
        "uid": trial.uid,
        "arm": arm,
        "sweep": shown.sweep,
        "phase": trial.phase,
        "repeats": trial.repeats,
        "source": trial.source,
        "begins": trial.begins,
        "draw": trial.draw,
        "seed": trial.seed,
        "state": result.state,
        "verdict": _fate(result),
        "reason": result.reason
        or next((p.evidence for p in result.points[::-1] if p.evidence), ""),
        "best": _number(result.best),
        "best_epoch": result.best_epoch,
        "seconds": _number(seconds(result)),
        "epochs": [p.epoch for p in points],
        "scores": [_number(p.values.get(result.objective)) for p in points],
        "values": [_value(trial.varied, d) for d in dimensions],
    }
    if any(p.stage for p in points):
        content["stages"] = [p.stage for p in points]
    return content


def _value(varied: Mapping[str, Any], dimension: Mapping[str, Any]) -> float | str | None:
    if dimension["path"] not in varied:
        return None
    value = varied[dimension["path"]]
    return word(value) if "choices" in dimension else _number(value)


def _thinned(result: TrialResult) -> Iterator[Point]:
    """A curve's points, at most `MOST_POINTS`: of each stretch its best, and the last of all."""
    points = result.points
    size = math.ceil(len(points) / MOST_POINTS)
    if size <= 1:
        yield from points
        return
    sign = 1 if result.goal == "min" else -1

    def worth(point: Point) -> tuple[int, float]:
        score = point.values.get(result.objective, math.nan)
        return (-point.stage, sign * score if math.isfinite(score) else math.inf)

    for start in range(0, len(points) - 1, size):
        yield min(points[start : min(start + size, len(points) - 1)], key=worth)
    yield points[-1]


def _fate(result: TrialResult) -> str:
    """What became of a trial in a word: its state where that is bad news, else its verdict."""
    if result.state in ("failed", "diverged", "waiting"):
        return result.state
    return result.verdict or result.state


def _failures(
    results: Sequence[Results], trials: Sequence[Shown], index: Mapping[str, int]
) -> Iterator[dict[str, Any]]:
    """A row a verdict of a sweep, the gravest first: how many trials of which arm, and where."""
    label = {(id(t.of), t.result.trial.arm): t.label for t in trials}
    names = _names(results)
    for name, one in zip(names, results, strict=True):
        for ailment in ailments(one):
            yield {
                "sweep": name,
                "verdict": ailment.verdict,
                "trials": len(ailment.trials),
                "arms": {index[label[id(one), arm]]: n for arm, n in ailment.arms.items()},
                "where": list(ailment.where),
            }


def _protocol(digest: str, trials: Sequence[Shown], index: Mapping[str, int]) -> dict[str, Any]:
    own = [t for t in trials if _digest(t) == digest]
    return {
        "digest": digest,
        "passport": _plain(own[0].result.starts[0]["passport"]),
        "arms": sorted({index[t.label] for t in own}),
    }


def _number(value: float | None) -> float | None:
    """A number as short as a drawing needs it; what is not finite is none."""
    if value is None or not math.isfinite(value):
        return None
    return value if isinstance(value, int) else float(f"{value:.{DIGITS}g}")


def _first(*scores: float | None) -> float | None:
    return next((s for s in scores if s is not None), None)


def _plain(value: Any) -> Any:
    """Any nesting of mappings, sequences and numbers (NumPy's too) as JSON has it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(inner) for inner in value]
    return _number(value) if isinstance(value, float) else value
