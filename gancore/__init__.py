"""GANs of every kind under one contract: losses, penalties, models, systems, data, scores."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from gancore.catalogue import Catalogue
from gancore.config import ConfigError, RunConfig

if TYPE_CHECKING:
    from gancore.training import EpochReport, Training, train

__all__ = ["Catalogue", "ConfigError", "EpochReport", "RunConfig", "Training", "train"]


def __getattr__(name: str) -> Any:
    # These need PyTorch and are loaded when first used: a sweep file is checked without it.
    if name in ("EpochReport", "Training", "train"):
        return getattr(importlib.import_module("gancore.training"), name)
    raise AttributeError(f"module 'gancore' has no attribute {name!r}")
