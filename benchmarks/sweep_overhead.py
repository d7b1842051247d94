"""What a sweep costs beyond its training, beside trials as Ray's examples write them.

    python benchmarks/sweep_overhead.py         # about four minutes on two cores

The training is a sleep (benchmarks/sleeper.py), so the ideal time is known: epochs times seconds
over two slots. All else is real: Tune, journal, checkpoints, sample grids, scores, MLflow.
The clock starts when the first trial starts (`start-up`, before it, is Ray's own and shown apart)
and stops at the last report.

    short epochs    64 trials of 5 epochs of 0.1 s: what a report and a trial's start cost
    long epochs     16 trials of 5 epochs of 1 s: what share of the time is overhead
    ray example     16 trials of 5 epochs of 0.1 s as function trainables that import PyTorch,
                    each in a worker of its own, as Tune does by default
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sweeps import journal

SLOTS = 2
SWEEP = """
plugins: [sleeper]
base:
  data: {{name: digits, resolution: 8}}
  system: {{name: sleeper, seconds: {seconds}}}
  batch: 1440
  epochs: {epochs}
nuisance:
  generator.lr: {{log_uniform: [1e-5, 1e-2]}}
search: {{method: random, trials_each: {trials}, seed: 0}}
schedule: none
objective: {{samples: 100}}
resources: {{cpu: 1}}
"""
PEER = """
import sys, time
from ray import tune

def trial(config):
    import torch
    for epoch in range(5):
        time.sleep(0.1)
        tune.report({{"score": torch.rand(()).item(), "time": time.time()}})

if __name__ == "__main__":
    tuner = tune.Tuner(
        tune.with_resources(trial, {{"cpu": 1}}),
        param_space={{"lr": tune.loguniform(1e-5, 1e-2)}},
        tune_config=tune.TuneConfig(num_samples={trials}),
        run_config=tune.RunConfig(storage_path=sys.argv[1], verbose=0),
    )
    import ray
    ray.init(num_cpus={slots}, include_dashboard=False, log_to_driver=False)
    began = time.time()
    tuner.fit()
    print("SECONDS", time.time() - began)
"""


def main() -> None:
    print(f"{SLOTS} slots, {os.cpu_count()} cores; seconds\n")
    print(
        f"{'way':14}{'trials':>8}{'epochs':>8}{'start-up':>10}{'ideal':>8}{'took':>8}"
        f"{'overhead':>10}{'a report':>10}{'a trial':>9}"
    )
    with tempfile.TemporaryDirectory() as folder:
        storage = Path(folder)
        ours(storage, "short epochs", trials=64, epochs=5, seconds=0.1)
        ours(storage, "long epochs", trials=16, epochs=5, seconds=1.0)
        peer(storage, trials=16)


def ours(storage: Path, way: str, *, trials: int, epochs: int, seconds: float) -> None:
    name = way.replace(" ", "-")
    file = storage / f"{name}.yaml"
    file.write_text(SWEEP.format(seconds=seconds, epochs=epochs, trials=trials))
    shutil.copy(Path(__file__).with_name("sleeper.py"), storage)
    began = time.time()
    subprocess.run(
        [sys.executable, "-m", "sweeps.cli", "run", str(file), "--storage", str(storage / "runs")],
        check=True,
        capture_output=True,
        env=environment(storage),
    )
    place = storage / "runs" / name
    records = [r for writer in journal.writers(place) for r in journal.read(place, writer)]
    first = min(r["time_ms"] for r in records if r["kind"] == "start") / 1e3
    last = max(r["time_ms"] for r in records) / 1e3
    show(way, trials, epochs, first - began, trials * epochs * seconds / SLOTS, last - first)


def peer(storage: Path, *, trials: int) -> None:
    file = storage / "peer.py"
    file.write_text(PEER.format(trials=trials, slots=SLOTS))
    done = subprocess.run(
        [sys.executable, str(file), str(storage / "peer")],
        check=True,
        capture_output=True,
        text=True,
        env=environment(storage),
    )
    took = float(done.stdout.split("SECONDS")[1])
    show("ray example", trials, 5, float("nan"), trials * 5 * 0.1 / SLOTS, took)


def show(way: str, trials: int, epochs: int, start_up: float, ideal: float, took: float) -> None:
    extra = took - ideal
    print(
        f"{way:14}{trials:8}{epochs:8}{start_up:10.1f}{ideal:8.1f}{took:8.1f}{extra / ideal:10.1%}"
        f"{extra * SLOTS / trials / epochs:10.3f}{extra * SLOTS / trials:9.2f}",
        flush=True,
    )


def environment(storage: Path) -> dict[str, str]:
    """One slot for each CPU that Ray sees, whatever the machine has."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "GANSWEEP_CACHE": str(storage / "cache"), "OMP_NUM_THREADS": "1"}


if __name__ == "__main__":
    main()
