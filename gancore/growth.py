"""When a growing network grows: the phases of a progressive run, counted in pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Phase:
    """A part of a run at one resolution.

    Args:
        resolution: In pixels.
        begins: Pictures shown before it.
        fade: Pictures over which its newest layers are faded in; 0 where nothing is new.
        batch: Pictures a step.
    """

    resolution: int
    begins: float
    fade: float
    batch: int

    def alpha(self, shown: int) -> float:
        """How far the newest layers are in when a number of pictures has been shown, in [0, 1]."""
        return min(1.0, (shown - self.begins) / self.fade) if self.fade else 1.0


@dataclass(frozen=True)
class Growth:
    """From a first resolution to the last, doubling (Karras et al. 2018, arXiv:1710.10196).

    Each resolution but the first begins with a fade and goes on with a stable phase; the last
    goes on to the end of the run.

    Args:
        phases: In order.
    """

    phases: tuple[Phase, ...]

    @classmethod
    def of(
        cls,
        *,
        first: int,
        last: int,
        fade_kimg: float,
        stable_kimg: float,
        lengths: Mapping[int, float] | None,
        batch: int,
        batches: Mapping[int, int] | None,
    ) -> Growth:
        """The phases of a run.

        Args:
            first, last: Resolutions, each a power of two; `first` is at most `last`.
            fade_kimg, stable_kimg: Thousands of pictures of fade and stable phase at each
                resolution that `lengths` does not name.
            batch: Pictures a step at each resolution that `batches` does not name.
        """
        phases, begins, resolution = [], 0.0, first
        lengths, batches = lengths or {}, batches or {}
        while resolution <= last:
            fade = 1000 * lengths.get(resolution, fade_kimg) if resolution > first else 0.0
            stable = 1000 * lengths.get(resolution, stable_kimg)
            phases.append(Phase(resolution, begins, fade, batches.get(resolution, batch)))
            begins += fade + stable
            resolution *= 2
        return cls(tuple(phases))

    def at(self, shown: int) -> Phase:
        """The phase in which the next picture is shown."""
        return next(p for p in reversed(self.phases) if p.begins <= shown)

    @property
    def grown(self) -> float:
        """Pictures after which the last resolution is faded in."""
        return self.phases[-1].begins + self.phases[-1].fade

    @property
    def largest_batch(self) -> int:
        """Pictures a step, at the resolution that has most."""
        return max(phase.batch for phase in self.phases)

    def unreached(self, epochs: int, pictures: int) -> str:
        """Why the last resolution is not faded in after some epochs of a number of pictures.

        Returns:
            One line; an empty text where it is, or may be: a few pictures are left out at the end
            of every epoch, which is not counted here.
        """
        if epochs * pictures >= self.grown:
            return ""
        last = self.phases[-1].resolution
        return (
            f"{epochs} x {pictures:,} pictures end before {last} pixels are faded in, after "
            f"{self.grown:,.0f}: train longer, or give system.fade_kimg, stable_kimg or lengths"
        )

    def __iter__(self) -> Iterator[Phase]:
        return iter(self.phases)
