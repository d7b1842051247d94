"""The kernel distance between features of real and generated pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gancore import seeds
from gancore.metrics.feature_set import FeatureSet
from gancore.metrics.moments import TooFew
from gancore.metrics.registry import metrics
from gancore.schema import Count


@metrics.register("kid")
@dataclass(frozen=True, kw_only=True)
class KernelDistance:
    """Kernel Inception distance (Binkowski et al. 2018, arXiv:1801.01401).

    The squared maximum mean discrepancy under the kernel (x y / D + 1)^3, in the unbiased
    estimate: 0 is expected of pictures of the real distribution, whatever their number, so that
    a score may be slightly below 0. The mean over subsets, which always are the same rows.

    Args:
        subsets: How many.
        subset_size: Pictures in each of them, of either side; at most all that there are.
    """

    goal: ClassVar[str] = "min"

    subsets: Count = 100
    subset_size: Count = 1000

    def score(self, real: FeatureSet, generated: FeatureSet) -> float:
        counts = len(real.rows), len(generated.rows)
        size = min(self.subset_size, *counts)
        if size < 2:
            raise TooFew(f"a kernel distance needs at least 2 pictures in a subset, got {size}")
        if not (real.finite and generated.finite):
            return math.nan
        subsets = 1 if size == max(counts) else self.subsets  # All of them would be the whole.
        x, y = real.rows.double(), generated.rows.double()
        of_real, of_generated = (
            [rows.to(x.device) for rows in drawn(side, count, size, subsets)]
            for side, count in zip(("real", "generated"), counts, strict=True)
        )
        key = "among subsets", size, subsets
        known = real.once(key, lambda: [among(x[rows]) for rows in of_real])
        distances = [
            one + among(y[j]) - 2 * kernel(x[i], y[j]).mean()
            for one, i, j in zip(known, of_real, of_generated, strict=True)
        ]
        return torch.stack(distances).mean().item()


def drawn(side: str, count: int, size: int, subsets: int) -> Iterator[Tensor]:
    """Rows of each subset of a side, int64 [size].

    No row comes again before another has had its turn: subsets that are each drawn from all rows,
    as torch-fidelity's, give some rows more weight, which only adds noise.
    """
    random = seeds.stream(0, "kernel distance", side)
    waiting = torch.empty(0, dtype=torch.int64)
    for _ in range(subsets):
        if len(waiting) < size:
            waiting = torch.randperm(count, generator=random)
        yield waiting[:size]
        waiting = waiting[size:]


def among(x: Tensor) -> Tensor:
    """The mean of the kernel over all pairs of two different rows of x [N, D]; a scalar."""
    found = kernel(x, x)
    return (found.sum() - found.trace()) / (len(x) * (len(x) - 1))


def kernel(x: Tensor, y: Tensor) -> Tensor:
    """(x y / D + 1)^3, [N, M]."""
    product = torch.addmm(x.new_ones(()), x, y.T, alpha=1 / x.shape[1])
    return product.square() * product
