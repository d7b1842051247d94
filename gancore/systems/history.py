"""Generated pictures of earlier steps, kept so that a discriminator does not forget them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class History:
    """The buffer of Shrivastava et al. (2017, arXiv:1612.07828, section 2.3), as CycleGAN has it.

    While it fills, every picture is kept and shown. From then on each picture is shown with even
    chance, or else it takes the place of an earlier one, drawn evenly, which is shown instead.

    Args:
        size: Pictures that are kept; 0 shows every picture and keeps none.
    """

    def __init__(self, size: int, device: torch.device) -> None:
        self.size = size
        self.device = device
        self.kept: list[Tensor] = []

    def exchanged(self, pictures: Tensor, random: torch.Generator) -> Tensor:
        """What is shown for some new pictures [N, C, H, W], of the same shape.

        Args:
            random: On the CPU, so that the choice is the same on any device.
        """
        return (
            torch.stack([self._exchanged(p, random) for p in pictures]) if self.size else pictures
        )

    def _exchanged(self, picture: Tensor, random: torch.Generator) -> Tensor:
        if len(self.kept) < self.size:
            self.kept.append(picture.clone())
            return picture
        if torch.rand((), generator=random) < 0.5:
            return picture
        place = int(torch.randint(self.size, (), generator=random))
        earlier, self.kept[place] = self.kept[place], picture.clone()
        return earlier

    def state_dict(self) -> dict[str, Any]:
        return {"kept": list(self.kept)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.kept = [picture.to(self.device) for picture in state["kept"]]
