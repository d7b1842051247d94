"""Layers that more than one model family uses."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

Norm = Literal["none", "batch", "layer", "spectral"]
"""What a discriminator may be normalised by; a family spells the choices out in its signature."""


class EdgeConv2d(nn.Conv2d):
    """A convolution of pictures, whose parameters and mathematics are those of `nn.Conv2d`.

    The CPU library has no fast kernel for a single input channel: there the convolution is a
    matrix product of patches, and its forward and backward pass take 1/1.3 to 1/4 of the time
    (benchmarks/edge_layers.py, which also shows why three channels stay with the library). Like
    the library's it is differentiable twice, as gradient penalties need it.

    [N, in_channels, H, W] -> [N, out_channels, H', W']
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: int = 0,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding)
        self.window = {"kernel_size": kernel_size, "stride": stride, "padding": padding}

    def forward(self, x: Tensor) -> Tensor:
        edge = self.in_channels == 1 and x.device.type == "cpu"
        return self.product(x) if edge else super().forward(x)

    def product(self, x: Tensor) -> Tensor:
        """The convolution as a matrix product, for any number of channels."""
        assert self.bias is not None
        rows, columns = self._size(x.shape[2]), self._size(x.shape[3])
        patches = F.unfold(x, **self.window).transpose(1, 2)  # [N, H'W', C * kernel^2]
        weight = self.weight.flatten(1).t().expand(len(x), -1, -1)
        pixels = torch.baddbmm(self.bias, patches, weight)  # [N, H'W', out_channels]
        # Channels come last in memory, which is the layout that networks run in.
        return pixels.view(len(x), rows, columns, -1).permute(0, 3, 1, 2)

    def _size(self, size: int) -> int:
        window = self.window
        return (size + 2 * window["padding"] - window["kernel_size"]) // window["stride"] + 1


class EdgeConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution to pictures, with the mathematics of `nn.ConvTranspose2d`.

    Where there is a single output channel the CPU takes a matrix product, then sums the patches
    that overlap (see `EdgeConv2d`).

    [N, in_channels, H, W] -> [N, out_channels, H', W']
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: int = 0,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding)
        self.window = {"kernel_size": kernel_size, "stride": stride, "padding": padding}

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        edge = self.out_channels == 1 and x.device.type == "cpu" and output_size is None
        return self.product(x) if edge else super().forward(x, output_size)

    def product(self, x: Tensor) -> Tensor:
        """The transposed convolution as a matrix product, for any number of channels."""
        assert self.bias is not None
        size = (self._size(x.shape[2]), self._size(x.shape[3]))
        patches = self.weight.flatten(1).t() @ x.flatten(2)  # [N, K * kernel^2, HW]
        return F.fold(patches, size, **self.window) + self.bias.view(-1, 1, 1)

    def _size(self, size: int) -> int:
        window = self.window
        return (size - 1) * window["stride"] - 2 * window["padding"] + window["kernel_size"]


class FromLatent(nn.Linear):
    """A latent vector to the first feature map: a transposed convolution of one pixel.

    As a product it costs a fraction of what the convolution kernels take for it.

    [N, latent] -> [N, channels, 4, 4]
    """

    def __init__(self, latent: int, channels: int) -> None:
        super().__init__(latent, 16 * channels)

    def forward(self, latents: Tensor) -> Tensor:
        # Channels last in memory, so that the convolutions that follow need not copy.
        return super().forward(latents).view(len(latents), 4, 4, -1).permute(0, 3, 1, 2)


class ToLogit(nn.Linear):
    """The last feature map to one logit: a convolution that covers all of it.

    [N, channels, 4, 4] -> [N]
    """

    def __init__(self, channels: int) -> None:
        super().__init__(16 * channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1).flatten(1)).squeeze(1)


def map_norm(norm: Norm, channels: int) -> nn.Module:
    """The layer that normalises feature maps, or one that does nothing.

    [N, channels, H, W] -> [N, channels, H, W]
    """
    match norm:
        case "batch":
            return nn.BatchNorm2d(channels)
        case "layer":
            # One group of all channels: layer norm over C, H and W with one gain per channel.
            return nn.GroupNorm(1, channels)
        case "none" | "spectral":
            return nn.Identity()


def with_spectral_norm(network: nn.Module, norm: Norm) -> nn.Module:
    """The network, whose every layer has a spectral norm of about 1 if `norm` is "spectral".

    Miyato et al. 2018 (arXiv:1802.05957), algorithm 1: one power iteration per forward pass in
    training mode, of the weight as a matrix [out, in * kernel^2]. Initialise the weights before:
    afterwards `weight` is computed and cannot be written to.
    """
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    for layer in layers if norm == "spectral" else []:
        spectral_norm(layer)
    return network
