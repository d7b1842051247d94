"""Layers that more than one model family uses."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

Norm = Literal["none", "batch", "layer", "spectral"]

_FEW = 4
"""Channels up to which a convolution is an edge layer: pictures on one side of it."""


class EdgeConv2d(nn.Conv2d):
    """A convolution from or to pictures, as matrix products on a CPU.

    The CPU library's kernels are made for many channels on both sides; with one to four on one
    side a product of patches is several times as fast (benchmarks/edge_layers.py). Parameters
    and mathematics are those of `nn.Conv2d`, which computes it on any other device.

    [N, in_channels, H, W] -> [N, out_channels, H', W']
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type == "cpu" and self.in_channels <= _FEW:
            return self._from_pictures(x)
        if x.device.type == "cpu" and self.out_channels <= _FEW and self.stride == (1, 1):
            return self._to_pictures(x)
        return super().forward(x)

    def _from_pictures(self, x: Tensor) -> Tensor:
        (high, wide), (down, right) = self.kernel_size, self.stride
        top, left = _pair(self.padding)
        patches = F.pad(x, (left, left, top, top)).unfold(2, high, down).unfold(3, wide, right)
        count, _, rows, columns = patches.shape[:4]
        # [N, C, rows, columns, high, wide] -> [N * rows * columns, C * high * wide]
        flat = patches.permute(0, 2, 3, 1, 4, 5).reshape(count * rows * columns, -1)
        product = F.linear(flat, self.weight.flatten(1), self.bias)
        # The rows of the product are pixels with all their channels: channels_last as it comes.
        return product.view(count, rows, columns, -1).permute(0, 3, 1, 2)

    def _to_pictures(self, x: Tensor) -> Tensor:
        # Each pixel's share in every pixel around it, then the sum of what falls on one place.
        weight = self.weight.flip(2, 3).permute(0, 2, 3, 1).reshape(-1, self.in_channels)
        top, left = (size - 1 - p for size, p in zip(
            self.kernel_size, _pair(self.padding), strict=True))
        size = (x.shape[2] - self.kernel_size[0] + 1 + 2 * _pair(self.padding)[0],
                x.shape[3] - self.kernel_size[1] + 1 + 2 * _pair(self.padding)[1])
        return _spread(x, weight, self.bias, size, self.kernel_size, (1, 1), (top, left))


class EdgeConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution to pictures, as a matrix product on a CPU (see `EdgeConv2d`).

    [N, in_channels, H, W] -> [N, out_channels, H', W']
    """

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        if x.device.type != "cpu" or self.out_channels > _FEW or output_size is not None:
            return super().forward(x, output_size)
        padding = _pair(self.padding)
        size = tuple(
            (n - 1) * s - 2 * p + k
            for n, s, p, k in zip(x.shape[2:], self.stride, padding, self.kernel_size, strict=True)
        )
        weight = self.weight.permute(1, 2, 3, 0).reshape(-1, self.in_channels)
        return _spread(x, weight, self.bias, size, self.kernel_size, self.stride, padding)


class FromLatent(nn.Linear):
    """A latent vector to the first picture: a transposed convolution of one pixel, as a product.

    [N, latent] -> [N, channels, size, size]
    """

    def __init__(self, latent: int, channels: int, size: int = 4) -> None:
        super().__init__(latent, size * size * channels)
        self.channels = channels
        self.size = size

    def forward(self, latents: Tensor) -> Tensor:
        pixels = super().forward(latents).view(-1, self.size, self.size, self.channels)
        return pixels.permute(0, 3, 1, 2)  # Channels last in memory, as all that follow want it.


class ToLogit(nn.Linear):
    """All of a small picture to one logit.

    [N, channels, size, size] -> [N]
    """

    def __init__(self, channels: int, size: int = 4) -> None:
        super().__init__(size * size * channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1).flatten(1)).squeeze(1)


def normalised(layer: nn.Module, norm: Norm, channels: int) -> nn.Sequential:
    """A layer with the norm that a discriminator asks for.

    Args:
        channels: Of the layer's output.
    """
    match norm:
        case "batch":
            return nn.Sequential(layer, nn.BatchNorm2d(channels))
        case "layer":
            # One group of all channels: layer norm over C, H and W with a gain a channel.
            return nn.Sequential(layer, nn.GroupNorm(1, channels))
        case "spectral":
            return nn.Sequential(spectral_norm(layer))
        case "none":
            return nn.Sequential(layer)


def spectral_only(layer: nn.Module, norm: Norm) -> nn.Module:
    """A layer that no other norm applies to: the first and the last of a discriminator."""
    return spectral_norm(layer) if norm == "spectral" else layer


def _spread(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
) -> Tensor:
    """Gives every pixel's product with `weight` to the patch it belongs to, and sums overlaps."""
    count, channels = x.shape[:2]
    flat = x.permute(0, 2, 3, 1).reshape(-1, channels)
    shares = (flat @ weight.T).view(count, -1, len(weight)).transpose(1, 2)
    pictures = F.fold(shares, list(size), list(kernel), stride=list(stride), padding=list(padding))
    return pictures if bias is None else pictures + bias.view(1, -1, 1, 1)


def _pair(padding: str | tuple[int, ...]) -> tuple[int, ...]:
    if isinstance(padding, str):
        raise ValueError("an edge layer takes padding in pixels")
    return padding


@torch.no_grad()
def initialise(network: nn.Module, std: float) -> None:
    """Weights from N(0, std), biases 0 (Radford et al. 2016, arXiv:1511.06434, section 4)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            module.weight.normal_(0.0, std)
            if module.bias is not None:
                module.bias.zero_()
