"""The comparison in one sentence, which names no winner without n, interval and corrected p."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from sweeps.compare.intervals import Arm, Estimate
from sweeps.compare.pairs import ALPHA, Pair
from sweeps.compare.seeds import MOST

LISTED = 3


def verdict(arms: Sequence[Arm], pairs: Sequence[Pair], *, metric: str, data: str) -> str:
    """What may be claimed, in words.

    Labels and names are given as they are: whoever writes HTML has to escape the sentence.

    Args:
        arms: All of them, best mean first, those without a score last.
        pairs: All pairs of arms with two seeds or more.
    """
    scored = [a for a in arms if a.n]
    tested = [a for a in scored if a.n > 1]
    if not scored:
        sentence = f"no verdict on {data}: no seed has a {metric}"
    elif len(scored) == 1:
        sentence = (
            f"no verdict on {data}: only {scored[0].label} has scores ({metric} {score(scored[0])}"
            f", {count(scored[0].n)}), and a comparison takes two arms"
        )
    elif len(tested) < 2:
        sentence = (
            f"no verdict on {data}: {scored[0].label} leads with {metric} {score(scored[0])}, but "
            "one seed shows no spread; each arm needs at least 3"
        )
    else:
        sentence = _between(tested, pairs, metric, data)
    return "; ".join([sentence, *_left_out(arms, len(tested) > 1)])


def _between(tested: Sequence[Arm], pairs: Sequence[Pair], metric: str, data: str) -> str:
    """The sentence on arms that have been tested, two of them at least."""
    best, rest = tested[0], tested[1:]
    against = {p.worse: p for p in pairs if p.better == best.label}
    beaten = [a for a in rest if against[a.label].separable]
    open_ = [a for a in rest if not against[a.label].separable]
    if beaten:
        parts = [_beats(best, beaten, [against[a.label] for a in beaten], metric, data)]
        parts += [_not_separable(best, open_, against)] if open_ else []
        return "; ".join(parts)
    lead = f"no winner on {data}: {best.label} leads with {metric} {score(best)}, "
    lead += _not_separable(best, open_, against)
    others = [p for p in pairs if p.separable]
    rows = {a.label: a for a in tested}
    told = [_beats(rows[p.better], [rows[p.worse]], [p], metric, data) for p in others[:LISTED]]
    more = [f"{len(others) - LISTED} more pairs are separable"] if len(others) > LISTED else []
    return "; ".join([lead, *told, *more])


def _beats(best: Arm, beaten: Sequence[Arm], pairs: Sequence[Pair], metric: str, data: str) -> str:
    return (
        f"{best.label} beats {listing(a.label for a in beaten)} on {data}: {metric} {score(best)} "
        f"against {listing(score(a) for a in beaten)}, {_seeds([best, *beaten])}, "
        f"corrected {_probabilities(pairs)}"
    )


def _probabilities(pairs: Sequence[Pair]) -> str:
    """One or two as they are; of more, the greatest."""
    if len(pairs) <= 2:
        return listing(probability(p.corrected_p) for p in pairs)
    return probability(max(p.corrected_p for p in pairs)).replace("=", "at most")


def _not_separable(best: Arm, arms: Sequence[Arm], against: dict[str, Pair]) -> str:
    told = [
        f"{a.label} ({score(a)}, corrected {probability(against[a.label].corrected_p)})"
        for a in arms[:LISTED]
    ]
    told += [f"{len(arms) - LISTED} more"] if len(arms) > LISTED else []
    text = f"not separable from {listing(told)} with {_seeds([best, *arms])}"
    needed = [(against[a.label].needed, a.label) for a in arms]
    known = [(n, label) for n, label in needed if n is not None]
    if not known:
        return text
    least, label = min(known)
    least = max(least, 1 + min(a.n for a in [best, *arms]))
    which = "" if len(arms) == 1 else f" to tell it from {label}"
    if least >= MOST:
        return f"{text}; more than {MOST:,} would be needed{which}: as good as equal"
    return f"{text}; about {least:,} would be needed{which}"


def _left_out(arms: Sequence[Arm], tested: bool) -> list[str]:
    """What the sentence does not rest on, and why."""
    told = [f"{a.label} has no score" for a in arms if not a.n]
    if tested:
        told += [
            f"{a.label} ({score(a)}) has one seed and cannot be tested" for a in arms if a.n == 1
        ]
    told += [
        f"{a.lost} of {count(a.n + a.lost)} of {a.label} gave no score"
        for a in arms
        if a.n and a.lost
    ]
    return told


def _seeds(arms: Sequence[Arm]) -> str:
    numbers = [a.n for a in arms]
    if len(set(numbers)) == 1:
        return f"{numbers[0]} seeds each"
    return f"{listing(str(n) for n in numbers)} seeds"


def count(n: int) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{n} seed{'' if n == 1 else 's'}"


def listing(words: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def score(arm: Arm) -> str:
    """An arm's mean with its interval, or why it has none."""
    assert arm.mean is not None
    if arm.mean.low is None and arm.n > 1:
        return f"{estimate(arm.mean)} (all seeds alike)"
    return estimate(arm.mean)


def estimate(value: Estimate) -> str:
    """`8.1 [7.9, 8.4]`, with digits that the width of the interval deserves."""
    if value.low is None or value.high is None:
        return f"{value.value:.4g}"
    width = value.high - value.low
    digits = min(9, max(0, -math.floor(math.log10(width / 4))))
    return f"{value.value:z.{digits}f} [{value.low:z.{digits}f}, {value.high:z.{digits}f}]"


def probability(p: float) -> str:
    """`p = 0.012`, never rounded over the line between separable and not."""
    if p < 0.001:
        return "p < 0.001"
    text = f"{p:.2g}"
    if (float(text) <= ALPHA) != (p <= ALPHA) or text == f"{ALPHA:.2g}":
        text = f"{p:.4f}"
    return f"p = {text}"
