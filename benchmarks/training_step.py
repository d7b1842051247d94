"""Pictures per second of a training step, beside the tutorial loop and Ray's own GAN example.

    python benchmarks/training_step.py                 # grey digits, 32x32x1, width 32, batch 64
    python benchmarks/training_step.py --channels 3 --width 64 --batch 128

All ways train the same DCGAN with the same losses (non-saturating, batch norm in both players):

    tutorial     the loop of PyTorch's DCGAN tutorial: DataLoader with two workers over PIL pictures
                 and transforms, the library's own layers, Adam as it comes, losses read every step
    ray example  Ray's `pbt_dcgan_mnist` as it is, imported from the installed Ray: every five
                 batches it starts its loader anew (grey digits only)
      one pass   the same, spared that: it goes through its loader to the end
    gansweep     one training process, or two at once as a sweep runs them

Each way runs in processes of its own, in turn, several rounds; medians and ratios are printed.
First the losses of tutorial and gansweep are compared step by step from one beginning.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

WAYS = {
    "tutorial 1x2": ("tutorial", 1, 2),
    "tutorial 2x1": ("tutorial", 2, 1),
    "ray example 1x2": ("ray", 1, 2),
    "  one pass 1x2": ("ray-pass", 1, 2),
    "gansweep 1x2": ("ours", 1, 2),
    "gansweep 2x1": ("ours", 2, 1),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument(
        "--worker", choices=["tutorial", "ray", "ray-pass", "ours"], help=argparse.SUPPRESS
    )
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        print(measure(args))
        return
    import torch

    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )
    print(
        f"32x32x{args.channels}, width {args.width}, batch {args.batch}; "
        f"{args.rounds} rounds of {args.seconds:g} s; PxT = processes x threads each"
    )
    gap = compare_losses(args)
    print(f"losses of the first 8 steps, tutorial against gansweep: largest relative gap {gap:.1e}")
    ways = {k: w for k, w in WAYS.items() if args.channels == 1 or "ray" not in w[0]}
    speeds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(args.rounds):
        for way, (worker, processes, threads) in ways.items():
            speeds[way].append(together(args, worker, processes, threads))
    base = statistics.median(speeds["tutorial 1x2"])
    print(f"\n{'way':18}{'pictures/s':>12}{'spread':>16}{'ratio':>8}")
    for way, values in speeds.items():
        middle = statistics.median(values)
        spread = f"{min(values):.0f}-{max(values):.0f}"
        print(f"{way:18}{middle:12.0f}{spread:>16}{middle / base:8.2f}")
    flops, peak = flops_per_picture(args), 2 * convolution_peak(args)
    reached = statistics.median(speeds["gansweep 2x1"]) * flops
    print(
        f"\ngansweep 2x1 computes {reached / 1e9:.0f} Gflop/s: {reached / peak:.0%} of twice the "
        f"{peak / 2e9:.0f} Gflop/s that one thread reaches in the middle convolution alone"
    )


def together(args: argparse.Namespace, worker: str, processes: int, threads: int) -> float:
    """The summed speed of processes that run at once."""
    command = [
        sys.executable,
        __file__,
        "--worker",
        worker,
        "--threads",
        str(threads),
        "--channels",
        str(args.channels),
        "--width",
        str(args.width),
        "--batch",
        str(args.batch),
        "--seconds",
        str(args.seconds),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(processes)
    ]
    return sum(float(process.communicate()[0].split()[-1]) for process in running)


def measure(args: argparse.Namespace) -> float:
    """Pictures per second of one process."""
    import torch

    torch.set_num_threads(args.threads)
    ways = {"tutorial": tutorial, "ray": ray_example, "ray-pass": ray_example, "ours": ours}
    step = ways[args.worker](args)
    warm_until = time.perf_counter() + min(2.0, args.seconds)
    while time.perf_counter() < warm_until:
        next(step)
    shown, began = 0, time.perf_counter()
    while (now := time.perf_counter()) < began + args.seconds:
        shown += next(step)
    return shown / (now - began)


def flops_per_picture(args: argparse.Namespace) -> float:
    """Of products and convolutions in our step, forward and backward, as PyTorch counts them."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    players = system(args)
    real = torch.randn(args.batch, args.channels, 32, 32)
    with FlopCounterMode(display=False) as counter:
        players.step(real)
    return counter.get_total_flops() / args.batch


def convolution_peak(args: argparse.Namespace) -> float:
    """Flop/s of the discriminator's second layer, forward on one thread: the best of 50."""
    import torch

    torch.set_num_threads(1)
    layer = torch.nn.Conv2d(args.width, 2 * args.width, 4, stride=2, padding=1, bias=False)
    layer = layer.to(memory_format=torch.channels_last).requires_grad_(False)
    x = torch.randn(args.batch, args.width, 16, 16).to(memory_format=torch.channels_last)
    times = []
    for _ in range(50):
        began = time.perf_counter()
        layer(x)
        times.append(time.perf_counter() - began)
    return 2 * args.batch * 64 * layer.weight.numel() / min(times)


def pictures(args: argparse.Namespace) -> Any:
    """Random pictures: what they show does not change what a step costs."""
    import numpy as np

    from gancore.data import Pictures

    draws = np.random.default_rng(0)
    images = draws.integers(0, 256, (4000, args.channels, 32, 32), dtype=np.uint8)
    return Pictures(images=images, labels=None)


def system(args: argparse.Namespace) -> Any:
    import torch

    from gancore.config import Component, Discriminator, Generator, RunConfig
    from gancore.models import ImageShape
    from gancore.systems import Material
    from gancore.systems.adversarial import Adversarial

    config = RunConfig(
        model=Component(name="dcgan", options={"width": args.width, "norm": "batch"}),
        latent=100,
        batch=args.batch,
        generator=Generator(lr=2e-4),
        discriminator=Discriminator(lr=2e-4),
        ema_kimg=0.0,
    )
    material = Material(config, torch.device("cpu"), shape=ImageShape(args.channels, 32))
    return Adversarial(config, material)


def ours(args: argparse.Namespace) -> Iterator[int]:
    from gancore import seeds
    from gancore.data.batches import Batches

    players, batches, epoch = system(args), Batches(pictures(args), args.batch), 0
    while True:
        epoch += 1
        players.begin_epoch(epoch, 0.0)
        for batch in batches.epoch(seeds.stream(0, epoch)):
            players.step(batch.unit)
            yield len(batch.images)
        players.end_epoch()


def plain(network: Any) -> Any:
    """The same network out of the library's own layers, with the same weights."""
    import torch
    from torch import nn

    from gancore.models.blocks import EdgeConv2d, EdgeConvTranspose2d

    for module in network.modules():
        # Subclasses with the same parameters: only the way of computing differs.
        if isinstance(module, EdgeConv2d):
            module.__class__ = nn.Conv2d
        elif isinstance(module, EdgeConvTranspose2d):
            module.__class__ = nn.ConvTranspose2d
    return network.to(memory_format=torch.contiguous_format)


def tutorial_step(
    generator: Any, discriminator: Any, adam_g: Any, adam_d: Any, latents: Callable[[int], Any]
) -> Callable[[Any], tuple[float, float]]:
    """One step as tutorials write it: two backward passes for D, every loss read."""
    import torch
    from torch import nn

    criterion = nn.BCEWithLogitsLoss()

    def step(real: Any) -> tuple[float, float]:
        discriminator.zero_grad()
        label = torch.full((len(real),), 1.0)
        loss_real = criterion(discriminator(real).view(-1), label)
        loss_real.backward()
        fake = generator(latents(len(real)))
        label.fill_(0.0)
        loss_fake = criterion(discriminator(fake.detach()).view(-1), label)
        loss_fake.backward()
        loss_d = loss_real + loss_fake
        adam_d.step()
        generator.zero_grad()
        label.fill_(1.0)
        loss_g = criterion(discriminator(fake).view(-1), label)
        loss_g.backward()
        adam_g.step()
        return loss_g.item(), loss_d.item()

    return step


def tutorial(args: argparse.Namespace) -> Iterator[int]:
    from gancore.torchvision_import import ensure_torchvision

    ensure_torchvision()
    import torch
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset
    from torchvision import transforms

    grey = args.channels == 1
    turn = transforms.Compose(
        [
            transforms.Resize(32),
            transforms.CenterCrop(32),
            transforms.ToTensor(),
            transforms.Normalize((0.5,) * args.channels, (0.5,) * args.channels),
        ]
    )
    arrays = pictures(args).images.transpose(0, 2, 3, 1)
    arrays = arrays[:, 2:30, 2:30, 0] if grey else arrays

    class Decoded(Dataset[Any]):
        """Pictures as torchvision's data sets give them: digits of 28 pixels, or colour of 32."""

        def __len__(self) -> int:
            return len(arrays)

        def __getitem__(self, index: int) -> Any:
            return turn(Image.fromarray(arrays[index]))

    loader = DataLoader(
        Decoded(), batch_size=args.batch, shuffle=True, num_workers=2, drop_last=True
    )
    players = system(args)
    generator, discriminator = plain(players.generator), plain(players.discriminator)
    step = tutorial_step(
        generator,
        discriminator,
        torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999)),
        torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999)),
        lambda count: torch.randn(count, 100),
    )
    while True:
        for real in loader:
            step(real)
            yield len(real)


def ray_example(args: argparse.Namespace) -> Iterator[int]:
    from gancore.torchvision_import import ensure_torchvision

    ensure_torchvision()
    warnings.simplefilter("ignore")
    import torch
    from PIL import Image
    from ray.tune.examples.pbt_dcgan_mnist import common
    from torch.utils.data import DataLoader
    from torchvision import transforms

    common.ray.get = lambda reference: reference
    common.ngf = common.ndf = args.width
    turn = transforms.Compose(
        [transforms.Resize(32), transforms.ToTensor(), transforms.Normalize((0.13066,), (0.30131,))]
    )
    arrays = pictures(args).images[:, 0, 2:30, 2:30]

    class Decoded(torch.utils.data.Dataset[Any]):
        """28-pixel pictures through the example's own transforms."""

        def __len__(self) -> int:
            return len(arrays)

        def __getitem__(self, index: int) -> Any:
            return turn(Image.fromarray(arrays[index])), 0

    loader = DataLoader(Decoded(), batch_size=args.batch, shuffle=True, num_workers=2)
    generator, discriminator = common.Generator(), common.Discriminator()
    adam_d = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    adam_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    judge = common.Net().eval()
    if args.worker == "ray-pass":
        common.train_iterations_per_step = len(loader)
    while True:
        shown = common.train_iterations_per_step * args.batch
        common.train_func(
            discriminator,
            generator,
            adam_g,
            adam_d,
            torch.nn.BCELoss(),
            loader,
            1,
            torch.device("cpu"),
            judge,
        )
        yield shown


def compare_losses(args: argparse.Namespace) -> float:
    """The largest relative gap between the two losses over eight steps from one beginning."""
    import copy

    import torch

    from gancore import seeds
    from gancore.data.batches import to_unit

    players = system(args)
    generator = plain(copy.deepcopy(players.generator.network))
    discriminator = plain(copy.deepcopy(players.discriminator.network))
    draws = seeds.stream(players.config.seed, "latents", 1)
    step = tutorial_step(
        generator,
        discriminator,
        torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999)),
        torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999)),
        lambda count: torch.randn(count, 100, generator=draws),
    )
    images = torch.from_numpy(pictures(args).images[: 8 * args.batch])
    players.begin_epoch(1, 0.0)
    gap, before = 0.0, {"loss_generator": 0.0, "loss_discriminator": 0.0}
    for number, batch in enumerate(images.split(args.batch), start=1):
        real = to_unit(batch)
        theirs = dict(zip(before, step(real), strict=True))
        players.step(real)
        means = players.end_epoch()
        for name, value in theirs.items():
            mine = means[name] * number - before[name]
            before[name] = means[name] * number
            gap = max(gap, abs(mine - value) / abs(value))
    return gap


if __name__ == "__main__":
    main()
