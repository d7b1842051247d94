"""How population-based training varies the values of a trial whose state it takes over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sweeps.space import Choice, Dimension, Range, Space, chance

RESAMPLED = 0.25
FACTORS = (0.8, 1.2)
"""Ray's defaults, as in the paper: a value is drawn anew, or multiplied by one of these."""

CHANGEABLE = ("generator.", "discriminator.", "loss.", "penalty.", "ema_kimg", "ema_rampup")
"""What may change while a run is under way; all else decides networks, pictures or length."""


def changeable(dimension: Dimension) -> bool:
    """Whether a dimension's values may change in mid-training: numbers that shape no network."""
    if not dimension.path.startswith(CHANGEABLE):
        return False
    values = dimension.values
    return isinstance(values, Range) or all(
        isinstance(v, int | float) and not isinstance(v, bool) for v in values.values
    )


class Explorer:
    """Draws that depend on nothing but the search's seed, the place and the epoch."""

    def __init__(self, space: Space, seed: int) -> None:
        self._space = space
        self._seed = seed

    def pick(self, count: int, draw: int, epoch: int) -> int:
        """One of `count`, each as likely as the next."""
        return int(count * self._chance(draw, epoch, "winner"))

    def vary(self, varied: Mapping[str, Any], draw: int, epoch: int) -> dict[str, Any]:
        """A winner's values, those changed that may be (Jaderberg et al. 2017, section 4.1.2).

        With a chance of 1/4 a value is drawn anew; else a number of a range is multiplied by 0.8
        or 1.2, and of a list its neighbour is taken. A dimension that means something only now,
        beside the changed values, is drawn.
        """
        tuned = {d.path for d in self._space.nuisance} | {tie.path for tie in self._space.ties}
        found = {path: value for path, value in varied.items() if path not in tuned}
        for dimension in self._space.nuisance:
            if self._space.exists(dimension, found):
                found[dimension.path] = self._value(dimension, varied, draw, epoch)
        return self._space.tied(found)

    def _value(self, dimension: Dimension, varied: Mapping[str, Any], draw: int, epoch: int) -> Any:
        path, values = dimension.path, dimension.values
        before = varied.get(path)
        if before is not None and not changeable(dimension):
            return before
        fresh = values.draw(self._chance(draw, epoch, path))
        if before is None or self._chance(draw, epoch, f"{path}/anew") < RESAMPLED:
            return fresh
        up = self._chance(draw, epoch, f"{path}/up") < 0.5
        if isinstance(values, Choice):
            return _neighbour(values.values, before, up)
        return _scaled(values, before, FACTORS[up])

    def _chance(self, draw: int, epoch: int, what: str) -> float:
        return chance(self._seed, draw, f"pbt/{epoch}/{what}")


def _neighbour(values: Sequence[Any], before: Any, up: bool) -> Any:
    """The next smaller or greater of a list's numbers; at its end, the end."""
    ordered = sorted(values)
    place = ordered.index(before) + (1 if up else -1)
    return ordered[min(max(place, 0), len(ordered) - 1)]


def _scaled(values: Range, before: float, factor: float) -> float:
    after = min(max(before * factor, values.low), values.high)
    if values.scale != "int_uniform":
        return after
    # A small whole number would be rounded back to itself for ever.
    step = 1 if factor > 1 else -1
    whole = round(after) if round(after) != before else int(before) + step
    return int(min(max(whole, values.low), values.high))
