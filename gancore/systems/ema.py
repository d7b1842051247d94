"""The running average of the generator's weights, which is what is evaluated."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from gancore.config import RunConfig


class Average:
    """Exponential moving average of a network (Karras et al. 2018, arXiv:1710.10196, section 3).

    Counted in pictures, so that runs of unlike batch size average over the same data, and with
    the ramp of StyleGAN2: the half-life is at most `rampup` times the pictures seen, or else a
    short run would average over its own beginning. Buffers (batch norm's running statistics)
    are averaged alike, whole numbers among them copied.

    Args:
        network: What is averaged.
        half_life: In pictures, > 0.
        rampup: In [0, 1]; 0 switches the ramp off.
    """

    def __init__(self, network: nn.Module, half_life: float, rampup: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.half_life = half_life
        self.rampup = rampup
        self._pairs = _pairs(network, self.network)

    @torch.no_grad()
    def update(self, seen: float, since: int) -> None:
        """Moves towards the network's present weights.

        Args:
            seen: Pictures that the average may rest on: those of the whole run, or of its stage.
            since: Pictures shown since the last update.
        """
        half_life = min(self.half_life, self.rampup * seen) if self.rampup else self.half_life
        weight = 1 - 0.5 ** (since / max(half_life, 1e-8))
        (sources, targets), (counters, copies) = self._pairs
        torch._foreach_lerp_(targets, sources, weight)
        for counter, copied in zip(counters, copies, strict=True):
            copied.copy_(counter)

    def state_dict(self) -> dict[str, Any]:
        return self.network.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state)


def averaged(network: nn.Module, config: RunConfig) -> Average | None:
    """The average that a run asks for; None where the weights themselves are evaluated."""
    if not config.ema_kimg:
        return None
    return Average(network, 1000 * config.ema_kimg, config.ema_rampup)


Tensors = tuple[list[Tensor], list[Tensor]]


def _pairs(source: nn.Module, target: nn.Module) -> tuple[Tensors, Tensors]:
    """Matching tensors of two equal networks: floating ones, then whole numbers."""
    ours, theirs = dict(target.state_dict(keep_vars=True)), source.state_dict(keep_vars=True)
    names = sorted(ours)
    floating = [n for n in names if ours[n].is_floating_point()]
    whole = [n for n in names if not ours[n].is_floating_point()]
    return (
        ([theirs[n].detach() for n in floating], [ours[n].detach() for n in floating]),
        ([theirs[n] for n in whole], [ours[n] for n in whole]),
    )
