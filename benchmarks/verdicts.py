"""Real runs with planted failures, and healthy ones: which verdict does each get?

    python benchmarks/verdicts.py          # about two minutes on two cores

Where `tests/gancore/test_verdicts.py` plants pictures and numbers, here whole runs fail: by a
learning rate, by a loss, or by a generator that is spoilt on purpose. Every failure comes in three
degrees; below them stand five sound runs, in whose reports no ailment may occur. `first` is the
epoch of the first report with the verdict shown.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gancore.config import RunConfig
from gancore.data import Pictures
from gancore.training import train

DCGAN = {
    "data": {"name": "mnist5k", "resolution": 16},
    "model": {"name": "dcgan", "width": 16, "norm": "none"},
    "batch": 32,
    "generator": {"lr": 2e-3},
    "discriminator": {"lr": 1e-3},
    "evaluation": {"samples": 1000},
    "epochs": 12,
}
Spoil = Callable[[nn.Module], nn.Module]


class Stuck(nn.Module):
    """A generator that hears only a few latents, whatever it is told."""

    def __init__(self, network: nn.Module, known: int) -> None:
        super().__init__()
        self.network = network
        self.known = torch.randn(known, 64, generator=torch.Generator().manual_seed(0))

    def forward(self, latents: Tensor) -> Tensor:
        pictures: Tensor = self.network(self.known[torch.arange(len(latents)) % len(self.known)])
        return pictures


class Careless(nn.Module):
    """A generator of real pictures that lays two of them over each other, in a share of cases."""

    def __init__(self, pictures: Pictures, share: float) -> None:
        super().__init__()
        self.known, self.share = _unit(pictures), share

    def forward(self, latents: Tensor) -> Tensor:
        chosen = self.known[_rows(latents, len(self.known))]
        count = round(self.share * len(chosen))
        return torch.cat([torch.maximum(chosen, chosen.roll(1, 0))[:count], chosen[count:]])


class Parrot(nn.Module):
    """A generator that repeats training pictures, in a share of all cases."""

    def __init__(self, network: nn.Module, pictures: Pictures, share: float) -> None:
        super().__init__()
        self.network, self.known, self.share = network, _unit(pictures), share

    def forward(self, latents: Tensor) -> Tensor:
        pictures = self.network(latents)
        count = round(self.share * len(pictures))
        return torch.cat([self.known[_rows(latents[:count], len(self.known))], pictures[count:]])


def _unit(pictures: Pictures) -> Tensor:
    return torch.tensor(pictures.images).float() / 127.5 - 1


def _rows(latents: Tensor, count: int) -> Tensor:
    """A row for each latent, the same every time."""
    return (latents.abs().sum(1) * 1e4).long() % count


CASES: list[tuple[str, str, dict[str, Any], tuple[str, float] | None]] = [
    *[
        (
            "diverged",
            f"both rates {r:g}",
            {"generator": {"lr": r}, "discriminator": {"lr": r}},
            None,
        )
        for r in (1.0, 3.0, 10.0)
    ],
    *[("collapsed", f"{n} latents known", {}, ("stuck", n)) for n in (1, 5, 20)],
    *[("memorising", f"{s:.0%} of pictures copied", {}, ("parrot", s)) for s in (0.3, 0.6, 0.9)],
    *[
        (
            "over_generalising",
            f"{s:.0%} of pictures blended",
            # At 16 pixels a blend of two digits hardly differs from a digit.
            {"data": {"name": "mnist5k", "resolution": 32}, "epochs": 4},
            ("careless", s),
        )
        for s in (0.8, 0.85, 0.9)
    ],
    *[
        (
            "discriminator_won",
            f"minimax, D's rate {r:g}, G's {r / 100:g}",
            {
                "loss": "minimax",
                "discriminator": {"lr": r, "steps": 3},
                "generator": {"lr": r / 100},
            },
            None,
        )
        for r in (1e-3, 2e-3, 4e-3)
    ],
    *[
        (
            "slow",
            f"both rates {r:g}",
            {"generator": {"lr": r}, "discriminator": {"lr": r}, "epochs": 16},
            None,
        )
        for r in (1e-6, 3e-6, 1e-5)
    ],
    ("healthy", "nonsaturating", {}, None),
    ("healthy", "hinge", {"loss": "hinge"}, None),
    (
        "healthy",
        "wasserstein_gp",
        {
            "loss": {"name": "wasserstein_gp", "gp_weight": 0.5},
            "model": {"name": "dcgan", "width": 16, "norm": "layer"},
            "generator": {"lr": 1e-3},
        },
        None,
    ),
    (
        "healthy",
        "relativistic_pairing, r1_r2",
        {
            "loss": "relativistic_pairing",
            "penalty": {"name": "r1_r2", "weight": 0.1},
            "discriminator": {"lr": 2e-3},
            "ema_kimg": 2,
        },
        None,
    ),
    ("healthy", "conditional, projection", {"system": "conditional"}, None),
]


def run(case: tuple[str, str, dict[str, Any], tuple[str, float] | None], folder: str) -> str:
    """Trains one case and says what it was called."""
    torch.set_num_threads(1)
    wanted, name, changes, spoilt = case
    training = train(RunConfig.of({**DCGAN, **changes}), device="cpu", evaluation=Path(folder))
    system: Any = training.system
    if spoilt:
        how, degree = spoilt
        evaluated = system.evaluated
        made: dict[str, Spoil] = {
            "stuck": lambda network: Stuck(network, int(degree)),
            "careless": lambda _network: Careless(training.material.test, degree),
            "parrot": lambda network: Parrot(network, training.material.train, degree),
        }
        system.evaluated = lambda: made[how](evaluated())
    told = [(report.verdict, report.evidence, report.epoch) for report in training]
    ill = [t for t in told if t[0] not in ("healthy", "converged")]
    counts = Counter(t[0] for t in told)
    shown = next((t for t in told if t[0] == wanted), None) if wanted != "healthy" else None
    shown = shown or (ill[0] if ill else told[-1])
    mark = "yes" if (wanted in counts if wanted != "healthy" else not ill) else "NO"
    reports = ", ".join(f"{n} {v}" for v, n in counts.most_common())
    return f"{wanted:<18}{name:<34}{mark:<5}{shown[2]:>5}  {reports:<40}  {shown[1]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", help="the cases of one verdict")
    only = parser.parse_args().only
    print(f"{'planted':<18}{'by':<34}{'told':<5}{'first':>5}  reports")
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder, spawn.Pool(2) as pool:
        lines = [pool.apply_async(run, (c, folder)) for c in CASES if only in (None, c[0])]
        for line in lines:
            print(line.get(), flush=True)


if __name__ == "__main__":
    main()
