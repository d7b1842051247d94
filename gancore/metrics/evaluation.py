"""Scores a generator: one pass of features for all metrics, against a reference made once."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from gancore.config import RunConfig, score_name
from gancore.files import write_atomically
from gancore.metrics.moments import Moments, Reference
from gancore.metrics.passport import Passport
from gancore.metrics.registry import FeatureNetwork, Labelled, features, frozen, metrics

_BATCH = 250
"""Pictures at a time: fast on a CPU, small enough for any GPU."""


class Evaluator:
    """The scores of one protocol; the same for every epoch and every trial of a sweep.

    Args:
        network: On the device where pictures are generated.
        reference: Of the real pictures, in the same network's features.
    """

    def __init__(
        self, config: RunConfig, network: FeatureNetwork, reference: Reference, passport: Passport
    ) -> None:
        self.samples = config.evaluation.samples
        self.network = network
        self.reference = reference
        self.passport = passport
        name = config.evaluation.metric
        self._metrics = {score_name(name, self.samples): metrics.build(name)}

    @property
    def names(self) -> list[str]:
        """The keys of the scores: `["fid5k"]`."""
        return list(self._metrics)

    @classmethod
    def prepare(
        cls,
        config: RunConfig,
        real: Labelled,
        held_out: Labelled,
        *,
        folder: Path,
        device: torch.device,
    ) -> Evaluator:
        """Makes or loads the feature network and the reference of the real pictures.

        Both are kept in the folder and made once, though many trials may ask at the same time.

        Raises:
            FeatureNetworkUnavailable: The network's weights cannot be had.
        """
        folder.mkdir(parents=True, exist_ok=True)
        chosen = config.evaluation
        with FileLock(folder / "prepare.lock"):
            source = features.build(chosen.features)
            network = source.load(real, held_out, folder, chosen.inception_weights)
            network = frozen(network, device)
            key = f"reference-{real.fingerprint[:12]}-{network.digest[:12]}.npz"
            reference = _read(folder / key) or _make(folder / key, network, real, device)
        passport = Passport(
            metric=score_name(chosen.metric, chosen.samples),
            features=chosen.features,
            features_digest=network.digest,
            accuracy=network.accuracy,
            real=reference.count,
            generated=chosen.samples,
            data_name=config.data.name,
            data=real.fingerprint,
            split="train",
            resolution=real.images.shape[2],
            channels=real.images.shape[1],
            weights="ema" if config.ema_kimg else "raw",
        )
        return cls(config, network, reference.to(device), passport)

    @torch.inference_mode()
    def score(self, draw: Callable[[int], Tensor]) -> dict[str, float]:
        """The scores of a generator, NaN where its pictures have no finite features.

        Args:
            draw: count -> uint8 [count, C, H, W] on the evaluator's device.

        Raises:
            ValueError: What was drawn is not such pictures.
        """
        moments, left = Moments(), self.samples
        while left:
            images = draw(min(left, _BATCH))
            _check(images, self.passport)
            moments.add(self.network(images))
            left -= len(images)
        generated = moments.sample()
        return {name: m.score(self.reference, generated) for name, m in self._metrics.items()}


def _check(images: Tensor, passport: Passport) -> None:
    wanted = (passport.channels, passport.resolution, passport.resolution)
    if images.dtype != torch.uint8 or images.shape[1:] != wanted or not len(images):
        raise ValueError(
            f"expected uint8 pictures [N, {', '.join(map(str, wanted))}], "
            f"got {str(images.dtype).removeprefix('torch.')} {list(images.shape)}"
        )


@torch.inference_mode()
def _make(path: Path, network: FeatureNetwork, real: Labelled, device: torch.device) -> Reference:
    moments = Moments()
    for first in range(0, len(real.images), _BATCH):
        batch = np.array(real.images[first : first + _BATCH])
        moments.add(network(torch.from_numpy(batch).to(device)))
    reference = Reference.of(moments.sample())
    stream = io.BytesIO()
    mean, root = reference.mean.cpu().numpy(), reference.root.cpu().numpy()
    np.savez(stream, count=reference.count, mean=mean, root=root)
    write_atomically(path, stream.getvalue())
    return reference


def _read(path: Path) -> Reference | None:
    """A reference made before; None where there is none, or none that can be read."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as kept:
            mean, root = torch.from_numpy(kept["mean"]), torch.from_numpy(kept["root"])
            return Reference(int(kept["count"]), mean, root)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
