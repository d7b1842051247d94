"""Do a conditional GAN's digits carry the label that was asked for? A judge from outside the sweep.

    python benchmarks/labels.py SWEEP [--storage runs] [--mnist ROOT]

The sweep's own `label_accuracy` is told by the feature network, which learnt from the sweep's own
4,000 digits. Here a classifier learns from the 60,000 of MNIST, is tested on the 1,000 held-out
digits of mnist5k, and then told the best checkpoint of every arm: 10,000 generated digits each.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gancore import seeds
from gancore.config import RunConfig
from gancore.data import load
from gancore.metrics.classifier import train_classifier
from gancore.training import load_system
from sweeps.folder import find
from sweeps.results import Results
from sweeps.samples import checkpoint_of

COUNT = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("sweep")
    parser.add_argument("--storage", type=Path, default=Path("runs"))
    parser.add_argument("--mnist", help="torchvision's folder; default: the cache's, or a download")
    given = parser.parse_args()
    place = find(given.storage, given.sweep)
    root = {"root": given.mnist} if given.mnist else {}
    mnist = RunConfig.of({"data": {"name": "mnist", "resolution": 32, **root}}).data
    small = load(RunConfig.of({"data": {"name": "mnist5k", "resolution": 32}}).data, "test")
    judge, accuracy = train_classifier(load(mnist, "train"), load(mnist, "test"))

    @torch.inference_mode()
    def told(pictures: torch.Tensor) -> torch.Tensor:
        return torch.cat([judge.head(judge(part)).argmax(1) for part in pictures.split(500)])

    assert small.labels is not None
    right = told(torch.from_numpy(np.array(small.images))) == torch.from_numpy(small.labels)
    print(f"judge: {accuracy:.2%} of MNIST's test digits, {right.float().mean():.2%} of mnist5k's")
    for arm, trials in Results.read(place).leaderboard:
        system: Any = load_system(checkpoint_of(place, trials[0].trial.uid))
        labels = torch.arange(COUNT) % 10
        drawn = system.of_classes(labels, seeds.stream(1, "judge"))
        share = (told(drawn) == labels).float().mean().item()
        print(f"{arm:<14} {share:.2%} of {COUNT:,} digits carry the label asked for")


if __name__ == "__main__":
    main()
