"""How arms and trials are called."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

UID_LENGTH = 60


def label_of(arm: Mapping[str, Any]) -> str:
    """An arm in a few words: names stand alone, any other value after the end of its path."""
    last = [path.rpartition(".")[2] for path in arm]
    words = []
    for (path, value), key in zip(arm.items(), last, strict=True):
        if key == "name":
            words.append(str(value))
        else:
            plain = value is None or isinstance(value, bool)
            shown = str(value).lower() if plain else str(value)
            # `lr=0.01` would leave open whose: then the path in full.
            words.append(f"{key if last.count(key) == 1 else path}={shown}")
    return ",".join(words) or "all"


def uid_of(number: int, label: str, digits: int) -> str:
    """The name of a plan's n-th trial, such as `012-hinge`."""
    slug = re.sub(r"[^A-Za-z0-9._]+", "-", label).strip("-.")
    return f"{number:0{digits}}-{slug}"[:UID_LENGTH].rstrip("-.")
