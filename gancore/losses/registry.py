"""What every adversarial loss and every gradient penalty promises, and the tables of both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from gancore.registry import Registry


class Loss(Protocol):
    """What the two players minimise, given the discriminator's logits for real and fake.

    Logits in [N], losses out [N], unreduced. Both players see both, so that a relativistic
    loss is not a special case. A loss that also has an attribute `clip` asks for the
    discriminator's weights to be clipped to [-clip, clip] after each of its steps; one with an
    attribute `own_penalty` (a `Penalty`) asks for that penalty to be added. Where the generator's
    loss depends on the real logits it says so by a constant `relativistic = True`; a critic, whose
    loss is an estimate of the Wasserstein distance, by `estimates_wasserstein = True`; and where
    the logit that divides real from fake is not 0, it is `boundary`.
    """

    def discriminator(self, real: Tensor, fake: Tensor, /) -> Tensor: ...

    def generator(self, real: Tensor, fake: Tensor, /) -> Tensor: ...


class Penalty(Protocol):
    """An extra term of the discriminator's loss, a function of its gradient at some pictures.

    Args of a call: the discriminator ([N, C, H, W] -> [N]), real and fake pictures
    [N, C, H, W] (detached), and the random generator for whatever is drawn. Returns the
    weighted penalty of each sample, [N]. It is applied on every `interval`-th step, times
    `interval` ("lazy regularisation", Karras et al. 2020, arXiv:1912.04958, appendix B): the
    penalty multiplies by itself, the training step only counts.
    """

    @property
    def active(self) -> bool:
        """Whether it need be computed at all."""
        ...

    @property
    def interval(self) -> int: ...

    def __call__(
        self,
        discriminator: Callable[[Tensor], Tensor],
        real: Tensor,
        fake: Tensor,
        random: torch.Generator,
        /,
    ) -> Tensor: ...


losses: Registry[Loss] = Registry("loss")
penalties: Registry[Penalty] = Registry("penalty")
