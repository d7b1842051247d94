"""What ails a run, told from the numbers of its last epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping

EXPLODED = 1e4
"""Loss beyond which a run is called exploded. Losses on logits of runs that still learn stay
below about 1e2, a gradient penalty's critic below about 1e3."""


def divergence(statistics: Mapping[str, float], scores: Mapping[str, float]) -> str:
    """Why a run has diverged, in words, or an empty text where it has not."""
    for name, value in {**statistics, **scores}.items():
        if not math.isfinite(value):
            return f"{name} is {value}"
    for name in ("loss_generator", "loss_discriminator"):
        if abs(statistics.get(name, 0.0)) > EXPLODED:
            return f"{name} is {statistics[name]:.3g}, beyond {EXPLODED:g}"
    return ""
