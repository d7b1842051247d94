"""Random streams that depend on what they are for, not on what was drawn before.

Each purpose of each epoch has its own generator, so no generator's state need be saved, and an
extra evaluation cannot shift training.
"""

from __future__ import annotations

import hashlib

import torch


def derive(seed: int, *purpose: str | int) -> int:
    """A seed in [0, 2^63) for a purpose: `derive(seed, "latents", epoch)`."""
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def stream(seed: int, *purpose: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A random generator for a purpose, on a device."""
    return torch.Generator(device).manual_seed(derive(seed, *purpose))
