"""What ails a run, told from the numbers of its epochs.

A rule looks at the reports so far and answers with its evidence in words, or with nothing. Signals
of the generated pictures are held against the same signals of real pictures (one half of the data
judged by the other), so no threshold depends on the data set. The thresholds are the constants
below; `tests/gancore/test_verdicts.py` plants every failure in three degrees.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

EXPLODED = 1e4
"""Loss beyond which a run is called exploded. Losses on logits of runs that still learn stay
below about 1e2, a gradient penalty's critic below about 1e3."""

WINDOW = 3
"""Reports that must agree, since one epoch of a GAN may be anything."""

PLATEAU = 5
"""Reports without a better objective after which a run has come to rest."""

COLLAPSED_MODES = 0.5
COLLAPSED_COVERAGE = 0.25
COLLAPSED_RECALL = 0.2
COLLAPSED_DIVERSITY = 0.35
"""Shares of real data's own modes, coverage, recall and mean distance below which pictures are too
alike."""

ON_ITS_WAY = 0.1
"""A run whose best objective gains this share within `WINDOW` reports is learning, not collapsed:
an untrained generator's pictures are alike too."""

LIFELIKE = 0.3
"""Share of real data's precision from which on pictures that cover little are called collapsed;
below it they may just be poor."""

UNFAITHFUL_PRECISION = 0.65
UNFAITHFUL_DENSITY = 0.42
STILL_COVERING = 0.5
"""Over-generalising: precision or density below these shares of real data's own, coverage above.

What a feature network does not see, no threshold finds: noise counts from half of the pictures on,
two digits laid over each other from four fifths on at 32 pixels, and hardly ever at 16."""

COPIES = 0.1
"""Share of near-copies of training pictures, beyond real data's own, that is called memorising."""

SURE = 0.98
VANISHED = 0.05
"""The discriminator has won: right on this share of both sides, while the generator's gradient has
fallen to this share of the largest it was."""

BETTER = 0.02
"""Relative gain of the best objective within `PLATEAU` reports that counts as progress."""

FLAT = 0.1
"""Range of a critic's estimate over `PLATEAU` reports, relative to the largest, when flat."""

SIGNAL = "signal"
"""Signals of the generated pictures stand in a report's values under this name and a slash."""


@dataclass(frozen=True)
class Verdict:
    """What ails a run, and why one thinks so."""

    name: str = "healthy"
    evidence: str = ""


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What a report says to the rules.

    Args:
        objective: The score that trials are ranked by, turned so that lower is better.
        statistics: Means over the epoch's steps (see `EpochReport`).
        signals: Of the generated pictures: `precision`, `recall`, `density`, `coverage`,
            `diversity`, `copies` and, where the data have known modes, `modes`; empty where a
            system has none.
        stage: Observations of unlike stages are never compared.
    """

    objective: float
    statistics: Mapping[str, float] = field(default_factory=dict)
    signals: Mapping[str, float] = field(default_factory=dict)
    stage: int = 0

    def as_mapping(self) -> dict[str, Any]:
        """Plain names and numbers; `Observation(**mapping)` reads them back."""
        return asdict(self)


@dataclass(frozen=True)
class Case:
    """What a rule looks at.

    Args:
        seen: The reports of the present stage, oldest first.
        real: Real data's own signals.
    """

    seen: Sequence[Observation]
    real: Mapping[str, float]

    @property
    def last(self) -> Observation:
        return self.seen[-1]

    def window(self, name: str, count: int = WINDOW) -> list[float]:
        """A signal in each of the last reports; empty where one of them lacks it or is missing."""
        values = [o.signals[name] for o in self.seen[-count:] if name in o.signals]
        return values if len(values) == count and name in self.real else []

    def statistic(self, name: str) -> list[float]:
        """A statistic in each report; empty where the last one lacks it."""
        values = [o.statistics[name] for o in self.seen if name in o.statistics]
        return values if name in self.last.statistics else []

    def below(self, name: str, share: float) -> bool:
        """Whether a signal has stayed below a share of real data's, and is not on its way up."""
        values = self.window(name)
        if not values or not self.real[name]:
            return False
        bar = share * self.real[name]
        return max(values) < bar and values[-1] - values[0] < 0.1 * bar

    def told(self, name: str) -> str:
        """`coverage 0.02, of real data 0.96`."""
        return f"{name} {self.last.signals[name]:.3g}, of real data {self.real[name]:.3g}"

    @property
    def moved(self) -> bool:
        """Whether the score is another than at first: a generator that never learnt is no ruin."""
        first = self.seen[0].objective
        return abs(self.last.objective - first) > ON_ITS_WAY * abs(first)

    def gained(self, reports: int) -> float:
        """The last reports' best objective against the best before, relatively; inf at first."""
        before = min((o.objective for o in self.seen[:-reports]), default=math.inf)
        now = min(o.objective for o in self.seen[-reports:])
        return (before - now) / max(abs(before), 1e-12) if before < math.inf else math.inf


def verdict(seen: Sequence[Observation], real: Mapping[str, float]) -> Verdict:
    """The gravest thing that ails a run after its last report.

    Args:
        seen: Every report so far, oldest first.
        real: The signals of real pictures held against real ones.
    """
    case = Case([o for o in seen if o.stage == seen[-1].stage], real)
    for name, rule in _RULES.items():
        if evidence := rule(case):
            return Verdict(name, evidence)
    return Verdict()


def divergence(statistics: Mapping[str, float], scores: Mapping[str, float]) -> str:
    """Why a run has diverged, in words, or an empty text where it has not."""
    for name, value in {**statistics, **scores}.items():
        if not math.isfinite(value):
            return f"{name} is {value}"
    for name in ("loss_generator", "loss_discriminator"):
        if abs(statistics.get(name, 0.0)) > EXPLODED:
            return f"{name} is {statistics[name]:.3g}, beyond {EXPLODED:g}"
    return ""


def _diverged(case: Case) -> str:
    return divergence(case.last.statistics, {"objective": case.last.objective})


def _collapsed(case: Case) -> str:
    """Lifelike pictures of few modes, or of little of the data; or pictures that are all alike."""
    if case.gained(WINDOW) > ON_ITS_WAY:
        return ""
    found = ["diversity"] if case.moved and case.below("diversity", COLLAPSED_DIVERSITY) else []
    lifelike = case.window("precision")
    if lifelike and min(lifelike) >= LIFELIKE * case.real["precision"]:
        shares = {"coverage": COLLAPSED_COVERAGE, "recall": COLLAPSED_RECALL}
        if all(case.below(name, share) for name, share in shares.items()):
            found += shares
        if case.below("modes", COLLAPSED_MODES):
            found.append("modes")
    return "; ".join(map(case.told, found))


def _memorising(case: Case) -> str:
    """Near-copies of training pictures, more than real pictures are of one another."""
    copies = case.window("copies")
    if copies and min(copies) > case.real["copies"] + COPIES:
        return case.told("copies")
    return ""


def _over_generalising(case: Case) -> str:
    """All of the data is there, and much beside it that is not."""
    covering = case.window("coverage")
    if not covering or min(covering) < STILL_COVERING * case.real["coverage"]:
        return ""
    shares = {"precision": UNFAITHFUL_PRECISION, "density": UNFAITHFUL_DENSITY}
    low = [name for name, share in shares.items() if case.below(name, share)]
    return "; ".join(map(case.told, [*low, "coverage"])) if low else ""


def _discriminator_won(case: Case) -> str:
    """Sure of every picture, and nothing comes back to the generator any more."""
    real, fake = case.statistic("accuracy_real"), case.statistic("accuracy_fake")
    slopes = case.statistic("gradient_norm_generator")
    if len(slopes) < WINDOW or not real or not fake:
        return ""
    most = max(slopes)
    if min(*real[-WINDOW:], *fake[-WINDOW:]) >= SURE and max(slopes[-WINDOW:]) <= VANISHED * most:
        accuracy = f"accuracy {real[-1]:.3g} on real and {fake[-1]:.3g} on generated pictures"
        return f"{accuracy}, the generator's gradient {slopes[-1]:.2g} of {most:.2g}"
    return ""


def _converged(case: Case) -> str:
    """At rest, and not far from the data."""
    if not _near(case):
        return ""
    estimate = case.statistic("wasserstein_estimate")
    if len(estimate) > PLATEAU:
        most, recent = max(map(abs, estimate)), estimate[-PLATEAU:]
        if max(recent) - min(recent) <= FLAT * most and case.gained(PLATEAU) <= BETTER:
            return f"critic's estimate flat at {recent[-1]:.3g} for {PLATEAU} reports"
        return ""
    return _rest(case)


def _slow(case: Case) -> str:
    """At rest, or nearly so, and still far from the data."""
    return "" if _near(case) else _rest(case)


def _rest(case: Case) -> str:
    gained = case.gained(PLATEAU)
    if gained > BETTER:
        return ""
    best = abs(min(o.objective for o in case.seen))
    better = f"{gained:.1%} better" if gained > 0 else "no better"
    return f"best objective {best:.4g}, {better} in {PLATEAU} reports"


def _near(case: Case) -> bool:
    """Whether the pictures cover at least half of what real ones do; yes where nobody can tell."""
    covering = case.last.signals.get("coverage")
    return covering is None or covering >= STILL_COVERING * case.real.get("coverage", 0.0)


_RULES: dict[str, Callable[[Case], str]] = {
    "diverged": _diverged,
    "discriminator_won": _discriminator_won,
    "collapsed": _collapsed,
    "memorising": _memorising,
    "over_generalising": _over_generalising,
    "converged": _converged,
    "slow": _slow,
}

AILMENTS = tuple(_RULES)
"""Every verdict but `healthy`, the gravest first; a sweep file may stop trials by any of them."""
