"""Sweeps whose processes are killed at random, again and again; slow, for the night.

    python -m pytest -m slow -s tests/faults/test_nightly.py

`GANSWEEP_KILLS` is how many are killed of a scripted sweep (5), `GANSWEEP_REAL_KILLS` of one that
trains (2), `GANSWEEP_SEED` repeats their choice; all are printed.
"""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest
import yaml

import faults
from faults import act
from faults.commands import AGENTS
from sweeps import tracking
from sweeps.results import Results

# MLflow 3.17 asks SQLAlchemy 2.1 for what that will drop; nothing of ours can help it.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
]

VICTIMS = ("driver", "worker", "uploader")
EPOCH_SECONDS = 0.3

TRAINED = {
    "base": {"data": "digits", "model": {"name": "mlp", "width": 256}, "latent": 16, "batch": 32},
    "scientific": {"loss.name": ["hinge", "wasserstein_gp"]},
    "nuisance": {"generator.lr": {"log_uniform": [1e-4, 1e-3]}},
    "search": {"trials_each": 1},
    "schedule": "none",
    "objective": {"samples": 1000},
}


def strike(command: faults.Cli, victim: str, chance: random.Random) -> str:
    """Kills one process of a running sweep; says which it was in the end."""
    if victim == "worker":
        running = [r.trial.uid for r in command.results.trials.values() if r.state == "running"]
        if running:
            uid = chance.choice(running)
            try:
                return f"worker {command.kill_worker(uid)} of {uid}"
            except ProcessLookupError:
                return f"nobody: {uid} has just left"
    if victim == "uploader" and (pid := command.uploader()):
        os.kill(pid, signal.SIGKILL)
        return f"uploader {pid}"
    command.signal(signal.SIGKILL)
    return f"driver {command.pid}"


def chosen() -> random.Random:
    """The chance of a night, which says how it is had again."""
    seed = int(os.environ.get("GANSWEEP_SEED") or random.SystemRandom().randrange(2**31))
    print(f"GANSWEEP_SEED={seed}")
    return random.Random(seed)


def run_and_kill(file: Path, storage: Path, kills: int, chance: random.Random) -> Path:
    """Runs a sweep to its end, killing somebody after every few epochs; the invariants hold after
    each time that its driver ended.
    """
    place = storage / file.stem
    home = file.parent / "home"  # It knows whose plug-ins may run.
    done = struck_down = 0
    for life in range(3 * kills + 2):
        words = ("resume", file.stem) if (place / "plan.json").is_file() else ("run", file)
        with faults.cli(*words, home=home, storage=storage, name=file.stem) as command:
            while struck_down < kills and command.code is None:
                aim = done + chance.randint(1, 4)
                reached = command.wait_until(
                    lambda r, aim=aim: r.epochs_done >= aim or r.state == "finished"
                )
                if reached.state == "finished":
                    break
                victim = chance.choice(VICTIMS)
                print(f"life {life}: after {reached.epochs_done} epochs:", end=" ")
                struck = strike(command, victim, chance)
                print(struck, flush=True)
                struck_down += not struck.startswith("nobody")
                done = reached.epochs_done
                if struck.startswith("driver"):
                    break
            command.end(300)
            # Workers outlive a killed driver for some seconds, and write.
            command.assert_nothing_left(30, but=AGENTS)
        faults.assert_sound(place, at_rest=False)
        done = Results.read(place).epochs_done
        if Results.read(place).state == "finished":
            assert command.code == 0
            break
    assert struck_down == kills, f"only {struck_down} of {kills} kills found somebody"
    # An uploader that is killed last of all may leave some for `sync`.
    with faults.cli("sync", file.stem, home=home, storage=storage) as command:
        command.assert_told(0)
    return place


def test_whoever_is_killed_and_how_often_the_sweep_ends_as_if_nothing_had_happened(
    tmp_path: Path,
) -> None:
    kills = int(os.environ.get("GANSWEEP_KILLS", "5"))
    # Long enough that every kill finds the sweep running.
    sweep = {
        "epochs": 8 + 4 * kills,
        "search": {"trials_each": 2},
        "resources": {"retries": kills},
    }
    file = faults.scripted(tmp_path / "night", {("*", "*"): act.sleep(EPOCH_SECONDS)}, **sweep)
    calm = faults.planned(faults.scripted(tmp_path / "calm", **sweep))
    faults.play(calm)
    place = run_and_kill(file, tmp_path / "runs", kills, chosen())
    faults.assert_sound(place, calm, store=tracking.default_uri(tmp_path / "runs"))


def test_what_is_killed_while_it_trains_gives_the_same_numbers(tmp_path: Path) -> None:
    kills = int(os.environ.get("GANSWEEP_REAL_KILLS", "2"))
    base = {**TRAINED["base"], "epochs": 8 + 4 * kills}  # type: ignore[dict-item]
    sweep = {**TRAINED, "base": base, "resources": {"retries": kills}}
    file = tmp_path / "trained.yaml"
    file.write_text(yaml.safe_dump(sweep))
    calm = tmp_path / "calm"
    with faults.cli("run", file, home=tmp_path / "calmly", storage=calm) as command:
        command.assert_told(0, 500)
    place = run_and_kill(file, tmp_path / "runs", kills, chosen())
    store = tracking.default_uri(tmp_path / "runs")
    faults.assert_sound(place, calm / file.stem, store=store)
