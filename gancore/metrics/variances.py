"""How far each score would vary if the generated pictures were drawn anew.

The variance of a score over fresh draws of as many generated pictures, the real ones being fixed.
Copies that a bootstrap draws are fatal to scores of nearest neighbours and shift the others, so
nothing here draws twice. By default parts that have no picture in common are scored: the variance
between two halves is, whatever the score, an unbiased estimate of its variance at half the count,
and that between quarters at a quarter; what leads from the one to the other leads on to the whole.
(Smooth scores vary as 1 / n, near their least as 1 / n^2, and recall as neither.) Scores that are
means, counts of what is hit, or a U-statistic have their variance in closed form.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import singledispatch

import torch
from torch import Tensor

from gancore import seeds
from gancore.metrics.distances import nearest_others, parts, to_others
from gancore.metrics.extrapolation import FrechetExtrapolation
from gancore.metrics.feature_set import FeatureSet
from gancore.metrics.frechet import FrechetDistance
from gancore.metrics.inception_score import InceptionScore, inception_score
from gancore.metrics.kernel import KernelDistance, kernel
from gancore.metrics.manifold import Coverage, Density, Precision, Recall, inside
from gancore.metrics.memorisation import Memorisation, relative_distances
from gancore.metrics.modes import ModeDivergence, Modes, ModeShare, divergence, mode_counts
from gancore.metrics.moments import TooFew
from gancore.metrics.registry import FeatureMetric

Scorer = Callable[[Tensor], float]
"""Rows of generated pictures, int64 [n] -> the score of these alone."""

_HALVES = (([0, 1], [2, 3]), ([0, 2], [1, 3]), ([0, 3], [1, 2]))
"""Of four quarters."""

_STEEPEST = 2.0
"""The most that the variance at half the count may be of that at a quarter."""

_SMOOTHING = 9
"""Terms of Good and Toulmin's series, which alternates, before they fade."""

_CANDIDATES = 64
"""Generated balls in which a real picture is looked for when parts are scored."""


@singledispatch
def variance(
    metric: FeatureMetric, real: FeatureSet, generated: FeatureSet, splits: Tensor
) -> float:
    """The variance of a finite score over fresh draws of the generated pictures.

    Args:
        splits: Quarters of the rows, at random, int64 [repeats, 4, n // 4].

    Raises:
        gancore.metrics.moments.NoScore: A quarter is too few pictures for this score.
    """
    return _between_parts(scorer(metric, real, generated), splits, len(generated.rows))


def _between_parts(score: Scorer, splits: Tensor, count: int) -> float:
    """The variance of a score at a count, from that between parts without a picture in common."""
    if not splits.shape[2]:
        raise TooFew("parts of pictures need at least 4 pictures")
    half, quarter = 0.0, 0.0
    for quarters in splits:
        scores = torch.tensor([score(rows) for rows in quarters], dtype=torch.float64)
        quarter += scores.var().item() / len(splits)
        # All three ways to make halves of them: by these a mean varies at half the count exactly
        # half as much as it does at a quarter, and chance does not blur the power.
        for one, other in _HALVES:
            gap = score(quarters[one].flatten()) - score(quarters[other].flatten())
            half += gap**2 / 2 / len(_HALVES) / len(splits)
    return extrapolated(half, quarter, count / (2 * splits.shape[2]))


def extrapolated(half: float, quarter: float, times: float) -> float:
    """The variance at `times` half the count.

    Between 1 / n and 1 / n^2 it is a mixture of both, else another power of the count.
    """
    if half == 0 or quarter == 0:
        return half / times
    linear, square = 2 * half - quarter / 2, quarter / 2 - half
    if linear >= 0 and square >= 0:
        return linear / times + square / times**2
    return half * min(half / quarter, _STEEPEST) ** math.log2(times)


@singledispatch
def scorer(metric: FeatureMetric, real: FeatureSet, generated: FeatureSet) -> Scorer:
    """A way to score many parts of the generated pictures that shares what they have in common."""

    def score(rows: Tensor) -> float:
        logits, modes = generated.logits, generated.modes
        of_rows = FeatureSet.of(
            generated.rows[rows],
            None if logits is None else logits[rows],
            None if modes is None else modes[rows],
            generated.mode_count,
        )
        return metric.score(real, of_rows)

    return score


@scorer.register
def _(metric: InceptionScore, _real: FeatureSet, generated: FeatureSet) -> Scorer:
    logits = generated.logits
    assert logits is not None
    return lambda rows: inception_score(logits[rows], metric.splits)[0]


@scorer.register
def _(_metric: ModeDivergence, _real: FeatureSet, generated: FeatureSet) -> Scorer:
    modes, count = generated.modes, generated.mode_count
    assert modes is not None
    return lambda rows: divergence(torch.bincount(modes[rows] + 1, minlength=count + 1)[1:])


@scorer.register
def _(_metric: Memorisation, real: FeatureSet, generated: FeatureSet) -> Scorer:
    distances = relative_distances(real, generated)
    assert distances is not None
    return lambda rows: distances[rows].quantile(0.5).item()


@scorer.register
def _(metric: Recall, real: FeatureSet, generated: FeatureSet) -> Scorer:
    """With the neighbours of generated pictures and the balls around real ones found once."""
    most = min(24 + 12 * metric.nearest, len(generated.rows) - 1)
    others, apart = nearest_others(generated.rows, most)
    # The radii of a quarter's balls are about these; those of a half are smaller, but in step.
    wide = apart[:, min(4 * metric.nearest, apart.shape[1]) - 1]
    balls, away = _deepest(real, generated, wide)

    def score(rows: Tensor) -> float:
        present = torch.zeros(len(others), dtype=torch.bool, device=rows.device)
        present[rows] = True
        found = present[others[rows]].cumsum(1, dtype=torch.int16)
        place = (found < metric.nearest).sum(1, keepdim=True).clamp(max=others.shape[1] - 1)
        radii = apart.new_full((len(others),), -1)
        radii[rows] = apart[rows].gather(1, place)[:, 0]
        return (away <= radii[balls]).any(1).double().mean().item()

    return score


def _deepest(real: FeatureSet, generated: FeatureSet, radii: Tensor) -> tuple[Tensor, Tensor]:
    """The generated balls that each real picture is deepest in, and how far their centres are."""
    radii = radii.clamp(min=torch.finfo(torch.float32).tiny)
    most, found, away = min(_CANDIDATES, len(radii)), [], []
    for _, distances in parts(real.rows, generated.rows):
        found.append((distances / radii).topk(most, largest=False).indices)
        away.append(distances.gather(1, found[-1]))
    return torch.cat(found), torch.cat(away)


@variance.register
def _(metric: FrechetDistance, real: FeatureSet, generated: FeatureSet, splits: Tensor) -> float:
    """That of all pictures, of which only some rows may be kept."""
    return _between_parts(scorer(metric, real, generated), splits, generated.moments.count)


@variance.register
def _(
    metric: FrechetExtrapolation, real: FeatureSet, generated: FeatureSet, splits: Tensor
) -> float:
    """From 25 splits at most, since each score is that of about thirty distances."""
    return _between_parts(scorer(metric, real, generated), splits[:25], len(generated.rows))


@variance.register(Precision)
@variance.register(Density)
def _(metric: Precision | Density, real: FeatureSet, generated: FeatureSet, _: Tensor) -> float:
    """Of a mean over generated pictures."""
    found = inside(real, generated, metric.nearest)
    assert found is not None
    balls = found.balls.double()
    if isinstance(metric, Density):
        return balls.var().item() / len(balls) / metric.nearest**2
    return (balls > 0).double().var().item() / len(balls)


@variance.register
def _(_metric: ModeShare, _real: FeatureSet, generated: FeatureSet, _: Tensor) -> float:
    assert generated.modes is not None
    return (generated.modes >= 0).double().var().item() / len(generated.rows)


@variance.register
def _(_metric: Modes, _real: FeatureSet, generated: FeatureSet, _: Tensor) -> float:
    counts = mode_counts(generated)
    assert counts is not None
    return variance_of_hits(counts, torch.ones_like(counts), len(generated.rows))


@variance.register
def _(metric: Coverage, real: FeatureSet, generated: FeatureSet, _: Tensor) -> float:
    """Real balls that hold the very same generated pictures are one thing to be hit."""
    hits, sizes = _groups(real, generated, metric.nearest)
    return variance_of_hits(hits, sizes, len(generated.rows)) / len(real.rows) ** 2


def variance_of_hits(hits: Tensor, sizes: Tensor, tries: int) -> float:
    """The variance of the number of things that are hit at least once.

    For independent things hit a Poisson number of times, of mean m, it is the sum of
    exp(-m) - exp(-2 m): what is expected to be hit for the first time by as many tries again.
    That is estimated without bias by the hits of odd number less those of even number (Good and
    Toulmin 1956), whose series is smoothed as by Efron and Thisted 1976. Where almost all are hit
    its noise is larger than what it is to estimate; but there exp(-2 m) is next to nothing, and
    exp(-m) summed is the number of things not hit: the two are weighed by that noise. For things
    that overlap, the same series holds of pairs that the same tries have hit. A fixed number of
    tries takes away the square of the sum of m exp(-m), the number of things hit once, over the
    tries.

    Args:
        hits: How many tries hit each group of things, int64 [G].
        sizes: Things in each group, all hit by the very same tries, [G].
    """
    series = torch.tensor(_series(), dtype=torch.float64, device=hits.device)
    series, things = series[hits.clamp(max=_SMOOTHING + 1)], sizes.double()
    once, missed = things[hits == 1].sum(), things[hits == 0].sum()
    noise = (series * things).square().sum()
    weight = missed.square() / (missed.square() + noise).clamp(min=1e-9)
    alone = weight * (series * things).sum() + (1 - weight) * missed
    in_pairs = (series * things * (things - 1)).sum().clamp(min=0)
    return (alone + in_pairs - once.square() / tries).clamp(min=0).item()


def _series() -> list[float]:
    """The weight of things hit 0, 1, 2, ... times: 0, then 1 and -1 in turn, fading to 0.

    By the chance that of nine fair coins at least so many show heads.
    """
    chances = [math.comb(_SMOOTHING, heads) / 2**_SMOOTHING for heads in range(_SMOOTHING + 1)]
    signs = [1 if times % 2 else -1 for times in range(_SMOOTHING + 1)]
    faded = [signs[times] * sum(chances[times:]) for times in range(1, _SMOOTHING + 1)]
    return [0.0, *faded, 0.0]


def _groups(real: FeatureSet, generated: FeatureSet, nearest: int) -> tuple[Tensor, Tensor]:
    """Real balls by what they hold: how many generated pictures, and how many such balls, [G]."""
    radii, count = to_others(real, nearest), len(generated.rows)
    device = radii.device
    random = seeds.stream(0, "names")
    # Sums of random numbers tell sets apart: that two of them agree has a chance of 2^-64.
    names = torch.randint(-(2**63), 2**63 - 1, (count,), generator=random).to(device)
    sums, holds = [], []
    for part, distances in parts(real.rows, generated.rows):
        held = distances <= radii[part, None]
        ball, picture = held.nonzero(as_tuple=True)
        sums.append(names.new_zeros(len(held)).index_add_(0, ball, names[picture]))
        holds.append(held.sum(1))
    _, group, sizes = torch.cat(sums).unique(return_inverse=True, return_counts=True)
    hits = torch.zeros_like(sizes).scatter_(0, group, torch.cat(holds))
    return hits, sizes


@variance.register
def _(_metric: KernelDistance, real: FeatureSet, generated: FeatureSet, _: Tensor) -> float:
    """Of a U-statistic of second order (Hoeffding 1948), here of k(y, z) - u(y) - u(z).

    u(y) is the mean kernel of y and the real pictures. With the variances s1 of the mean of this
    over z and s2 of itself: 4 (n - 2) s1 / (n (n - 1)) + 2 s2 / (n (n - 1)).
    """
    x, y = real.rows.double(), generated.rows.double()
    count = len(y)
    if count < 5:
        raise TooFew(f"the variance of a kernel distance needs at least 5 pictures, got {count}")
    to_real = torch.cat([kernel(part, x).mean(1) for part in y.split(512)])
    sums, squares, firsts = y.new_zeros(()), y.new_zeros(()), []
    for first in range(0, count, 512):
        rows = slice(first, min(first + 512, count))
        found = kernel(y[rows], y) - to_real[rows, None] - to_real
        found[torch.arange(rows.stop - first), torch.arange(first, rows.stop)] = 0
        firsts.append(found.sum(1) / (count - 1))
        sums += found.sum()
        squares += found.square().sum()
    pairs = count * (count - 1)
    second = squares / pairs - (sums / pairs) ** 2
    # The means over z that there are vary by c s1 + d (s2 - 2 s1), not by s1.
    c, d = (count - 2) ** 2 / (count - 1) ** 2, (count - 2) / (count - 1) ** 2
    linear = ((torch.cat(firsts).var() - d * second) / (c - 2 * d)).clamp(min=0)
    return ((4 * (count - 2) * linear + 2 * second) / pairs).item()
