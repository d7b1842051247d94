"""The protocol of a score; without it a number cannot be compared."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class Passport:
    """What a score rests on; scores with unlike passports are never compared.

    Args:
        metric: The score's name.
        features: The feature network, and sha256 of its weights.
        accuracy: The feature network's own, on the test split, where it was trained on labels.
        real: Real pictures, all of a split.
        generated: Generated pictures.
        data: Fingerprint of the real pictures.
        resolution: Of both, in pixels; `channels` alike.
        shown_at: The resolution at which the feature network saw them: enlarged, where networks
            grow and have not reached their last one.
        weights: Whether the generator's averaged weights were scored, or its own.
    """

    metric: str
    features: str
    features_digest: str
    accuracy: float | None
    real: int
    generated: int
    data_name: str
    data: str
    split: Literal["train", "test"]
    resolution: int
    shown_at: int
    channels: int
    weights: Literal["ema", "raw"]

    def as_mapping(self) -> dict[str, Any]:
        """Plain names and values."""
        return asdict(self)

    @property
    def digest(self) -> str:
        """Twelve hex digits; equal protocols have equal ones."""
        text = json.dumps(self.as_mapping(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]
