"""What each trial is given of a machine: the section's numbers, or those of an exception."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from sweeps import SweepSpec, cluster, journal, make_plan, preflight
from sweeps.edits import edits, meaning
from sweeps.errors import UserError
from sweeps.estimate import Arm, Estimator, Room, Stage, makespan
from sweeps.journal import Journal
from sweeps.needs import Needs, told
from sweeps.plan import Plan
from sweeps.preview import show_plan
from sweeps.receipt import costs, receipt
from sweeps.report.protocol import sweep_facts
from sweeps.results import Results
from sweeps.spending import HOUR, Spending
from sweeps.tracking.description import sweep_params
from sweeps.yamlfile import Document

SWEEP: dict[str, Any] = {
    "name": "packed",
    "base": {"data": "digits", "model": "mlp", "epochs": 4},
    "scientific": {"loss.name": ["hinge", "minimax", "wasserstein_gp"]},
    "nuisance": {"batch": {"choice": [16, 32]}},
    "search": {"method": "grid"},
    "schedule": "none",
    "objective": {"samples": 500},
    "resources": {"cpu": 1, "gpu": 0.25, "memory_gb": 2},
}
LARGE = {"when": {"loss.name": "wasserstein_gp"}, "gpu": 1}
"""The words of an exception: it says nothing of cpu and memory_gb."""


def spec(*cases: dict[str, Any], **changes: Any) -> SweepSpec:
    resources = {**SWEEP["resources"], **({"of": list(cases)} if cases else {})}
    return SweepSpec.of({**SWEEP, "resources": resources, **changes})


def given(plan: Plan) -> dict[tuple[str, int], Needs]:
    return {(t.arm, t.varied["batch"]): plan.needs(t) for t in plan.trials}


def test_the_first_exception_that_holds_decides_and_the_rest_is_as_usual(tmp_path: Path) -> None:
    wide = {"when": {"batch": 32, "loss.name": ["hinge", "minimax"]}, "memory_gb": None, "cpu": 3}
    other = {"when": {"loss.name": "minimax"}, "gpu": 0}
    plan = make_plan(spec(wide, LARGE, other))
    usual = Needs(cpu=1, gpu=0.25, memory_gb=2)
    assert given(plan) == {
        ("hinge", 16): usual,
        ("hinge", 32): Needs(cpu=3, gpu=0.25),
        ("minimax", 16): Needs(cpu=1, gpu=0, memory_gb=2),
        ("minimax", 32): Needs(cpu=3, gpu=0.25),
        ("wasserstein_gp", 16): Needs(cpu=1, gpu=1, memory_gb=2),
        ("wasserstein_gp", 32): Needs(cpu=1, gpu=1, memory_gb=2),
    }
    plan.write(tmp_path)
    assert Plan.read(tmp_path) == plan
    assert given(Plan.read(tmp_path)) == given(plan)


def test_a_condition_may_be_on_what_does_not_vary_also_by_its_default() -> None:
    plan = make_plan(spec({"when": {"model.width": 256, "epochs": 4}, "cpu": 2}))
    assert {needs.cpu for needs in plan.kinds()} == {2}
    with pytest.raises(UserError, match=r"unknown value of model.width 64 \(known: 256\)"):
        spec({"when": {"model.width": 64}, "cpu": 2})


def test_a_plan_without_exceptions_is_as_plans_were_before_there_were_any(tmp_path: Path) -> None:
    plan = make_plan(spec())
    plan.write(tmp_path)
    assert "of" not in json.loads((tmp_path / "plan.json").read_text())["resources"]
    assert "resources.of" not in plan.asked
    assert Plan.read(tmp_path) == plan


def test_a_value_that_a_search_may_yet_choose_can_have_an_exception() -> None:
    wide = {"when": {"batch": 512}, "cpu": 64_000}
    nuisance = {"batch": {"choice": [16, 512]}, "generator.lr": {"uniform": [1e-5, 1e-4]}}
    changes: dict[str, Any] = {"nuisance": nuisance, "scientific": {"loss.name": ["hinge"]}}
    for seed in range(9):  # One warm-up draw alone, and it is of the other value.
        changes["search"] = {"method": "tpe", "trials_each": 3, "seed": seed}
        plan = make_plan(spec(wide, **changes))
        if all(trial.varied["batch"] == 16 for trial in plan.trials):
            break
    assert {t.varied["batch"] for t in plan.trials} == {16}
    (trouble,) = (t for t in preflight.misfits(plan) if "cpu" in str(t))
    assert "a trial asks for 64000" in str(trouble)
    changes["search"] = {**changes["search"], "method": "random", "trials_each": 1}
    with pytest.raises(UserError, match="holds for no trial of this sweep"):
        spec(wide, **changes)


def test_an_exception_alone_may_give_the_gpus_of_a_budget() -> None:
    for gpu, fine in ((1, True), (0, False)):
        case = {"when": {"loss.name": "hinge"}, "gpu": gpu, "cpu": 1}
        resources = {"cpu": 1, "of": [case]}
        content = {**SWEEP, "resources": resources, "budget": {"gpu_hours": 3}}
        if fine:
            SweepSpec.of(content)
        else:
            with pytest.raises(UserError, match="trials use no GPU"):
                SweepSpec.of(content)


def test_gpu_hours_are_those_of_each_trial_before_and_now(tmp_path: Path) -> None:
    make_plan(spec(LARGE, budget={"gpu_hours": 5})).write(tmp_path)
    small, large = "000-hinge", "002-wasserstein_gp"
    with pytest.MonkeyPatch.context() as patch:
        for hour, epoch in ((0, 0), (2, 1)):  # Two hours of each in an earlier run.
            patch.setattr("time.time_ns", lambda hour=hour: int(hour * HOUR * 1e9))
            for uid in (small, large):
                with Journal(tmp_path, uid) as log:
                    if epoch:
                        log.append("epoch", trial=uid, epoch=1, values={"fid500": 9.0})
                    else:
                        log.append("start", trial=uid, attempt=1)
    results = Results.read(tmp_path)
    now = [0.0]
    spending = Spending(results.plan, results, lambda: now[0])
    assert spending.gpu_hours == pytest.approx(2 * 0.25 + 2 * 1)
    spending.begins(small)
    spending.begins(large)
    now[0] = HOUR
    assert spending.gpu_hours == pytest.approx(2.5 + 0.25 + 1)
    spending.reported(small)
    spending.ends(large)
    now[0] = 2 * HOUR
    assert spending.gpu_hours == pytest.approx(3.5 + 2 * 0.25)
    assert spending.exhausted() == ""
    # Three epochs so far: two earlier ones of 2.5 GPU-hours together, and one of a quarter.
    assert spending.exhausted(2).startswith("budget: 4 of 5 GPU-hours used, 1.83 kept")


def test_a_receipt_counts_the_gpus_of_each_trial(tmp_path: Path) -> None:
    make_plan(spec(LARGE)).write(tmp_path)
    for uid in ("000-hinge", "002-wasserstein_gp"):
        with Journal(tmp_path, uid) as log:
            values = {"fid500": 9.0, "seconds_training": 7000.0, "seconds_evaluation": 200.0}
            log.append("epoch", trial=uid, epoch=1, values=values)
    results = Results.read(tmp_path)
    assert {c.arm: c.gpu_seconds for c in costs(results)} == {
        "hinge": 1800,
        "minimax": 0,
        "wasserstein_gp": 7200,
    }
    console = Console(width=80, record=True)
    console.print(receipt(results))
    last = [line.split()[-1] for line in console.export_text().splitlines()]
    assert last == ["GPU-hours", "0.50", "0.00", "2.00", "2.50"]


def test_an_estimate_weighs_each_arm_by_what_it_is_given() -> None:
    arm = Arm((Stage(0, 360.0, 0.0),), 10, 0.0, 0, 0)  # An hour an epoch.
    plan = make_plan(spec(LARGE, budget={"gpu_hours": 40}))
    labels = [one.label for one in plan.arms]
    told = Estimator(plan, dict.fromkeys(labels, arm), Room(cpu=8, gpu=1)).estimate()
    assert told.unit == "GPU-hours"
    hours = {label: cost.all_hours for label, cost in told.arms.items()}
    assert hours == pytest.approx({"hinge": 2, "minimax": 2, "wasserstein_gp": 8})
    assert told.whole.hours == pytest.approx(12)
    (fit,) = told.budget
    assert fit.expected == pytest.approx(12)
    # Two small ones, a whole GPU, two small ones, a whole GPU.
    assert told.whole.wall_seconds == pytest.approx(4 * 4 * HOUR)
    free = make_plan(spec({**LARGE, "gpu": 0}, resources={"cpu": 2}))
    told = Estimator(free, dict.fromkeys(labels, arm), Room(cpu=4)).estimate()
    assert (told.unit, told.whole.hours) == ("core-hours", pytest.approx(2 * 24))


def test_trials_run_side_by_side_as_far_as_they_fit() -> None:
    tenth, whole, cores = Needs(gpu=0.1), Needs(gpu=1), Needs(cpu=4)
    assert makespan([(tenth, 1.0)] * 10, Room(cpu=16, gpu=1)) == 1
    # Thrice 0.1 is more than 0.3 to a computer.
    assert makespan([(Needs(cpu=0.1, gpu=0.1), 1.0)] * 3, Room(cpu=0.3, gpu=0.3)) == 1
    assert makespan([(tenth, 1.0)] * 11, Room(cpu=16, gpu=1)) == 2
    assert makespan([(tenth, 1.0)] * 10, Room(cpu=5, gpu=1)) == 2
    assert makespan([(tenth, 3.0), (whole, 1.0), (tenth, 1.0)], Room(gpu=1)) == 5
    assert makespan([(cores, 1.0)] * 2, Room(cpu=2)) == 2, "larger than the room: one by one"
    assert Room(cpu=16, gpu=1).at_once(tenth) == 10
    assert Room(cpu=2).at_once(cores) == 1


def test_tune_is_asked_for_what_the_trial_at_hand_is_given() -> None:
    from sweeps.schedule.tune import Halt, Handout
    from sweeps.signals import Signals

    plan = make_plan(spec(LARGE))
    uids = iter(["000-hinge", "002-wasserstein_gp"])
    dispatch: Any = SimpleNamespace(
        next=lambda: next(uids), needs=lambda uid: plan.needs(plan.trial(uid))
    )
    handout = Handout(dispatch, Halt(Signals(lambda _number: None)))
    bundle = {"CPU": 1, "GPU": 0.25, "memory": 2e9}
    assert handout.suggest("a") == {"uid": "000-hinge", "bundle": bundle}
    assert handout.suggest("b")["bundle"] == {**bundle, "GPU": 1}


def test_a_misfit_names_the_arm_whose_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeps.preflight.gpus", lambda: 1)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    plan = make_plan(spec({**LARGE, "gpu": 2, "cpu": 9}))
    told = [str(misfit).partition(";")[0] for misfit in preflight.misfits(plan)]
    assert told == [
        "resources.cpu: a trial of wasserstein_gp asks for 9 and this machine has 8",
        "resources.gpu: a trial of wasserstein_gp asks for 2 and this machine has 1",
    ]
    nodes = [{"CPU": 8, "GPU": 1, "memory": 4e9}, {"CPU": 32, "memory": 4e9}]
    small, large = preflight.askers(plan)
    assert small[1] == "a trial of hinge and 1 more"
    cluster.refuse_misfit(small[0], nodes, "the largest node", small[1])
    words = "gpu: a trial of wasserstein_gp asks for 2 and the largest node has 1"
    with pytest.raises(UserError, match=re.escape(words)):
        cluster.refuse_misfit(large[0], nodes, "the largest node", large[1])


def test_a_changed_exception_changes_no_trial() -> None:
    before, after = meaning(spec(LARGE)), meaning(spec({**LARGE, "gpu": 0.5}))
    (edit,) = edits(before, after, Document())
    assert (edit.key, edit.kind) == ("resources.of", "harmless")
    assert edit.change == (
        'resources.of: [{"when": {"loss.name": ["wasserstein_gp"]}, "gpu": 1.0}] -> '
        '[{"when": {"loss.name": ["wasserstein_gp"]}, "gpu": 0.5}]'
    )
    (edit,) = edits(meaning(spec()), after, Document())
    assert (edit.key, edit.kind, edit.old) == ("resources.of", "harmless", "nothing")


def test_people_are_told_who_is_given_what(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (
        "cpu 1, gpu 0.25, memory_gb 2 (hinge; minimax), or cpu 1, gpu 1, memory_gb 2 "
        "(wasserstein_gp)"
    )
    plan = make_plan(spec(LARGE))
    assert told(plan.kinds()) == words
    assert told(make_plan(spec()).kinds()) == "cpu 1, gpu 0.25, memory_gb 2"
    assert sweep_params(plan)["resources.of"] == words
    assert "resources.of" not in sweep_params(make_plan(spec()))
    plan.write(tmp_path)
    with Journal(tmp_path, journal.DRIVER) as log:
        log.append("sweep", state="running", id="x", pid=1, code_version="0")
    assert sweep_facts("packed", Results.read(tmp_path))["resources"] == words
    show_plan(spec(LARGE), with_probe=False, as_json=False)
    shown = " ".join(capsys.readouterr().out.split())
    assert f"a trial is given {words}" in shown
