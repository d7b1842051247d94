"""What a resumed run is held against: every number of an uninterrupted one, bit for bit."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gancore.config import RunConfig
from gancore.training import train
from gancore.training.checkpoint import load, save


@dataclass
class Whole:
    """A run that nobody interrupted, with a checkpoint of every epoch in a folder."""

    config: RunConfig
    folder: Path
    states: list[dict[str, Any]] = field(default_factory=list)
    reports: list[dict[str, Any]] = field(default_factory=list)


def uninterrupted(config: RunConfig, folder: Path) -> Whole:
    whole, training = Whole(config, folder), train(config, device="cpu")
    for report in training:
        assert not report.diverged, report.evidence
        whole.reports.append(told(report))
        whole.states.append(copy.deepcopy(training.state_dict()))
        save(folder, training.checkpoint())
    return whole


def assert_goes_on(whole: Whole, after: int) -> None:
    """Killed after an epoch, it goes on from its checkpoint as if nothing had happened."""
    torch.manual_seed(999)  # Whatever the new process draws elsewhere must not matter.
    state = load(whole.folder / f"epoch-{after:04d}.pt").state
    again = train(whole.config, state=state, device="cpu")
    for epoch, report in enumerate(again, start=after + 1):
        assert_bit_equal(told(report), whole.reports[epoch - 1])
        assert_bit_equal(again.state_dict(), whole.states[epoch - 1])
    assert again.epoch == whole.config.epochs


def assert_all_parts_matter(whole: Whole, after: int = 1) -> None:
    """No part of the state of a system can be left out without the next epoch being another."""
    kept = whole.states[after - 1]
    fresh = train(whole.config, device="cpu").state_dict()["system"]
    for part, value in kept["system"].items():
        if value is None or value == []:
            continue
        poorer = copy.deepcopy(kept)
        poorer["system"][part] = fresh[part]
        resumed = train(whole.config, state=poorer, device="cpu")
        report = next(resumed)
        same = (told(report), resumed.state_dict()), (whole.reports[after], whole.states[after])
        assert not bit_equal(*same), part


def leaves(state: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(state, dict):
        for key, value in state.items():
            yield from leaves(value, f"{path}/{key}")
    elif isinstance(state, list | tuple):
        for number, value in enumerate(state):
            yield from leaves(value, f"{path}/{number}")
    else:
        yield path, state


def assert_bit_equal(ours: Any, theirs: Any) -> None:
    a, b = dict(leaves(ours)), dict(leaves(theirs))
    assert a.keys() == b.keys()
    for key, value in a.items():
        same = torch.equal(value, b[key]) if isinstance(value, Tensor) else value == b[key]
        assert same, key


def bit_equal(ours: Any, theirs: Any) -> bool:
    try:
        assert_bit_equal(ours, theirs)
    except AssertionError:
        return False
    return True


def told(report: Any) -> dict[str, Any]:
    """All of a report but the clock's part."""
    timed = ("seconds_training", "seconds_evaluation", "pictures_per_second")
    values = {k: v for k, v in report.values().items() if k not in timed}
    return {**values, "grid": report.grid, "stage": report.stage}
