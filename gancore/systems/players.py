"""A player: a network with its optimiser."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.memory_format import convert_conv2d_weight_memory_format

from gancore import seeds
from gancore.config import Discriminator, Generator, RunConfig
from gancore.losses import Loss, Penalty, losses, penalties
from gancore.models.blocks import Drawing


class Player:
    """A network on its device, and how it learns.

    Args:
        settings: Optimiser and rates.
    """

    def __init__(
        self, network: nn.Module, settings: Generator | Discriminator, device: torch.device
    ) -> None:
        # Convolutions in the memory format that is fast on all devices.
        convert_conv2d_weight_memory_format(network, torch.channels_last)
        self.network = network.to(device).train()
        self.settings = settings
        self._rate = settings.lr
        self.forget()

    def __call__(self, *inputs: Tensor) -> Tensor:
        output: Tensor = self.network(*inputs)
        return output

    def forget(self) -> None:
        """Gives the optimiser a fresh state."""
        self.optimizer = _optimizer(self.network, self.settings)
        self.set_rate(self._rate / self.settings.lr)

    def draw_from(self, random: torch.Generator) -> None:
        """Sets the stream of the network's noise and dropout."""
        for module in self.network.modules():
            if isinstance(module, Drawing):
                module.random = random

    def set_rate(self, factor: float) -> None:
        """Sets the learning rate to `factor` times its setting."""
        self._rate = factor * self.settings.lr
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate

    def descend(self, loss: Tensor) -> Tensor:
        """One step down the gradient of a loss; returns the gradient's norm, on the device."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        parameters = (p for group in self.optimizer.param_groups for p in group["params"])
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        self.optimizer.step()
        return norm

    @torch.no_grad()
    def clip(self, bound: float) -> None:
        """Brings every weight into [-bound, bound]."""
        weights: list[Tensor] = list(self.network.parameters())
        torch._foreach_clamp_min_(weights, -bound)
        torch._foreach_clamp_max_(weights, bound)

    def state_dict(self) -> dict[str, Any]:
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over what was learnt; rates and momenta stay those of the settings."""
        self.network.load_state_dict(state["network"])
        own = [{k: v for k, v in g.items() if k != "params"} for g in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state["optimizer"])
        for group, settings in zip(self.optimizer.param_groups, own, strict=True):
            group.update(settings)


def made(seed: int, *makers: Callable[[], nn.Module]) -> list[nn.Module]:
    """Networks from a seed; made on the CPU, so that it gives one beginning on every device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeds.derive(seed, "networks"))
        return [make() for make in makers]


def game(config: RunConfig) -> tuple[Loss, list[Penalty]]:
    """What a run's players minimise, and the penalties that are to be computed."""
    loss = losses.build(config.loss.name, **config.loss.options)
    own: Penalty | None = getattr(loss, "own_penalty", None)
    chosen = penalties.build(config.penalty.name, **config.penalty.options)
    return loss, [p for p in (own, chosen) if p is not None and p.active]


def learning_rate_factor(config: RunConfig, progress: float) -> float:
    """What all learning rates are multiplied by when a share `progress` of the run is done."""
    if config.lr_decay == "none" or progress <= config.lr_decay_start:
        return 1.0
    fallen = (progress - config.lr_decay_start) / (1 - config.lr_decay_start)
    return 1 - fallen if config.lr_decay == "linear" else (1 + math.cos(math.pi * fallen)) / 2


def autocast(config: RunConfig, device: torch.device) -> torch.autocast:
    """The number format of the networks' passes."""
    enabled = config.precision == "bfloat16"
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


def _optimizer(network: nn.Module, how: Generator | Discriminator) -> torch.optim.Optimizer:
    weights = list(network.parameters())
    match how.optimizer:
        case "adam":
            return torch.optim.Adam(weights, lr=how.lr, betas=(how.beta1, how.beta2), fused=True)
        case "rmsprop":
            return torch.optim.RMSprop(weights, lr=how.lr, alpha=how.beta2, momentum=how.beta1)
        case "sgd":
            return torch.optim.SGD(weights, lr=how.lr, momentum=how.beta1, fused=True)
