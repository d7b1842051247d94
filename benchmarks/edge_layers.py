"""Milliseconds of the layers beside the pictures: the library's convolution and a matrix product.

    python benchmarks/edge_layers.py            # width 32, batch 64, 32x32 pixels, one thread

Each row is one layer, forward and backward, as one of the players runs it: the discriminator's
step needs the gradient of a first layer's weights, the generator's step that of its input. Both
ways run in turn (A B A B) in the layout that networks train in, channels last; medians of the
CPU time, which other work on the machine disturbs least. `auto` is the way that the layer takes
by itself.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from gancore.models.blocks import EdgeConv2d, EdgeConvTranspose2d

Layer = EdgeConv2d | EdgeConvTranspose2d


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
    print(f"{'layer':34}{'step':15}{'library ms':>11}{'product ms':>11}{'ratio':>7}  auto")
    for channels in (1, 2, 3):
        for name, layer, pixels in layers(channels, args.width):
            shape = (args.batch, layer.in_channels, pixels, pixels)
            x = torch.randn(shape).contiguous(memory_format=torch.channels_last)
            for player in players(layer):
                library, product = compare(layer, x, player, args.rounds)
                auto = "product" if channels == 1 else "library"
                print(
                    f"{name:34}{player:15}{library:11.2f}{product:11.2f}"
                    f"{library / product:7.2f}  {auto}"
                )


def layers(channels: int, width: int) -> list[tuple[str, Layer, int]]:
    """Name, layer and the pixels of its input."""
    strided = {"stride": 2, "padding": 1}
    return [
        (f"dcgan first, {channels} -> {width}", EdgeConv2d(channels, width, 4, **strided), 32),
        (
            f"dcgan last, {width} -> {channels}",
            EdgeConvTranspose2d(width, channels, 4, **strided),
            16,
        ),
        (f"resnet first, {channels} -> {width}", EdgeConv2d(channels, width, 3, padding=1), 32),
    ]


def players(layer: Layer) -> list[str]:
    return ["discriminator", "generator"] if isinstance(layer, EdgeConv2d) else ["generator"]


def compare(layer: Layer, x: Tensor, player: str, rounds: int) -> tuple[float, float]:
    """Median milliseconds of the library's way and of the product."""
    first = isinstance(layer, EdgeConv2d)
    library = nn.Conv2d.forward if first else nn.ConvTranspose2d.forward
    layer.to(memory_format=torch.channels_last)
    # A first layer learns in one step and passes gradients on in the other; a last one does both.
    layer.requires_grad_(not first or player == "discriminator")
    x = x.requires_grad_(not first or player == "generator")
    ways: list[Callable[[Tensor], Tensor]] = [lambda x: library(layer, x), layer.product]
    gradient = torch.randn_like(library(layer, x))
    times: list[list[float]] = [[], []]
    for _ in range(rounds + 2):
        for way, spent in zip(ways, times, strict=True):
            began = time.process_time()
            for _ in range(5):
                way(x).backward(gradient)
            spent.append((time.process_time() - began) / 5e-3)
    return statistics.median(times[0][2:]), statistics.median(times[1][2:])


if __name__ == "__main__":
    main()
