"""Milliseconds of the layers beside the pictures: the library's convolution and a matrix product.

    python benchmarks/edge_layers.py            # width 32, batch 64, 32x32 pixels, one thread

Each row is one layer, forward and backward, as one of the players runs it: the discriminator's
step needs the gradient of a first layer's weights, the generator's step that of its input. Inputs
and gradients lie in memory as in training, channels last. Both ways run in turn (A B A B);
medians of the CPU time, which other work on the machine disturbs least. `taken` is the way that
the layer takes by itself. The last row is a whole step of both players of the DCGAN.
"""

from __future__ import annotations

import argparse
import copy
import os
import platform
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from gancore.models import ImageShape, models
from gancore.models.blocks import EdgeConv2d, EdgeConvTranspose2d

Layer = EdgeConv2d | EdgeConvTranspose2d
LIBRARY = {EdgeConv2d: nn.Conv2d, EdgeConvTranspose2d: nn.ConvTranspose2d}
LAYOUT = torch.channels_last


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(
        f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}, {os.cpu_count()} cores, "
        f"{args.threads} thread(s), torch {torch.__version__}; "
        f"width {args.width}, batch {args.batch}, 32x32, {args.rounds} rounds"
    )
    print(f"{'layer':24}{'step of':16}{'library ms':>11}{'product ms':>11}{'ratio':>7}  taken")
    for channels in (1, 2, 3):
        for name, layer, pixels in layers(channels, args.width):
            x = torch.randn(args.batch, layer.in_channels, pixels, pixels)
            x = x.contiguous(memory_format=LAYOUT)
            # A last layer learns and passes its gradient on in the same step.
            first = isinstance(layer, EdgeConv2d)
            for player in ("discriminator", "generator") if first else ("generator",):
                layer.requires_grad_(not first or player == "discriminator")
                x.requires_grad_(not first or player == "generator")
                library, product = medians(ways(layer, x), args.rounds, inner=5)
                taken = "product" if channels == 1 else "library"
                show(f"{name}, {channels} channels", player, library, product, taken)
    library, product = medians(whole_steps(args.width, args.batch), args.rounds, inner=1)
    show("dcgan, 1 channels", "both", library, product, "product")


def show(name: str, player: str, library: float, product: float, taken: str) -> None:
    ratio = library / product
    print(f"{name:24}{player:16}{library:11.2f}{product:11.2f}{ratio:7.2f}  {taken}")


def layers(channels: int, width: int) -> list[tuple[str, Layer, int]]:
    """Name, layer and the pixels of its input."""
    return [
        ("dcgan first", EdgeConv2d(channels, width, 4, stride=2, padding=1), 32),
        ("dcgan last", EdgeConvTranspose2d(width, channels, 4, stride=2, padding=1), 16),
        ("resnet first", EdgeConv2d(channels, width, 3, padding=1), 32),
    ]


def ways(layer: Layer, x: Tensor) -> list[Callable[[], None]]:
    """The library's way, then the product; one call is forward and backward."""
    library = LIBRARY[type(layer)].forward
    layer.to(memory_format=LAYOUT)
    gradient = torch.randn_like(library(layer, x)).contiguous(memory_format=LAYOUT)
    return [
        lambda: library(layer, x).backward(gradient),
        lambda: layer.product(x).backward(gradient),
    ]


def whole_steps(width: int, batch: int) -> list[Callable[[], None]]:
    """Forward and backward of both players, out of the library's layers, then of ours."""
    family = models.build("dcgan", width=width)
    players = [family.generator(64, ImageShape(1, 32)), family.discriminator(ImageShape(1, 32))]
    ours = [player.to(memory_format=LAYOUT) for player in players]
    library = copy.deepcopy(ours)
    for module in [m for player in library for m in player.modules()]:
        module.__class__ = LIBRARY.get(type(module), type(module))
    real, latents = torch.randn(batch, 1, 32, 32), torch.randn(batch, 64)

    def step(generator: nn.Module, discriminator: nn.Module) -> None:
        fake = generator(latents)
        (discriminator(fake.detach()) - discriminator(real)).mean().backward()
        discriminator.requires_grad_(False)
        discriminator(fake).mean().backward()
        discriminator.requires_grad_(True)

    return [lambda: step(*library), lambda: step(*ours)]


def medians(calls: list[Callable[[], None]], rounds: int, inner: int) -> list[float]:
    """Median milliseconds of CPU time of each call, run in turn after two rounds to warm up."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds + 2):
        for call, spent in zip(calls, times, strict=True):
            began = time.process_time()
            for _ in range(inner):
                call()
            spent.append((time.process_time() - began) / inner * 1e3)
    return [statistics.median(spent[2:]) for spent in times]


if __name__ == "__main__":
    main()
