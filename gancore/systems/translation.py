"""What is shown and scored of two translators between two domains."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from gancore import seeds
from gancore.config import RunConfig, score_name
from gancore.data import DataUnavailable, Pictures, domain
from gancore.data.batches import to_uint8, to_unit
from gancore.metrics import Evaluator, Passport, Scored
from gancore.metrics.frechet import frechet_distance
from gancore.systems.grid import tile
from gancore.systems.material import Material
from gancore.systems.registry import Product

A, B = DOMAINS = (0, 1)

GRID_EACH = 10
"""Pictures of either domain in the grid."""

_PIXELS = 2**20
"""Pixels translated at once: 1,024 pictures of 32x32, or 16 of 256x256."""


class Journey(NamedTuple):
    """Pictures [N, C, H, W] in [-1, 1], their translations, and these translated back."""

    original: Tensor
    there: Tensor
    back: Tensor


@dataclass(frozen=True)
class _Direction:
    """What is found of one translator.

    Args:
        error: Mean absolute error of what came back, in units of [-1, 1].
        kept: Share of the pictures that still show what they did; None where nobody can tell.
    """

    scored: Scored
    error: float
    kept: float | None


class Translating(ABC):
    """Samples, grid, scores and product of two translators.

    Scored are translations of test pictures and, where more are asked for than there are, of
    training pictures after them; none twice. They are held against the real training pictures of
    the domain that they should be of. Whatever score is asked for (`fid500`) is the mean of both
    directions, with each of them beside it (`fid_ab500`, `fid_ba500`). Passport and signals are
    those of A to B.
    """

    config: RunConfig
    material: Material

    @abstractmethod
    def evaluated(self) -> nn.ModuleList:
        """The translators that are scored: into A, into B."""

    @cached_property
    def real(self) -> list[Pictures]:
        """The training pictures of either domain."""
        return [domain(self.material.train, which) for which in DOMAINS]

    @cached_property
    def held_out(self) -> list[Pictures]:
        """The test pictures of either domain."""
        return [domain(self.material.test, which) for which in DOMAINS]

    @cached_property
    def sources(self) -> list[Pictures]:
        """The pictures of either domain whose translations are scored.

        Raises:
            DataUnavailable: There are fewer than are asked for.
        """
        return [self._source(which) for which in DOMAINS]

    def ready(self) -> None:
        """Tells too few pictures before any time is spent on them.

        Raises:
            DataUnavailable: See `sources`.
        """
        self.sources  # noqa: B018

    def _source(self, which: int) -> Pictures:
        asked, test, train = self.config.evaluation.samples, self.held_out[which], self.real[which]
        more = asked - len(test.images)
        if more <= 0:
            return test.chosen(np.arange(asked), "scored")
        if more > len(train.images):
            has = f"domain {'AB'[which]} has {asked - more} test and {len(train.images)} training"
            raise DataUnavailable(f"evaluation.samples: {has} pictures to translate, not {asked}")
        assert test.labels is not None
        assert train.labels is not None
        images = np.concatenate([test.images, train.images[:more]])
        return Pictures(images, np.concatenate([test.labels, train.labels[:more]]))

    def evaluator(self, into: int = B) -> Evaluator:
        """The protocol of translations into a domain."""
        return self.material.judge.evaluator(self.real[into])

    def passport(self) -> Passport:
        """That of A to B; the other direction has the same with the domains exchanged."""
        self.ready()
        return self.evaluator(B).passport

    @cached_property
    def between(self) -> float:
        """FID of the real pictures of A against those of B."""
        a, b = (self.evaluator(which).real for which in DOMAINS)
        return frechet_distance(b.reference, a.moments)

    def score(self) -> Scored:
        forth, back = self._direction(B), self._direction(A)
        scores: dict[str, float] = {}
        count = score_name("", self.config.evaluation.samples)
        for name, value in forth.scored.scores.items():
            stem, other = name.removesuffix(count), back.scored.scores[name]
            scores[name] = (value + other) / 2
            scores |= {f"{stem}_ab{count}": value, f"{stem}_ba{count}": other}
        scores["cycle_error"] = (forth.error + back.error) / 2
        statistics = {**forth.scored.statistics, "fid_between": self.between}
        if forth.kept is not None and back.kept is not None:
            statistics["content_kept"] = (forth.kept + back.kept) / 2
        return replace(forth.scored, scores=scores, statistics=statistics)

    def _direction(self, into: int) -> _Direction:
        evaluator, source = self.evaluator(into), self.sources[1 - into]
        errors: list[Tensor] = []
        place = 0

        def draw(count: int) -> Tensor:
            nonlocal place
            original, there, back = self.journey(source.images[place : place + count], into)
            errors.append((back - original).abs().mean((1, 2, 3)))
            place += count
            return to_uint8(there)

        features = evaluator.features(draw)
        error = torch.cat(errors).double().mean().item()
        kept = self._kept(features.logits, source.labels)
        return _Direction(evaluator.scored(features), error, kept)

    def _kept(self, logits: Tensor | None, labels: npt.NDArray[np.int64] | None) -> float | None:
        """Share of translations that show what their labels say, whatever the domain."""
        classes = self.material.classes
        if logits is None or labels is None or classes == 2 or logits.shape[1] != classes:
            return None
        shown, wanted = logits.argmax(1).cpu() // 2, torch.from_numpy(labels[: len(logits)]) // 2
        return (shown == wanted).double().mean().item()

    @torch.inference_mode()
    def journey(self, images: npt.NDArray[np.uint8], into: int) -> Journey:
        """Takes pictures of one domain to the other and back.

        Args:
            images: [N, C, H, W].
            into: The other domain.
        """
        size = max(1, _PIXELS // (images.shape[2] * images.shape[3]))
        original = to_unit(torch.from_numpy(np.array(images)).to(self.material.device))
        there, back = [], []
        with _at_rest(self.evaluated()) as translators:
            for part in original.split(size):
                there.append(translators[into](part).float())
                back.append(translators[1 - into](there[-1]).float())
        return Journey(original, torch.cat(there), torch.cat(back))

    def sample(self, count: int, random: torch.Generator) -> Tensor:
        """Translations of test pictures of A, none twice before all once, uint8 [N, C, H, W]."""
        images = self.held_out[A].images
        laps = -(-count // len(images))
        order = [torch.randperm(len(images), generator=random) for _ in range(laps)]
        rows = torch.cat(order)[:count]
        return to_uint8(self.journey(images[rows.numpy()], B).there)

    def grid(self) -> Tensor:
        """Rows of the same test pictures each time: A, its translation, and that translated back;
        the same of B.
        """
        each = min(GRID_EACH, *(len(pictures.images) for pictures in self.held_out))
        rows: list[Tensor] = []
        for which, pictures in zip(DOMAINS, self.held_out, strict=True):
            order = torch.randperm(len(pictures.images), generator=seeds.stream(0, "grid", which))
            rows += self.journey(pictures.images[order[:each].numpy()], 1 - which)
        return tile(to_uint8(torch.cat(rows)), columns=each)

    def product(self) -> Product:
        """The translator from A to B; for the other one exchange the domains of the data set."""
        network = copy.deepcopy(self.evaluated()[B]).eval().requires_grad_(False)
        channels, resolution = self.material.shape
        pictures = torch.zeros(2, channels, resolution, resolution)
        return Product(kind="translator", network=network, inputs={"pictures": pictures})


@contextmanager
def _at_rest(network: nn.ModuleList) -> Iterator[nn.ModuleList]:
    """Networks in evaluation mode for a while."""
    was_training = network.training
    network.eval()
    try:
        yield network
    finally:
        network.train(was_training)
