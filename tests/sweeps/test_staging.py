"""What a node is asked to prepare, what it says, and for how long trials wait for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import faults
import numpy as np
import pytest
import yaml

from gancore.data import DataUnavailable, Pictures, Split, datasets
from gancore.metrics import evaluation
from gancore.pictures import WEIGHTS_FILE
from sweeps import SweepSpec, make_plan, nodes, staging
from sweeps.results import Results
from sweeps.signals import Signals
from sweeps.staging import Staging, Wanted, on_node

SWEEP: dict[str, Any] = {
    "name": "q",
    "base": {"data": "digits", "model": "mlp", "epochs": 1},
    "scientific": {"loss.name": ["hinge"]},
    "search": {"trials_each": 1},
    "objective": {"samples": 64},
}


@dataclass(frozen=True, kw_only=True)
class Staged:
    """Pictures that leave a mark in a file whenever they are read."""

    marks: str
    broken: bool = False

    def read(self, split: Split, resolution: int, /) -> Pictures:
        with open(self.marks, "a") as marks:
            marks.write(f"{split}\n")
        if self.broken:
            raise DataUnavailable("a disk is away\nand more")
        return Pictures(np.zeros((2, 1, resolution, resolution), np.uint8), np.arange(2))

    def identity(self) -> str:
        return repr(self)


@pytest.fixture(autouse=True, scope="module")
def only_here() -> Iterator[None]:
    datasets.register("test_staged")(Staged)
    yield
    del datasets._table["test_staged"]


def wanted(tmp_path: Path, **changes: Any) -> Wanted:
    return Wanted.of(make_plan(SweepSpec.of({**SWEEP, **changes})), tmp_path)


def test_each_data_set_is_asked_for_once_and_weights_where_they_would_be_downloaded(
    tmp_path: Path,
) -> None:
    both = {"loss.name": ["hinge", "minimax"], "data.resolution": [16, 32]}
    base = {**SWEEP["base"], "data": "mnist5k"}
    plain = wanted(tmp_path, base=base, scientific=both, search={"trials_each": 2})
    assert [section["resolution"] for section in plain.data] == [16, 32]
    assert (plain.weights, plain.plugins, plain.sweep) == (False, (), str(tmp_path))
    scored = {"samples": 64, "features": "inception"}
    assert wanted(tmp_path, objective=scored).weights
    own = {**scored, "inception_weights": str(tmp_path / "w.pth")}
    assert not wanted(tmp_path, objective=own).weights


def test_the_users_modules_are_run_only_for_a_data_set_of_theirs(tmp_path: Path) -> None:
    """They may import PyTorch, which takes seconds."""
    plan = Results.read(faults.planned(faults.scripted(tmp_path))).plan
    assert plan.plugins
    assert Wanted.of(plan, tmp_path).plugins == ()
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "own_pictures.py").write_text(PICTURES)
    file = tmp_path / "own" / "q.yaml"
    base = {**SWEEP["base"], "data": {"name": "own", "resolution": 8}}
    file.write_text(yaml.safe_dump({**SWEEP, "base": base, "plugins": ["own_pictures"]}))
    from sweeps.spec import load

    assert Wanted.of(make_plan(load(file)), tmp_path).plugins == ("own_pictures",)


PICTURES = '''
from dataclasses import dataclass
from typing import ClassVar
from gancore.data import datasets


@datasets.register("own")
@dataclass(frozen=True, kw_only=True)
class Own:
    """The user's own.

    Args:
        root: Where.
    """

    channels: ClassVar[int] = 1
    classes: ClassVar[int] = 2
    root: str | None = None
'''


def asked(tmp_path: Path, **options: Any) -> dict[str, Any]:
    section = {"name": "test_staged", "resolution": 8, "marks": str(tmp_path / "marks"), **options}
    return asdict(Wanted("", (section,)))


def test_a_node_prepares_both_splits_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANSWEEP_CACHE", str(tmp_path / "cache"))
    for _ in range(2):
        assert on_node(asked(tmp_path)) == []
    assert (tmp_path / "marks").read_text().split() == ["train", "test"]


def test_what_a_node_cannot_prepare_is_a_line_and_the_rest_is_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANSWEEP_CACHE", str(tmp_path / "cache"))
    broken, whole = (asked(tmp_path, broken=broken)["data"][0] for broken in (True, False))
    both = asdict(Wanted("", (broken, whole)))
    assert on_node(both) == ["test_staged (a disk is away)"]
    assert (tmp_path / "marks").read_text().split() == ["train", "train", "test"]
    lost = asdict(Wanted(str(tmp_path), (whole,), ("no_such_module",)))
    assert on_node(lost) == ["anything (No module named 'no_such_module')"]


def test_weights_are_fetched_where_judges_look_and_no_pytorch_is_needed_to_see_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetching = asdict(Wanted(str(tmp_path), weights=True))
    monkeypatch.setattr(evaluation, "downloaded", lambda folder: (folder / WEIGHTS_FILE).touch())
    assert on_node(fetching) == []
    assert (tmp_path / "evaluation" / WEIGHTS_FILE).is_file()
    monkeypatch.setattr(evaluation, "fetch_inception", None)
    assert on_node(fetching) == []


class Cluster:
    """Nodes that answer after so many seconds; time passes only while they are waited for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: tuple[float, Any]) -> None:
        import ray

        self.now = 100.0
        self._due = {number: 100.0 + after for number, (after, _) in enumerate(answers)}
        self._answers = dict(enumerate(answer for _, answer in answers))
        there = [{"NodeID": str(n), "NodeManagerHostname": f"n{n}"} for n in self._due]
        monkeypatch.setattr(nodes, "training", lambda: there)
        monkeypatch.setattr(nodes, "ask", lambda told, *_: dict(enumerate(told)))
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(ray, "wait", self._wait)
        monkeypatch.setattr(ray, "get", self._get)

    def _wait(self, waiting: list[int], timeout: float) -> tuple[list[int], list[int]]:
        self.now = min(self.now + timeout, *(max(self._due[n], self.now) for n in [*waiting] * 2))
        ready = [n for n in waiting if self._due[n] <= self.now]
        return ready[:1], [n for n in waiting if n not in ready[:1]]

    def _get(self, number: int) -> Any:
        if isinstance(self._answers[number], Exception):
            raise self._answers[number]
        return self._answers[number]

    def waited(self) -> float:
        """For how long the trials of a sweep wait."""
        plan = make_plan(SweepSpec.of(SWEEP))
        Staging(plan, Path("/q"), remote=True).wait(Signals(lambda _: None))
        return round(self.now - 100, 3)


def test_nodes_that_are_ready_wait_no_longer_than_they_took(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert Cluster(monkeypatch, (0.2, []), (0.3, [])).waited() == 0.3
    assert Cluster(monkeypatch, (0.2, []), (900, [])).waited() == 0.4
    assert capsys.readouterr() == ("", "")
    assert Cluster(monkeypatch, (60, []), (70, []), (500, [])).waited() == 120
    assert capsys.readouterr().err == "preparing pictures on 3 nodes\n"


def test_where_no_node_is_there_yet_or_trials_run_here_nothing_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(staging.Wanted, "of", None)
    monkeypatch.setattr(nodes, "training", list)
    plan = make_plan(SweepSpec.of(SWEEP))
    for remote in (True, False):
        Staging(plan, Path("/q"), remote=remote).wait(Signals(lambda _: None))


def test_a_node_that_cannot_is_told_once_and_is_not_what_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ray.exceptions import NodeDiedError

    away = ["digits (no disk)"]
    answers = [(1, away), (1, away), (2, NodeDiedError("it died\nat night")), (30, [])]
    assert Cluster(monkeypatch, *answers).waited() == 30
    assert capsys.readouterr().err.splitlines() == [
        "preparing pictures on 1 node",
        "warning: node n0, node n1 could not prepare digits (no disk); a trial there tries again",
        "warning: node n2 could not prepare pictures (it died); a trial there tries again",
    ]
    assert Cluster(monkeypatch, (1, away), (2, away)).waited() == 2


def test_a_signal_breaks_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    Cluster(monkeypatch, (5, []))
    signals = Signals(lambda _: None)
    signals.note(2)
    with pytest.raises(KeyboardInterrupt):
        Staging(make_plan(SweepSpec.of(SWEEP)), Path("/q"), remote=True).wait(signals)
