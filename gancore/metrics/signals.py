"""Cheap signals of what generated pictures lack, beside the same signals of real ones."""

from __future__ import annotations

import torch
from torch import Tensor

from gancore import seeds
from gancore.metrics.distances import to_nearest
from gancore.metrics.feature_set import FeatureSet
from gancore.metrics.manifold import manifold

LOOKED_AT = 1000
"""Pictures that a signal rests on at most: of each side, so that all runs' signals compare."""

FEWEST = 20
"""Below this many there are no signals: they would be noise."""

NEAREST = 5
COPY = 0.2
"""A near-copy has a training picture within this much of the usual nearest distance."""

_OFTEN = 0.1


class Signals:
    """What verdicts rest on, of one protocol.

    `precision`, `recall`, `density` and `coverage` by `NEAREST` neighbours (see `manifold.py`);
    `diversity`, the mean distance of two pictures in feature space; `copies`, the share of pictures
    that nearly are training pictures; and where modes are known, `modes`: how many are shown at
    least a tenth as often as by real pictures, since a feature network may mistake one for another.
    Generated pictures are held against one half of the real ones, and so, for reference, is the
    other half.

    Args:
        real: Of the training split.
        samples: Generated pictures that will be scored.
    """

    def __init__(self, real: FeatureSet, samples: int) -> None:
        rows = real.rows
        order = torch.randperm(len(rows), generator=seeds.stream(0, "signals")).to(rows.device)
        count = min(LOOKED_AT, len(rows) // 2, samples)
        self.count = count if count >= FEWEST else 0
        self.of_real: dict[str, float] = {}
        if not self.count:
            return
        ours, others = order[:count], order[count : 2 * count]
        self._real = FeatureSet.of(rows[ours])
        self._all = real
        held_out = FeatureSet.of(rows[others])
        apart = to_nearest(held_out, real, among_them=True)
        self._near = COPY * apart.median()
        modes = None if real.modes is None else real.modes[others]
        self._modes = torch.zeros(0) if modes is None else _counts(modes, real.mode_count)
        self.of_real = self._signals(held_out, modes, apart)

    def __call__(self, generated: FeatureSet) -> dict[str, float]:
        """The signals of generated pictures; empty where they are too few or not finite."""
        rows = generated.rows[: self.count]
        if not self.count or len(rows) < self.count or not torch.isfinite(rows).all():
            return {}
        modes = None if generated.modes is None else generated.modes[: self.count]
        shown = FeatureSet.of(rows)
        return self._signals(shown, modes, to_nearest(shown, self._all))

    def _signals(
        self, pictures: FeatureSet, modes: Tensor | None, apart: Tensor
    ) -> dict[str, float]:
        shown = manifold(self._real, pictures, NEAREST)
        signals = {
            "precision": shown.precision,
            "recall": shown.recall,
            "density": shown.density,
            "coverage": shown.coverage,
            "diversity": torch.cdist(pictures.rows, pictures.rows).mean().item(),
            "copies": (apart < self._near).float().mean().item(),
        }
        if modes is not None:
            shown_often = _counts(modes, len(self._modes)) >= _OFTEN * self._modes
            signals["modes"] = float((shown_often & (self._modes > 0)).sum())
        return signals


def _counts(modes: Tensor, mode_count: int) -> Tensor:
    """How many pictures each mode has, [mode_count]."""
    return modes[modes >= 0].bincount(minlength=mode_count)
