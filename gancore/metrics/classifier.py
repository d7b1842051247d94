"""A feature network that is trained here, once, on the labelled pictures themselves."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from gancore import seeds
from gancore.files import write_atomically, write_json
from gancore.metrics.registry import (
    FeatureNetwork,
    FeatureNetworkUnavailable,
    Labelled,
    features,
)

RECIPE = 1
"""Changes whenever the same pictures would give another network."""

FEATURES = 64
_EPOCHS = 8
_BATCH = 64
_RATE = 3e-3


@features.register("classifier")
@dataclass(frozen=True, kw_only=True)
class Classifier:
    """A small convolutional classifier of the data set's own labels.

    For digits and other pictures that Inception never saw, and where there is no network. The
    same pictures give the same weights on the same kind of machine; a sweep trains it once and
    all its trials share the file.
    """

    gives: ClassVar[tuple[str, ...]] = ("logits", "modes")

    def load(
        self, real: Labelled, held_out: Labelled, folder: Path, _weights: str | None
    ) -> FeatureNetwork:
        if real.labels is None or held_out.labels is None:
            raise FeatureNetworkUnavailable(
                "the feature network `classifier` learns from labels, and these pictures have "
                "none: use `features: inception`"
            )
        path = folder / f"classifier-{real.fingerprint[:12]}-{RECIPE}.pt"
        return kept_or(lambda: train_classifier(real, held_out), path)


class Layers(FeatureNetwork):
    """Four strided convolutions; the features are the mean over all places of the last."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.size = FEATURES
        self.channels, self.mode_count = channels, classes
        widths = [channels, 16, 32, 64, FEATURES]
        strides = [2, 2, 2, 1]
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False),
                nn.BatchNorm2d(after),
            )
            for before, after, stride in zip(widths, widths[1:], strides, strict=False)
        )
        self.head = nn.Linear(FEATURES, classes)

    def forward(self, images: Tensor) -> Tensor:
        x = images.float().div(127.5).sub(1).contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            x = F.relu(block(x))
        return x.mean((2, 3))

    def logits(self, features: Tensor) -> Tensor:
        scores: Tensor = self.head(features)
        return scores

    def folded(self) -> Layers:
        """The same function with each batch norm inside its convolution: fewer passes."""
        self.eval()
        for number, block in enumerate(self.blocks):
            assert isinstance(block, nn.Sequential)
            convolution, norm = block
            assert isinstance(convolution, nn.Conv2d)
            assert isinstance(norm, nn.BatchNorm2d)
            self.blocks[number] = nn.Sequential(fuse_conv_bn_eval(convolution, norm))
        return self


def kept_or(train: Callable[[], tuple[Layers, float]], path: Path) -> Layers:
    """The network that a file has; trained, with its accuracy, where there is none, or damaged.

    The network is always the one that was read, so that the first to ask for it and all others
    have the same.
    """
    kept = _read(path)
    if kept is None:
        _write(path, *train())
        kept = _read(path)
    assert kept is not None, f"{path} was damaged while it was written"
    return kept


def train_classifier(real: Labelled, held_out: Labelled) -> tuple[Layers, float]:
    """Trains the network; returns it with its accuracy on the held-out pictures."""
    assert real.labels is not None
    assert held_out.labels is not None
    images, labels = torch.tensor(real.images), torch.tensor(real.labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeds.derive(RECIPE, "classifier"))
        network = Layers(images.shape[1], int(labels.max()) + 1)
    batches = max(1, len(images) // _BATCH)
    adam = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        adam, _RATE, total_steps=_EPOCHS * batches, cycle_momentum=False
    )
    order = seeds.stream(RECIPE, "order")
    network.train()
    for _ in range(_EPOCHS):
        rows = torch.randperm(len(images), generator=order)
        for batch in rows[: batches * _BATCH].tensor_split(batches):
            logits = network.logits(network(_shifted(images[batch], order)))
            loss = F.cross_entropy(logits, labels[batch], label_smoothing=0.05)
            adam.zero_grad()
            loss.backward()
            adam.step()
            schedule.step()
    network.eval()
    with torch.inference_mode():
        told = network.logits(network(torch.tensor(held_out.images))).argmax(1)
    accuracy = (told == torch.tensor(held_out.labels)).double().mean().item()
    return network, accuracy


def _shifted(images: Tensor, random: torch.Generator) -> Tensor:
    """Moves a batch by up to a sixteenth of its size: what is learnt must not hang on places."""
    most = images.shape[2] // 16
    down, right = (torch.randint(-most, most + 1, (2,), generator=random)).tolist()
    return images.roll((down, right), (2, 3))


def _write(path: Path, network: Layers, accuracy: float) -> None:
    stream = io.BytesIO()
    torch.save(network.state_dict(), stream)
    write_atomically(path, stream.getvalue())
    facts = {
        "channels": network.channels,
        "classes": network.mode_count,
        "accuracy": accuracy,
        "digest": weights_digest(network.state_dict()),
    }
    write_json(path.with_suffix(".json"), facts)


def _read(path: Path) -> Layers | None:
    """The network as it was written; None where it was not, or is damaged."""
    try:
        facts: dict[str, Any] = json.loads(path.with_suffix(".json").read_text())
        network = Layers(facts["channels"], facts["classes"])
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        network.digest, network.accuracy = facts["digest"], facts["accuracy"]
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, UnpicklingError):
        return None
    if weights_digest(network.state_dict()) != network.digest:
        return None
    return network.folded()


def weights_digest(state: dict[str, Tensor]) -> str:
    """sha256 over names and bytes of all weights."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()
