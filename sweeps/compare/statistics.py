"""The comparison of arms on their confirmed seeds: a row an arm, a row a pair, and a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sweeps.compare.intervals import CONFIDENCE, Arm
from sweeps.compare.pairs import ALPHA, Pair, compare_pairs
from sweeps.compare.seeds import SeedPlan, plan_seeds
from sweeps.compare.verdict import verdict

METHODS = {
    "mean": "mean with Student's t interval",
    "iqm": (
        "interquartile mean (Agarwal et al. 2021, arXiv:2108.13264) with an interval from the "
        "distribution of iqm / sd for normal scores"
    ),
    "improvement": (
        "probability that a run beats a run of the other arm (Agarwal et al. 2021), interval by "
        "method 5 of Newcombe (2006)"
    ),
    "test": (
        "Welch's t test on the confirmed seeds, with degrees of freedom as of the arm with fewer "
        "seeds and rounded down; the permutation test where the seeds of an arm are all alike"
    ),
    "correction": "Holm (1979) over all pairs of arms",
    "effect": "Hedges' g (1981)",
    "seeds": "noncentral t, power 0.8, spread pooled over arms",
}


@dataclass(frozen=True)
class Comparison:
    """All that the confirmed seeds of a sweep say about its arms.

    Args:
        goal: `min` or `max`.
        data: The data set's name, for the sentence.
        arms: Best mean first; those without any score last.
        pairs: Pairs of arms with two scores or more, the surest difference first.
        plan: Seeds by the difference to be seen; None where no spread can be seen.
    """

    metric: str
    goal: str
    data: str
    arms: tuple[Arm, ...]
    pairs: tuple[Pair, ...]
    sentence: str
    plan: SeedPlan | None
    alpha: float = ALPHA
    confidence: float = CONFIDENCE

    @property
    def winner(self) -> str | None:
        """The arm that is separable from every other, if there is one.

        An arm with a single seed or none cannot be told from any, so with one there is no winner.
        """
        first = self.arms[0].label if self.arms else ""
        beaten = [p for p in self.pairs if p.better == first and p.separable]
        return first if beaten and len(beaten) == len(self.arms) - 1 else None

    def as_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`, with a source for each method; unknown is None."""
        pairs = [asdict(p) | {"separable": p.separable} for p in self.pairs]
        return asdict(self) | {"pairs": pairs, "winner": self.winner, "methods": METHODS}


def compare(
    scores: Mapping[str, Sequence[float]], *, metric: str, goal: str, data: str
) -> Comparison:
    """Compares arms on the scores of their confirmed seeds.

    The seeds must be fresh: the best of a search is better than the same point trained again,
    and more so the longer the search was.

    Args:
        scores: By arm; as many as there are, NaN for a seed that gave none.
        goal: `min` or `max`.
    """
    if goal not in ("min", "max"):
        raise ValueError(f"goal must be min or max, got {goal!r}")
    sign = 1 if goal == "min" else -1
    rows = [Arm.of(label, s, goal) for label, s in scores.items()]
    arms = sorted(rows, key=lambda a: (a.mean is None, sign * a.mean.value if a.mean else 0.0))
    pairs = compare_pairs(scores, goal)
    sentence = verdict(arms, pairs, metric=metric, data=data)
    return Comparison(metric, goal, data, tuple(arms), pairs, sentence, plan_seeds(arms))
