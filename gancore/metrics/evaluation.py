"""Scores pictures: one pass of features for all metrics, against real features made once."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gancore import seeds
from gancore.config import RunConfig, score_name
from gancore.files import write_atomically
from gancore.metrics.feature_set import KEPT, FeatureSet
from gancore.metrics.inception import downloaded
from gancore.metrics.moments import Moments, Reference, Sample
from gancore.metrics.passport import Passport
from gancore.metrics.registry import (
    FeatureMetric,
    FeatureNetwork,
    Labelled,
    features,
    frozen,
    metrics,
)
from gancore.metrics.signals import Signals
from gancore.turns import turn

_BATCH = 250
"""Pictures at a time: fast on a CPU, small enough for any GPU."""

_LOCK = "prepare.lock"

Draw = Callable[[int], Tensor]
"""count -> uint8 [count, C, H, W] on the device where features are computed."""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What an evaluation has found.

    Args:
        scores: By name; NaN where pictures have no finite features.
        passport: The protocol of the first of them, which is the objective.
        stage: Scores of unlike stages of one run are never compared; a later stage has a higher
            number (for networks that grow, their resolution). 0 for runs of one stage.
        statistics: Further numbers of the same pass.
        signals: Of the generated pictures, by name; a verdict rests on them (see `signals.py`).
        signals_of_real: The same of real pictures held against other real ones.
    """

    scores: dict[str, float]
    passport: Passport
    stage: int = 0
    statistics: dict[str, float] = field(default_factory=dict)
    signals: dict[str, float] = field(default_factory=dict)
    signals_of_real: dict[str, float] = field(default_factory=dict)


class Judge:
    """The feature network of a run, and what it says of the real pictures.

    Args:
        network: On the device where pictures are generated.
        folder: Where the features of real pictures are kept.
        real, held_out: The training and the test split.
    """

    def __init__(
        self,
        config: RunConfig,
        network: FeatureNetwork,
        folder: Path,
        real: Labelled,
        held_out: Labelled,
        device: torch.device,
    ) -> None:
        self.config = config
        self.network = network
        self.device = device
        self.train, self.test = real, held_out
        self._folder = folder
        self._found: dict[tuple[str, int], FeatureSet] = {}
        self._signals: dict[tuple[str, int], Signals] = {}

    @classmethod
    def prepare(
        cls,
        config: RunConfig,
        real: Labelled,
        held_out: Labelled,
        *,
        folder: Path,
        device: torch.device,
    ) -> Judge:
        """Makes or loads the feature network; it is made once, though many trials may ask.

        Raises:
            FeatureNetworkUnavailable: The network's weights cannot be had.
        """
        folder.mkdir(parents=True, exist_ok=True)
        with turn(folder / _LOCK):
            source = features.build(config.evaluation.features)
            network = source.load(real, held_out, folder, config.evaluation.inception_weights)
        return cls(config, frozen(network, device), folder, real, held_out, device)

    def evaluator(
        self, real: Labelled | None = None, *, resolution: int | None = None
    ) -> Evaluator:
        """The protocol of some real pictures.

        Args:
            real: None takes the training split.
            resolution: Of the generated pictures; real ones are averaged down to it. None takes
                their own.
        """
        real = real or self.train
        full = self.train.images.shape[2]
        resolution = resolution or full
        chosen = self.config.evaluation
        found = self.real(real, resolution)
        metric = chosen.metric if is_of_features(chosen.metric) else "fid"
        passport = Passport(
            metric=score_name(metric, chosen.samples),
            features=chosen.features,
            features_digest=self.network.digest,
            accuracy=self.network.accuracy,
            real=found.moments.count,
            generated=chosen.samples,
            data_name=self.config.data.name,
            data=real.fingerprint,
            split="train",
            resolution=resolution,
            shown_at=full,
            channels=real.images.shape[1],
            weights="ema" if self.config.ema_kimg else "raw",
        )
        return Evaluator(self, metric, found, passport)

    def signals(self, real: FeatureSet, passport: Passport) -> Signals:
        """The signals of a protocol; what they need of the real pictures is computed once."""
        key = passport.data, passport.resolution
        if key not in self._signals:
            self._signals[key] = Signals(real, passport.generated)
        return self._signals[key]

    def real(self, pictures: Labelled, resolution: int) -> FeatureSet:
        """The features of real pictures, kept in the folder: all trials share them."""
        key = pictures.fingerprint, resolution
        if key not in self._found:
            self._found[key] = self._kept(pictures, resolution)
        return self._found[key]

    def _kept(self, pictures: Labelled, resolution: int) -> FeatureSet:
        digest = self.network.digest[:12]
        path = self._folder / f"real-{pictures.fingerprint[:12]}-{resolution}-{digest}.npz"
        with turn(self._folder / _LOCK):
            kept = _read(path)
            if kept is None:
                found = self.features(_reduced(pictures, resolution), spread=len(pictures.images))
                kept = _write(path, found)
        reference, rows = kept
        return self._set(reference.sample(), rows.to(self.device), reference.to(self.device))

    @torch.inference_mode()
    def features(self, parts: Iterable[Tensor], *, spread: int = 0) -> FeatureSet:
        """What the network says of pictures that come in parts, uint8 [N, C, H, W].

        Args:
            spread: If they are more than `KEPT`, rows are kept from all over this many, since
                data sets may be sorted; 0 keeps the first.

        Raises:
            gancore.metrics.moments.TooFew: They are fewer than two.
        """
        moments, kept, place = Moments(), [], 0
        chosen = torch.arange(KEPT)
        if spread > KEPT:
            chosen = torch.randperm(spread, generator=seeds.stream(0, "rows"))[:KEPT].sort()[0]
        for part in parts:
            rows = self.network(self._enlarged(part.to(self.device)))
            moments.add(rows)
            low, high = torch.searchsorted(
                chosen, torch.tensor([place, place + len(rows)])
            ).tolist()
            kept.append(rows[(chosen[low:high] - place).to(rows.device)])
            place += len(rows)
        return self._set(moments.sample(), torch.cat(kept))

    def _set(self, moments: Sample, rows: Tensor, reference: Reference | None = None) -> FeatureSet:
        logits, modes = self.network.logits(rows), self.network.modes(rows)
        return FeatureSet(moments, rows, logits, modes, self.network.mode_count, reference)

    def _enlarged(self, images: Tensor) -> Tensor:
        """Pictures of a lower resolution at the one that the network knows, in larger pixels."""
        factor = self.train.images.shape[2] // images.shape[2]
        if factor == 1:
            return images
        return images.repeat_interleave(factor, 2).repeat_interleave(factor, 3)


class Evaluator:
    """The scores of one protocol; the same for every epoch and every trial of a sweep.

    Args:
        metric: The one that is asked for.
        real: Features of the real pictures.
    """

    def __init__(self, judge: Judge, metric: str, real: FeatureSet, passport: Passport) -> None:
        self.judge = judge
        self.real = real
        self.passport = passport
        self._metrics = {passport.metric: feature_metric(metric)}

    @property
    def names(self) -> list[str]:
        """The keys of the scores: `["fid5k"]`."""
        return list(self._metrics)

    def score(self, draw: Draw) -> Scored:
        """The scores of a generator.

        Raises:
            ValueError: What was drawn is not such pictures.
        """
        return self.scored(self.features(draw))

    def features(self, draw: Draw) -> FeatureSet:
        """The features of as many pictures as the protocol asks for.

        Raises:
            ValueError: What was drawn is not such pictures.
        """
        return self.judge.features(self.drawn(draw, self.passport.generated))

    def scored(self, generated: FeatureSet) -> Scored:
        """The scores of pictures whose features are known."""
        scores = {name: m.score(self.real, generated) for name, m in self._metrics.items()}
        signals = self.judge.signals(self.real, self.passport)
        return Scored(
            scores=scores,
            passport=self.passport,
            signals=signals(generated),
            signals_of_real=signals.of_real,
        )

    def drawn(self, draw: Draw, count: int) -> Iterator[Tensor]:
        """`count` pictures in parts, each of which is checked."""
        for first in range(0, count, _BATCH):
            images = draw(min(count - first, _BATCH))
            _check(images, self.passport)
            yield images


def fetch_inception(folder: Path) -> None:
    """Has the weights of Inception where judges of this folder look for them.

    Raises:
        FeatureNetworkUnavailable: They cannot be had.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with turn(folder / _LOCK):
        downloaded(folder)


def feature_metric(name: str) -> FeatureMetric:
    """A metric that is computed from features.

    Raises:
        gancore.schema.Refused: No such metric.
        TypeError: It is a system's own.
    """
    metric = metrics.build(name)
    if not isinstance(metric, FeatureMetric):
        raise TypeError(f"{name} is not computed from features")
    return metric


def is_of_features(name: str) -> bool:
    """Whether a metric is computed from features, or else is a system's own."""
    return isinstance(metrics.build(name), FeatureMetric)


def _check(images: Tensor, passport: Passport) -> None:
    wanted = (passport.channels, passport.resolution, passport.resolution)
    if images.dtype != torch.uint8 or images.shape[1:] != wanted or not len(images):
        raise ValueError(
            f"expected uint8 pictures [N, {', '.join(map(str, wanted))}], "
            f"got {str(images.dtype).removeprefix('torch.')} {list(images.shape)}"
        )


def _reduced(pictures: Labelled, resolution: int) -> Iterator[Tensor]:
    """Pictures in parts; those of a higher resolution are averaged down, and rounded."""
    for first in range(0, len(pictures.images), _BATCH):
        images = torch.from_numpy(np.array(pictures.images[first : first + _BATCH]))
        factor = images.shape[2] // resolution
        if factor > 1:
            images = torch.nn.functional.avg_pool2d(images.float(), factor).round_().byte()
        yield images


def _write(path: Path, found: FeatureSet) -> tuple[Reference, Tensor]:
    reference, rows = found.reference.to("cpu"), found.rows.cpu()
    stream = io.BytesIO()
    mean, root = reference.mean.numpy(), reference.root.numpy()
    np.savez(stream, count=reference.count, mean=mean, root=root, rows=rows.numpy())
    write_atomically(path, stream.getvalue())
    return reference, rows


def _read(path: Path) -> tuple[Reference, Tensor] | None:
    """What was kept before; None where there is nothing, or nothing that can be read."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as kept:
            mean, root = torch.from_numpy(kept["mean"]), torch.from_numpy(kept["root"])
            rows = torch.from_numpy(kept["rows"])
            return Reference(int(kept["count"]), mean, root), rows
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
