"""What a run says at the end of an epoch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from gancore.metrics import Passport


@dataclass(frozen=True, kw_only=True)
class EpochReport:
    """One epoch of a run.

    Args:
        epoch: From 1.
        kimg: Thousands of real pictures shown so far.
        scores: By name with sample count (`fid5k`); NaN where the run has diverged.
        passport: The protocol of the scores.
        stage: Scores of unlike stages are never compared: for networks that grow, their
            resolution; 0 for all others.
        statistics: Means over the epoch: losses, penalty and gradient norms of both players;
            the discriminator's accuracy on real and fake, or for a critic its estimate of the
            Wasserstein distance; signals of the generated pictures (see `gancore.metrics.signals`).
        seconds_training, seconds_evaluation: Wall time of this epoch's two parts.
        pictures: Real pictures shown in this epoch.
        grid: Samples from the same latents every epoch, uint8 [C, H, W].
        verdict: `healthy`, or one of `gancore.verdicts.AILMENTS`.
        evidence: What the verdict rests on, in words.
    """

    epoch: int
    kimg: float
    scores: dict[str, float]
    passport: Passport
    stage: int = 0
    statistics: dict[str, float]
    seconds_training: float
    seconds_evaluation: float
    pictures: int
    grid: Tensor = field(repr=False)
    verdict: str = "healthy"
    evidence: str = ""

    @property
    def diverged(self) -> bool:
        return self.verdict == "diverged"

    def values(self) -> dict[str, float]:
        """Every number of the report by name: what a tracker plots over epochs."""
        return {
            **self.scores,
            **self.statistics,
            "kimg": self.kimg,
            "pictures_per_second": self.pictures / max(self.seconds_training, 1e-9),
            "seconds_training": self.seconds_training,
            "seconds_evaluation": self.seconds_evaluation,
        }
