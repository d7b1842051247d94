"""`gpu: auto`: what is decided from what was measured, once, and by whom it is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from sweeps import Options, SweepSpec, extend, make_plan, preflight, resume, run, sharing
from sweeps.edits import meaning
from sweeps.errors import UserError
from sweeps.estimate import Room
from sweeps.needs import Needs
from sweeps.plan import Plan
from sweeps.preview import show_plan
from sweeps.probe import Probe
from sweeps.shares import measure
from sweeps.shares.decision import (
    MOST,
    fastest,
    memory_fraction,
    most_of,
    room_for,
    share_of,
    undecided,
)
from sweeps.shares.fence import fence
from sweeps.tracking.description import sweep_params

SWEEP: dict[str, Any] = {
    "name": "auto",
    "base": {"data": "digits", "model": "mlp", "epochs": 2},
    "scientific": {"loss.name": ["hinge", "minimax", "wasserstein_gp"]},
    "nuisance": {"batch": {"choice": [16, 32]}, "model.width": {"choice": [8, 32]}},
    "search": {"method": "grid"},
    "schedule": "none",
    "objective": {"samples": 64},
    "resources": {
        "gpu": "auto",
        "of": [{"when": {"loss.name": "minimax"}, "gpu": 1}, {"when": {"batch": 16}, "cpu": 2}],
    },
}


@pytest.mark.parametrize(
    ("trial", "total", "fit"),
    [(1.5, 24, 10), (19.9, 24, 1), (20.0, 24, 1), (23.5, 24, 1), (23.6, 24, 0), (9.7, 24, 2)],
)
def test_trials_fit_with_their_contexts_and_a_margin(trial: float, total: float, fit: int) -> None:
    assert room_for(trial, total) == fit


def test_all_that_limits_is_heeded() -> None:
    assert most_of(10, cpus=16, cpu=1, concurrent=None) == 10
    assert most_of(10, cpus=16, cpu=4, concurrent=None) == 4
    assert most_of(10, cpus=16, cpu=1, concurrent=3) == 3
    assert most_of(100, cpus=200, cpu=1, concurrent=None) == MOST
    assert most_of(10, cpus=1, cpu=4, concurrent=None) == 1


@pytest.mark.parametrize(
    ("rates", "most", "best"),
    [
        ({1: 100, 2: 190, 4: 350, 7: 500}, 7, 7),
        ({1: 100, 2: 190, 4: 195}, 7, 2),  # Seven are not tried.
        ({1: 100, 2: 99}, 16, 1),
        ({1: 100, 2: 180, 4: 0}, 4, 2),  # Four do not run.
        ({1: 100}, 1, 1),
    ],
)
def test_more_side_by_side_are_taken_while_they_are_faster(
    rates: dict[int, float], most: int, best: int
) -> None:
    assert fastest(most, rates.__getitem__) == best


@pytest.mark.parametrize("number", range(1, MOST + 1))
def test_as_many_shares_as_were_decided_are_no_more_than_a_gpu_to_ray(number: int) -> None:
    units = round(share_of(number) * 10_000)
    assert units * number <= 10_000 < units * (number + 1)
    if number > 1:
        assert number * (memory_fraction(share_of(number), 80) * 80 + 0.5) <= 80
    assert memory_fraction(0.1, 4) == 0.05, "where a context takes all of the share"


def test_the_largest_trial_of_each_arm_that_asks_for_it_is_measured() -> None:
    plan = make_plan(SweepSpec.of(SWEEP))
    largest = undecided(plan)
    assert {(a, t.varied["batch"], t.varied["model.width"]) for a, t in largest.items()} == {
        ("hinge", 32, 32),
        ("wasserstein_gp", 32, 32),
    }
    wanted = measure.asked(plan, Path("modules"))
    assert wanted["hinge"].config == largest["hinge"].config
    assert not undecided(make_plan(SweepSpec.of({**SWEEP, "resources": {"gpu": 0.5}})))


def test_a_number_that_a_trial_is_given_goes_before_what_was_measured(tmp_path: Path) -> None:
    from dataclasses import replace

    plan = replace(make_plan(SweepSpec.of(SWEEP)), shares={"hinge": 0.25, "wasserstein_gp": 0.5})
    given = {(t.arm, t.varied["batch"]): plan.needs(t) for t in plan.trials}
    assert given["hinge", 32] == Needs(cpu=1, gpu=0.25)
    assert given["hinge", 16] == Needs(cpu=2, gpu=0.25)
    assert given["minimax", 16] == Needs(cpu=1, gpu=1)
    assert given["wasserstein_gp", 32] == Needs(cpu=1, gpu=0.5)
    plan.write(tmp_path)
    assert Plan.read(tmp_path) == plan
    assert meaning(SweepSpec.of(SWEEP))["resources.gpu"] == "auto"
    params = sweep_params(plan)
    assert params["resources.gpu"] == "auto"
    assert params["resources.of"].startswith("cpu 2, gpu 0.25 (hinge), or ")


def test_without_a_gpu_it_is_refused_in_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeps.preflight.gpus", lambda: 0)
    with pytest.raises(UserError) as caught:
        run(SWEEP, Options(storage=tmp_path))
    assert str(caught.value) == (
        "resources.gpu: auto is measured on a GPU and this machine has none; write a number, such "
        "as 0.25, or run on a cluster with --address"
    )
    assert not list(tmp_path.iterdir())


class Card:
    """A GPU of 24 GB on which a trial takes 5 GB, and three are faster than two."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.peak_gb = 5.0
        self.why = ""

    @contextmanager
    def running(
        self, one: measure.Asked, number: int, device: str, *, score: bool
    ) -> Iterator[list[dict[str, Any]]]:
        assert device == "cuda"
        self.asked.append((one.config["loss"]["name"], 0 if score else number))
        if self.why:
            raise measure._Untrained(self.why)
        rate = {1: 100.0, 2: 180.0, 3: 240.0}.get(number, 0.0)
        yield [{"peak_gb": self.peak_gb, "total_gb": 24.0, "rate": rate / number}] * number


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Card:
    found = Card()
    monkeypatch.setattr(measure, "_running", found.running)
    monkeypatch.setattr(preflight, "gpus", lambda: 1)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    return found


def test_it_is_decided_once_and_new_arms_alone_are_measured_later(
    tmp_path: Path, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeps.sweep._train", lambda *_: None)
    monkeypatch.setattr("sweeps.sweep.tracking.start_uploader", lambda *_: None)
    monkeypatch.setattr("sweeps.sweep._drain", lambda *_: None)
    sweep = {**SWEEP, "scientific": {"loss.name": ["hinge", "minimax"]}}
    place = run(sweep, Options(storage=tmp_path)).folder
    assert json.loads((place / "plan.json").read_text())["shares"] == {"hinge": 0.3333}
    assert card.asked == [("hinge", 0), ("hinge", 1), ("hinge", 2), ("hinge", 3)]
    card.asked.clear()
    resume(place)
    resume(place, source=sweep)
    resume(place, source={**sweep, "budget": {"hours": 3}})
    assert not card.asked
    assert Plan.read(place).shares == {"hinge": 0.3333}
    card.peak_gb = 9.0
    extend(place, {**SWEEP, "budget": {"hours": 3}})
    assert {arm for arm, _ in card.asked} == {"wasserstein_gp"}
    plan = Plan.read(place)
    assert plan.shares == {"hinge": 0.3333, "wasserstein_gp": 0.5}
    assert plan.budget.hours == 3
    card.asked.clear()
    fixed = {**SWEEP, "budget": {"hours": 3}, "resources": {"gpu": 0.1}}
    resume(place, source=fixed)
    assert {needs.gpu for needs in Plan.read(place).kinds()} == {0.1}
    assert not card.asked


@pytest.mark.parametrize(
    ("peak", "why", "words"),
    [
        (40.0, "", "it takes 40 GB and the GPU has 24; write a number"),
        (5.0, "ValueError: planted", "ValueError: planted; write a number"),
    ],
)
def test_what_cannot_be_measured_is_told_in_one_line_and_no_sweep_is_made(
    tmp_path: Path, card: Card, peak: float, why: str, words: str
) -> None:
    card.peak_gb, card.why = peak, why
    with pytest.raises(UserError) as caught:
        run(SWEEP, Options(storage=tmp_path))
    assert str(caught.value) == (f"resources.gpu: auto cannot measure a trial of hinge: {words}")
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".")]


def test_the_plan_names_what_would_be_measured_and_a_probe_measures_it(
    card: Card, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = SweepSpec.of(SWEEP)
    uids = ", ".join(trial.uid for trial in undecided(make_plan(spec)).values())
    show_plan(spec, with_probe=False, as_json=False)
    shown = " ".join(capsys.readouterr().out.split())
    assert f"a trial's share of a GPU is measured when the sweep begins: {uids}" in shown
    assert not card.asked
    probed: list[Plan] = []

    def probe(plan: Plan, _modules: Path) -> Probe:
        probed.append(plan)
        return Probe({}, {}, Room(cpu=8, gpu=1), "cuda")

    monkeypatch.setattr("sweeps.probe.probe", probe)
    show_plan(spec, with_probe=True, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["shares"] == {"hinge": 0.3333, "wasserstein_gp": 0.3333}
    assert probed[0].shares == told["shares"], "an estimate counts what the sweep would use"


def test_with_a_cluster_one_task_measures_on_a_gpu_of_it(
    card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = []

    @contextmanager
    def connected(address: str, **_: Any) -> Iterator[None]:
        sent.append(address)
        yield

    def on_a_gpu(function: Any, *given: Any) -> Any:
        return function(*given)

    fake = SimpleNamespace(
        connected=connected,
        check_resources=lambda *_, **__: None,
        on_a_gpu=on_a_gpu,
        cpus_of_a_gpu=lambda: 2.0,
    )
    monkeypatch.setattr(sharing, "cluster", fake)
    plan = make_plan(SweepSpec.of(SWEEP))
    options = Options(address="10.0.0.1:6379")
    decided = sharing.decided(plan, Path(), options)
    assert sent == ["10.0.0.1:6379"]
    assert decided.shares == {"hinge": 0.5, "wasserstein_gp": 0.5}, "there are two CPUs for it"
    assert sharing.decided(decided, Path(), options) is decided
    card.why = "planted"
    with pytest.raises(UserError, match="cannot measure a trial of hinge: planted"):
        sharing.decided(plan, Path(), options)


def test_a_trial_with_a_share_takes_no_more_memory_than_it(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []
    facts = SimpleNamespace(total_memory=80_000_000_000)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: facts)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", told.append)
    fence(1.0)
    fence(2.0)
    assert not told
    fence(0.25)
    assert told == [pytest.approx(0.25 - 0.5 / 80)]


@pytest.mark.slow
def test_processes_train_alone_and_side_by_side(tmp_path: Path, cache: Path) -> None:
    """The same processes as on a GPU, on a CPU: what they say, and what goes wrong in them."""
    del cache
    plan = make_plan(SweepSpec.of(SWEEP))
    one = measure.asked(plan, tmp_path)["hinge"]
    with measure._running(one, 1, "cpu", score=True) as (told,):
        assert told == {"peak_gb": 0.0, "total_gb": 0.0}
    with measure._running(one, 2, "cpu", score=False) as both:
        assert all(told["rate"] > 0 and told["seconds"] >= measure.SECONDS for told in both)
    broken = measure.Asked({**one.config, "batch": 10_000_000}, (), "", Needs(), None)
    with pytest.raises(UserError, match="cannot measure a trial of hinge: "):
        measure.shares({"hinge": broken}, 8, "cpu")
