"""Does growing pay? ProGAN against its own final networks, for the same training time.

    python benchmarks/growth.py [--seconds 300] [--seeds 3] [--out growth]

Both sides have the same networks, loss, optimisers and batches, and differ in the resolution that
they begin with: 4 pixels, or 32. They run side by side, a thread each, so that what else the
machine does hits both. Every point is the FID of 2,000 pictures at 32 pixels (smaller ones are
enlarged) by the averaged generator; its cost is not counted as training time. Writes curves (PNG,
CSV) and the sample grid at the end of every phase.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import time
from pathlib import Path
from typing import Any

BASE: dict[str, Any] = {
    "data": {"name": "mnist5k", "resolution": 32},
    "system": "progressive",
    "model": {"name": "progan", "capacity": 2048, "max_width": 64, "group": 4},
    "latent": 64,
    "batch": 8,
    "ema_kimg": 1,
    "epochs": 10_000,  # The clock ends the run.
}
LENGTHS = {4: 2, 8: 3, 16: 3, 32: 1.5}
"""Thousands of pictures of each fade, and of each stable phase, by resolution."""

BATCHES = {4: 16, 8: 16}
"""Pictures a step where a step is so cheap that more of them cost little."""

SIDES = {"grown": 4, "plain": 32}
POINTS = 10
SAMPLES = 2000


def config_of(side: str, seed: int) -> dict[str, Any]:
    first = SIDES[side]
    lengths = {size: kimg for size, kimg in LENGTHS.items() if size >= first}
    batches = {size: count for size, count in BATCHES.items() if size >= first}
    system = {"name": "progressive", "first": first, "lengths": lengths, "batches": batches}
    return {**BASE, "system": system, "seed": seed, "evaluation": {"samples": SAMPLES}}


def train(side: str, seed: int, seconds: float, out: Path) -> list[dict[str, Any]]:
    """One side of one seed: a row for each point of its curve."""
    import torch

    from gancore import RunConfig, seeds
    from gancore.systems import Material, grid, systems

    torch.set_num_threads(1)
    config = RunConfig.of(config_of(side, seed))
    material = Material(config, torch.device("cpu"), evaluation=out / "evaluation")
    system: Any = systems.build("progressive", config, material, **config.system.options)
    evaluator = material.judge.evaluator()

    def draw(count: int, random: torch.Generator) -> Any:
        pictures = system.sample(count, random)
        factor = 32 // pictures.shape[2]
        return pictures.repeat_interleave(factor, 2).repeat_interleave(factor, 3)

    rows: list[dict[str, Any]] = []
    trained, epoch = 0.0, 0
    while trained < seconds:
        epoch += 1
        steps = system.train(epoch, 0.0)
        while trained < seconds:
            began = time.perf_counter()
            shown = next(steps, None)
            trained += time.perf_counter() - began
            if shown is None:
                break
            size = system.resolution
            if system.phase.resolution != size or trained >= seconds:  # A phase's last step.
                name = out / f"{side}-seed{seed}-{size:02d}.png"
                name.write_bytes(grid.png(system.grid(), 32 // size))
            if trained >= seconds * (len(rows) + 1) / POINTS:
                random = seeds.stream(seed, "evaluation")
                scored = evaluator.score(lambda count, r=random: draw(count, r))
                (fid,) = scored.scores.values()
                alpha = system.phase.alpha(system.shown)
                rows.append(
                    {
                        "side": side,
                        "seed": seed,
                        "seconds": round(trained, 1),
                        "kimg": system.shown / 1000,
                        "resolution": size,
                        "alpha": round(alpha, 3),
                        "fid2k": fid,
                    }
                )
                print(*rows[-1].values(), flush=True)
    return rows


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    colours = {"grown": "#0072b2", "plain": "#d55e00"}
    labels = {"grown": "grown 4, 8, 16, 32", "plain": "32 from the start"}
    for side, seed in sorted({(r["side"], r["seed"]) for r in rows}):
        own = [r for r in rows if (r["side"], r["seed"]) == (side, seed)]
        axes.plot(
            [r["seconds"] for r in own],
            [r["fid2k"] for r in own],
            color=colours[side],
            marker="o",
            markersize=3,
            alpha=0.8,
            label=labels[side] if seed == 0 else None,
        )
        for r in own:
            if side == "grown" and r["resolution"] < 32:
                axes.plot(r["seconds"], r["fid2k"], "o", color="white", markersize=1.5, zorder=3)
    axes.set(xlabel="training time in seconds, one thread", ylabel="FID2k at 32 pixels")
    axes.set_yscale("log")
    axes.set_title("ProGAN against its final networks without growth, mnist5k, each seed a line")
    axes.grid(alpha=0.3, which="both")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("growth"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    jobs = [(side, s, given.seconds, given.out) for s in range(given.seeds) for side in SIDES]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        rows = [row for found in pool.starmap(train, jobs, chunksize=1) for row in found]
    with (given.out / "growth.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    plot(rows, given.out / "growth.png")
    print(f"\n{'seed':<6}{'grown':>8}{'plain':>8}   best FID2k at 32 pixels")
    for seed in range(given.seeds):
        best = {
            side: min(
                r["fid2k"]
                for r in rows
                if (r["side"], r["seed"], r["resolution"]) == (side, seed, 32)
            )
            for side in SIDES
        }
        print(f"{seed:<6}{best['grown']:>8.3f}{best['plain']:>8.3f}")


if __name__ == "__main__":
    main()
