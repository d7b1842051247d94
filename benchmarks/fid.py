"""Seconds for one Frechet distance, beside pytorch-fid and torch-fidelity on the same moments.

    python benchmarks/fid.py            # 64, 512 and 2,048 dimensions; about five minutes
    python benchmarks/fid.py --quick    # without 2,048

All get the moments for nothing; what is timed is the distance, on one thread in float64. The real
side is the same for every trial and epoch, so its root is made once beforehand (`root once` shows
what that costs). With fewer pictures than dimensions ours starts from the features themselves.
`error` is the relative gap to pytorch-fid. All ways run in turn, medians are shown.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from gancore.metrics.frechet import frechet_distance
from gancore.metrics.moments import Moments, Reference, Sample
from gancore.torchvision_import import ensure_torchvision

CASES = [(64, 10_000), (512, 10_000), (512, 256), (2048, 1_000), (2048, 10_000)]
ROUNDS = {64: 9, 512: 5, 2048: 3}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}, 1 thread, "
        f"torch {torch.__version__}, scipy {scipy.__version__}, float64, seconds"
    )
    print(
        f"{'dimensions':>10}{'pictures':>10}{'pytorch-fid':>13}{'torch-fidelity':>16}{'ours':>9}"
        f"{'share':>8}{'share':>8}{'error':>10}{'root once':>11}"
    )
    for size, count in CASES:
        if size < 2048 or not args.quick:
            with threadpool_limits(1):
                compare(size, count)


def compare(size: int, count: int) -> None:
    """One row: our share of each peer's time is what the targets speak of."""
    real = drawn(max(2 * size, 10_000), size, 1)
    fake = drawn(count, size, 2, 1.2, 0.05)
    began = time.perf_counter()
    reference = Reference.of(moments(real))
    once = time.perf_counter() - began
    pytorch_fid, torch_fidelity = peers(real, fake)
    generated = moments(fake)
    ways: list[Callable[[], Any]] = [
        pytorch_fid,
        torch_fidelity,
        lambda: frechet_distance(reference, fresh(generated)),
    ]
    times: list[list[float]] = [[] for _ in ways]
    told = [0.0] * len(ways)
    for _ in range(ROUNDS[size]):
        for number, way in enumerate(ways):
            began = time.perf_counter()
            told[number] = float(way())
            times[number].append(time.perf_counter() - began)
    first, second, ours = (statistics.median(spent) for spent in times)
    error = abs(told[2] - told[0]) / told[0]
    print(
        f"{size:10}{count:10}{first:13.4f}{second:16.4f}{ours:9.4f}"
        f"{f'1/{first / ours:.1f}':>8}{f'1/{second / ours:.1f}':>8}{error:10.0e}{once:11.2f}",
        flush=True,
    )


def drawn(count: int, size: int, seed: int, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    """Correlated features with a decaying spectrum, as those of networks."""
    random = torch.Generator().manual_seed(seed)
    spectrum = torch.arange(1, size + 1).double() ** -0.5
    mixing = spectrum * torch.randn(size, size, generator=random).double() / size**0.5
    return shift + scale * torch.randn(count, size, generator=random).double() @ mixing.T


def moments(features: Tensor) -> Sample:
    stream = Moments()
    for batch in features.split(1000):
        stream.add(batch)
    return stream.sample()


def fresh(sample: Sample) -> Sample:
    """The same moments without what an earlier round has cached on them."""
    return Sample(sample.count, sample.mean, sample.scatter, sample.centred)


def peers(real: Tensor, fake: Tensor) -> tuple[Callable[[], Any], Callable[[], Any]]:
    ensure_torchvision()
    warnings.simplefilter("ignore")
    from pytorch_fid.fid_score import calculate_frechet_distance
    from torch_fidelity.metric_fid import fid_statistics_to_metric

    sides = [(x.mean(0).numpy(), np.cov(x.numpy(), rowvar=False)) for x in (real, fake)]
    named = [{"mu": mean, "sigma": covariance} for mean, covariance in sides]
    return (
        lambda: calculate_frechet_distance(*sides[0], *sides[1]),
        lambda: fid_statistics_to_metric(*named, verbose=False)["frechet_inception_distance"],
    )


if __name__ == "__main__":
    main()
