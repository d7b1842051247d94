"""Layers that more than one model family uses."""

from __future__ import annotations

from typing import Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

Network = TypeVar("Network", bound=nn.Module)
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
        weight = self.weight.flatten(1).t().expand(x.shape[0], -1, -1)
        pixels = torch.baddbmm(self.bias, patches, weight)  # [N, H'W', out_channels]
        # Channels come last in memory, which is the layout that networks run in.
        return pixels.view(x.shape[0], rows, columns, -1).permute(0, 3, 1, 2)

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
        # Channels last in memory, so that the convolutions that follow need not copy. Not `len`,
        # which `torch.export` takes for a constant: the batch would be fixed.
        return super().forward(latents).view(latents.shape[0], 4, 4, -1).permute(0, 3, 1, 2)


class Flat(nn.Module):
    """A feature map as a vector, without a copy where channels come last in memory.

    [N, C, H, W] -> [N, HWC]
    """

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


class Discriminator(nn.Module):
    """What every discriminator is: features, and a linear head that makes a logit of them.

    The features are what a class-conditional head, a classifier or feature matching builds on.

    [N, C, H, W] -> [N]

    Args:
        body: [N, C, H, W] -> [N, width].
        norm: What the body is normalised by; a head that is added later follows it.
    """

    def __init__(self, body: nn.Module, width: int, norm: Norm = "none") -> None:
        super().__init__()
        self.body = body
        self.head: nn.Module = nn.Linear(width, 1)
        self.width = width
        self.norm = norm

    def features(self, pictures: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, width]."""
        vectors: Tensor = self.body(pictures)
        return vectors

    def forward(self, pictures: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(pictures))
        return logits.squeeze(1)

    def new_head(self, outputs: int, *, bias: bool = True) -> nn.Module:
        """A further head of the kind that this discriminator has: [N, width] -> [N, outputs]."""
        return with_spectral_norm(nn.Linear(self.width, outputs, bias=bias), self.norm)


class Drawing(nn.Module):
    """A layer that draws random numbers while it learns, from a stream that the run sets.

    PyTorch's own draw from the process's one stream, which no run could take up where it was.
    """

    random: torch.Generator | None = None


class Noise(Drawing):
    """Adds Gaussian noise of a standard deviation."""

    def __init__(self, deviation: float) -> None:
        super().__init__()
        self.deviation = deviation

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.deviation:
            return x
        noise = torch.randn(x.shape, generator=self.random, device=x.device, dtype=x.dtype)
        return x + self.deviation * noise


class Dropout(Drawing):
    """Leaves out a share of all numbers and scales the others up (Srivastava et al. 2014)."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.share:
            return x
        kept = torch.rand(x.shape, generator=self.random, device=x.device) >= self.share
        return x * kept / (1 - self.share)


class FittedToData(nn.Module):
    """A layer whose beginning rests on data: while `fitting`, a pass through it sets its scale."""

    fitting = False


@torch.no_grad()
def fit_to_data(network: nn.Module, pictures: Tensor) -> None:
    """Sets what rests on data in a network, by one pass of pictures [N, C, H, W] through it."""
    layers = [m for m in network.modules() if isinstance(m, FittedToData)]
    for layer in layers:
        layer.fitting = True
    if layers:
        network(pictures)
    for layer in layers:
        layer.fitting = False


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


def normal_weights(network: Network) -> Network:
    """The network with weights from N(0, 0.02) and biases 0 (Radford et al. 2016, section 4)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network


def with_spectral_norm(network: Network, norm: Norm) -> Network:
    """The network, whose every layer has a spectral norm of about 1 if `norm` is "spectral".

    Miyato et al. 2018 (arXiv:1802.05957), algorithm 1: one power iteration per forward pass in
    training mode, of the weight as a matrix [out, in * kernel^2]. Initialise the weights before:
    afterwards `weight` is computed and cannot be written to.
    """
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    for layer in layers if norm == "spectral" else []:
        spectral_norm(layer)
    return network
