"""Measures trials on a GPU, alone and side by side, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeps import children, preflight
from sweeps.errors import UserError
from sweeps.needs import Needs
from sweeps.plan import Plan
from sweeps.shares.decision import MOST, fastest, most_of, room_for, share_of, undecided

SECONDS = 3.0
"""For which the steps of trials side by side are timed."""


@dataclass(frozen=True)
class Asked:
    """What is to be measured of an arm: plain, so that it can be sent to another machine.

    Args:
        config: Its largest trial's whole `RunConfig`.
        folder: Of the user's modules.
        concurrent: How many trials the sweep runs at a time.
    """

    config: Mapping[str, Any]
    plugins: tuple[str, ...]
    folder: str
    needs: Needs
    concurrent: int | None


def asked(plan: Plan, modules: Path) -> dict[str, Asked]:
    """By arm what is to be measured for a plan to have every share; empty where it has."""
    return {
        arm: Asked(
            json.loads(json.dumps(trial.config)),
            plan.plugins,
            str(modules),
            plan.needs(trial),
            plan.resources.concurrent,
        )
        for arm, trial in undecided(plan).items()
    }


def shares(wanted: Mapping[str, Asked], cpus: float, device: str = "cuda") -> dict[str, float]:
    """The share of a GPU of a trial of each arm, measured on this machine's first GPU.

    Args:
        cpus: That the trials of one GPU have together.

    Raises:
        UserError: A trial cannot be trained, or does not fit the GPU.
    """
    found = {}
    for arm, one in wanted.items():
        try:
            found[arm] = share_of(_number(one, cpus, device))
        except _Untrained as error:
            raise UserError(
                f"resources.gpu: auto cannot measure a trial of {arm}: {error}; write a number"
            ) from None
    return found


def cpus_here() -> float:
    """The CPUs of this machine for each of its GPUs."""
    return (os.cpu_count() or 1) / (preflight.gpus() or 1)


class _Untrained(Exception):
    """A trial could not be trained; says why."""


def _number(one: Asked, cpus: float, device: str) -> int:
    """How many trials share a GPU best."""
    with _running(one, 1, device, score=True) as (told,):
        peak, total = told["peak_gb"], told["total_gb"]
    fit = room_for(peak, total) if total else MOST  # A CPU has no memory of its own.
    if not fit:
        raise _Untrained(f"it takes {peak:.3g} GB and the GPU has {total:.3g}")
    most = most_of(fit, cpus, one.needs.cpu, one.concurrent)
    return fastest(most, lambda number: rate(one, number, device)) if most > 1 else 1


def rate(one: Asked, number: int, device: str) -> float:
    """Pictures a second of so many trials together; 0 where they cannot run side by side."""
    try:
        with _running(one, number, device, score=False) as running:
            return sum(told["rate"] for told in running)
    except _Untrained:
        if number == 1:
            raise
        return 0.0


@contextmanager
def _running(
    one: Asked, number: int, device: str, *, score: bool
) -> Iterator[list[dict[str, Any]]]:
    """What each of some trials says: of its memory where it is scored, else of its speed, timed
    when all of them are ready.
    """
    request = {
        "config": one.config,
        "plugins": one.plugins,
        "folder": one.folder,
        "cpu": one.needs.cpu,
        "device": device,
        "score": score,
        "seconds": SECONDS,
    }
    processes: list[subprocess.Popen[str]] = []
    try:
        for _ in range(number):
            processes.append(_started())
            _tell(processes[-1], json.dumps(request))
        told = [_heard(process) for process in processes]
        if not score:
            for process in processes:
                _tell(process, "go")
            told = [_heard(process) for process in processes]
        yield told
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.communicate()


def _started() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [children.python(), "-m", "sweeps.shares"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": children.python_path()},
    )


def _tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
    except BrokenPipeError:
        pass  # It is dead: what it says last is looked at next.


def _heard(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The next line that a process says.

    Raises:
        _Untrained: It has failed, or died.
    """
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise _Untrained(f"its process died (exit status {process.wait()})")
    told: dict[str, Any] = json.loads(line)
    if "error" in told:
        raise _Untrained(told["error"])
    return told
