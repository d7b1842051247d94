"""Nodes that die or are taken away in mid-trial: their trials go on elsewhere (A6, A7; bar 5)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import faults
from faults import act, wires
from sweeps import tracking
from sweeps.results import Results, TrialResult

# MLflow 3.17 asks SQLAlchemy 2.1 for what that will drop; nothing of ours can help it.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
]

SWEEP = {
    "epochs": 24,
    "search": {"trials_each": 2},
    "resources": {"retries": 0},  # A node that dies is no fault of its trials.
}


@pytest.fixture
def cluster() -> Iterator[faults.Nodes]:
    with faults.nodes([1, 1]) as running:
        yield running


def _nodes(results: Results, *, since: int) -> int:
    """On how many nodes trials are that have come so far."""
    return len({r.starts[-1]["ray_node"] for r in _training(results) if r.epoch >= since})


def _training(results: Results) -> list[TrialResult]:
    return [r for r in results.trials.values() if r.state == "running" and r.starts]


@pytest.mark.parametrize("how", ["killed", "drained"])
def test_the_trials_of_a_node_that_goes_go_on_elsewhere(
    tmp_path: Path, cluster: faults.Nodes, how: str
) -> None:
    file = faults.scripted(tmp_path / "go", {("*", "*"): act.sleep(0.5)}, **SWEEP)
    calm = faults.planned(faults.scripted(tmp_path / "calm", **SWEEP))
    faults.play(calm)
    storage = tmp_path / "runs"
    words = ("run", file, "--address", cluster.address)
    home, environment = tmp_path / "home", cluster.environment
    with faults.cli(*words, home=home, storage=storage, environment=environment) as command:
        struck = _training(command.wait_until(lambda r: _nodes(r, since=3) == 2))[0]
        start = struck.starts[-1]
        if how == "drained":  # A cloud gives notice, and then does the same.
            cluster.drain(start["ray_node"], 5)
            time.sleep(5)
        cluster.kill_under(start["pid"])
        command.assert_told(0, 300)
        out, err = command.end()
    assert f"{struck.trial.uid}  will go on: its node was lost" in out
    assert "raylet" not in out + err
    results = Results.read(storage / file.stem)
    moved = results.trials[struck.trial.uid]
    assert [start["attempt"] for start in moved.starts] == [1, 2]
    assert moved.starts[1]["ray_node"] != start["ray_node"]
    assert moved.starts[1]["from_epoch"] >= struck.epoch - 1
    there = [
        s for r in results.trials.values() for s in r.starts if s["ray_node"] == start["ray_node"]
    ]
    assert there == [start], "nothing else began on a node that goes"
    faults.assert_sound(storage / file.stem, calm, store=tracking.default_uri(storage))


def test_two_sweeps_at_once_do_not_meet(tmp_path: Path, cluster: faults.Nodes) -> None:
    """F16: two drivers join one cluster at the same moment."""
    storage = tmp_path / "runs"
    with ExitStack() as stack:
        commands = []
        for name in ("one", "two"):
            file = faults.scripted(tmp_path / name, {("*", "*"): act.sleep(0.2)}, epochs=4)
            file = file.rename(file.with_stem(name))
            words = ("run", file, "--address", cluster.address)
            told = faults.cli(
                *words,
                home=tmp_path / f"home-{name}",
                storage=storage,
                name=name,
                environment=cluster.environment,
            )
            commands.append(stack.enter_context(told))
        for command in commands:
            command.assert_told(0, 300)
            faults.assert_sound(command.place, store=tracking.default_uri(storage))
            starts = [len(r.starts) for r in command.results.trials.values()]
            assert starts == [1, 1], "no worker of the one took a trial of the other"


def test_the_trials_of_a_node_that_is_cut_off_move_and_nothing_is_told_twice(
    tmp_path: Path,
) -> None:
    """Three machines with addresses of their own and a shared folder; one's wire is cut and, once
    its trial has moved, mended: the process that was thought dead reports no more (C10).
    """
    if not wires.possible():
        pytest.skip("this user may make no network namespaces")
    file = faults.scripted(tmp_path / "go", {("*", "*"): act.sleep(0.5)}, **SWEEP)
    calm = faults.planned(faults.scripted(tmp_path / "calm", **SWEEP))
    faults.play(calm)
    storage = tmp_path / "runs"
    with wires.wired(3) as net, faults.nodes([1, 1, 1], net) as cluster:
        words = ("run", file, "--address", cluster.address)
        home, environment = tmp_path / "home", cluster.environment
        with faults.cli(*words, home=home, storage=storage, environment=environment) as command:
            struck = _training(command.wait_until(lambda r: _nodes(r, since=3) == 3))[0]
            uid = struck.trial.uid
            machine = net.machine_of(struck.starts[-1]["pid"])
            net.cut(machine)
            command.wait_until(lambda r: r.trials[uid].attempt == 2)
            net.mend(machine)
            command.assert_told(0, 300)
    results = Results.read(storage / file.stem)
    assert len({start["ray_node"] for r in results.trials.values() for start in r.starts}) == 3
    assert [start["attempt"] for start in results.trials[uid].starts] == [1, 2]
    faults.assert_sound(storage / file.stem, calm, store=tracking.default_uri(storage))
