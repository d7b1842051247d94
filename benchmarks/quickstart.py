"""A whole sweep, beside the same sweep written as Ray's `pbt_dcgan_mnist` example is.

    python benchmarks/quickstart.py              # ten minutes on two cores
    python benchmarks/quickstart.py --draws 2    # two draws of each loss in place of six

Both train the quickstart's networks, losses and draws, two trials at a time, and score every epoch
by 1,000 pictures on the same features. gansweep runs first, and the peer then trains each trial for
as many epochs as it trained there: the same work. The rest it does as the example: a fresh worker
for each trial that imports torchvision, a DataLoader with two workers over PIL pictures and
transforms, the library's layers, two backward passes for the discriminator, losses read every
step, a checkpoint an epoch. It is spared what the example lacks: MLflow, journal, sample grids; and
its features come from gansweep, trained beforehand and not counted. What is timed is each whole
command: start of Ray, imports, training, end.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).parents[1] / "search_spaces" / "quickstart.yaml"
GP_LOSS = "wasserstein_gp"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--draws", type=int, default=6)
    parser.add_argument("--peer", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        peer_sweep(args.peer)
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sweep.yaml"
        content = yaml.safe_load(FILE.read_text())
        content["search"]["trials_each"] = args.draws
        file.write_text(yaml.safe_dump(content))
        kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environment = {**kept, "GANSWEEP_CACHE": str(Path(folder) / "cache")}
        runs = ["--storage", str(Path(folder) / "runs")]
        command = [sys.executable, "-m", "sweeps.cli"]
        ours, _ = timed([*command, "run", str(file), *runs], environment)
        peer, epochs = timed([sys.executable, __file__, "--peer", str(file)], environment)
    print(f"{4 * args.draws} trials, {epochs.split()[-1]} epochs, {os.cpu_count()} cores")
    print(f"as Ray's example {peer:7.1f} s")
    print(f"gansweep         {ours:7.1f} s   {peer / ours:.1f} times as fast")


def timed(command: list[str], environment: dict[str, str]) -> tuple[float, str]:
    """Seconds of a command, and what it printed."""
    began = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
    return time.perf_counter() - began, done.stdout.decode()


def peer_sweep(file: Path) -> None:
    """The sweep as one would write it from Ray's example."""
    import ray
    from ray import tune

    from sweeps.results import Results

    results = Results.read(file.parent / "runs" / file.stem)
    configs = [{**r.trial.config, "epochs": r.epoch} for r in results.trials.values()]
    evaluation = results.folder / "evaluation"
    ray.init(include_dashboard=False, log_to_driver=False)
    trainable = tune.with_parameters(
        peer_trial, evaluation=str(evaluation), here=str(Path(__file__).parent)
    )
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space={"run": tune.grid_search(configs)},
        run_config=tune.RunConfig(storage_path=str(file.parent / "peer"), verbose=0),
    )
    grid = tuner.fit()
    assert not grid.errors, grid.errors[0]
    print(sum(result.metrics["training_iteration"] for result in grid))


def peer_trial(config: dict[str, Any], evaluation: str, here: str) -> None:
    """One trial in the manner of the example."""
    sys.path.insert(0, here)
    from gancore.torchvision_import import ensure_torchvision

    ensure_torchvision()
    import torch
    from ray import tune
    from training_step import plain

    from gancore import RunConfig
    from gancore.training import train

    run = RunConfig.of(config["run"])
    # Networks and scores are gansweep's, so that only the way of training differs.
    training = train(replace(run, ema_kimg=0.0), evaluation=Path(evaluation))
    system: Any = training.system
    generator, discriminator = plain(system.generator), plain(system.discriminator)
    players = (run.generator, generator), (run.discriminator, discriminator)
    adams = [
        torch.optim.Adam(network.parameters(), lr=player.lr, betas=(player.beta1, player.beta2))
        for player, network in players
    ]
    step = peer_step(run, generator, discriminator, *adams)
    for _epoch in range(run.epochs):
        for real in loader(run):
            step(real)
        scores = training.system.score().scores
        with tempfile.TemporaryDirectory() as folder:
            states = [m.state_dict() for m in (generator, discriminator, *adams)]
            torch.save(states, Path(folder) / "checkpoint.pt")
            tune.report(scores, checkpoint=tune.Checkpoint.from_directory(folder))


def loader(run: Any) -> Iterator[Any]:
    """The data set as torchvision's are read: PIL pictures through transforms."""
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset
    from torchvision import transforms

    from gancore.data import load

    turn = transforms.Compose(
        [transforms.Resize(32), transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))]
    )
    arrays = load(run.data, "train").images[:, 0, 2:30, 2:30]

    class Decoded(Dataset[Any]):
        """28-pixel pictures, as the files hold them."""

        def __len__(self) -> int:
            return len(arrays)

        def __getitem__(self, index: int) -> Any:
            return turn(Image.fromarray(arrays[index]))

    yield from DataLoader(
        Decoded(), batch_size=run.batch, shuffle=True, drop_last=True, num_workers=2
    )


def peer_step(
    run: Any, generator: Any, discriminator: Any, adam_g: Any, adam_d: Any
) -> Callable[[Any], tuple[float, float]]:
    """One step as examples write it."""
    import torch
    from torch.nn import functional as F

    sides: dict[str, tuple[Any, Any, Any]] = {  # of real, of fake, of the generator
        "nonsaturating": (lambda x: F.softplus(-x), F.softplus, lambda x: F.softplus(-x)),
        "minimax": (lambda x: F.softplus(-x), F.softplus, lambda x: -F.softplus(x)),
        "hinge": (lambda x: F.relu(1 - x), lambda x: F.relu(1 + x), lambda x: -x),
        GP_LOSS: (lambda x: -x, lambda x: x, lambda x: -x),
    }
    of_real, of_fake, of_generator = sides[run.loss.name]

    def penalty(real: Any, fake: Any) -> Any:
        share = torch.rand(len(real), 1, 1, 1)
        between = (share * real + (1 - share) * fake).requires_grad_()
        (slope,) = torch.autograd.grad(discriminator(between).sum(), between, create_graph=True)
        return run.loss.options["gp_weight"] * (slope.flatten(1).norm(dim=1) - 1).square().mean()

    def step(real: Any) -> tuple[float, float]:
        discriminator.zero_grad()
        loss_real = of_real(discriminator(real)).mean()
        loss_real.backward()
        fake = generator(torch.randn(len(real), run.latent))
        loss_fake = of_fake(discriminator(fake.detach())).mean()
        loss_fake.backward()
        if run.loss.name == GP_LOSS:
            penalty(real, fake.detach()).backward()
        adam_d.step()
        generator.zero_grad()
        loss_g = of_generator(discriminator(fake)).mean()
        loss_g.backward()
        adam_g.step()
        return loss_g.item(), (loss_real + loss_fake).item()

    return step


if __name__ == "__main__":
    main()
