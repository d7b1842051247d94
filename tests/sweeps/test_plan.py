"""Plans: the same everywhere, paired, readable, and checked."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gancore.config import RunConfig
from sweeps.naming import label_of
from sweeps.plan import Plan, make_plan
from sweeps.spec import SweepSpec

QUESTION = {
    "name": "which_loss",
    "base": {"data": "mnist5k", "model": {"name": "dcgan", "width": 16}, "epochs": 12},
    "scientific": {"loss.name": ["minimax", "wasserstein"]},
    "nuisance": {
        "generator.lr": {"log_uniform": [1e-5, 1e-2]},
        "loss.clip": {"log_uniform": [1e-3, 1], "when": {"loss.name": "wasserstein"}},
    },
    "search": {"trials_each": 3, "seed": 7},
}


def plan_of(**changes: object) -> Plan:
    return make_plan(SweepSpec.of({**QUESTION, **changes}))


def test_a_plan_says_what_will_be_done() -> None:
    plan = plan_of()
    assert (plan.name, plan.objective, plan.goal) == ("which_loss", "fid5k", "min")
    assert plan.scientific == ("loss.name",)
    assert [arm.label for arm in plan.arms] == ["minimax", "wasserstein"]
    assert [t.uid for t in plan.trials] == [
        "000-minimax", "001-wasserstein", "002-minimax",
        "003-wasserstein", "004-minimax", "005-wasserstein",
    ]  # fmt: skip
    assert plan.epochs == 12
    assert plan.trial("003-wasserstein").draw == 1


def test_every_trial_is_a_run_that_can_start() -> None:
    for trial in plan_of().trials:
        config = RunConfig.of(trial.config)
        assert config.as_mapping() == trial.config
        assert config.seed == trial.seed
        assert config.loss.name == trial.varied["loss.name"]
        assert config.generator.lr == trial.varied["generator.lr"]


def test_arms_are_paired_draw_by_draw() -> None:
    trials = plan_of().trials
    for draw in range(3):
        minimax, wasserstein = (t for t in trials if t.draw == draw)
        assert minimax.seed == wasserstein.seed
        assert minimax.varied["generator.lr"] == wasserstein.varied["generator.lr"]
        assert "loss.clip" in wasserstein.varied
        assert "loss.clip" not in minimax.varied
    assert len({t.seed for t in trials}) == 3


def test_another_seed_gives_other_trials() -> None:
    one, other = plan_of(), plan_of(search={"trials_each": 3, "seed": 8})
    assert {t.seed for t in one.trials}.isdisjoint(t.seed for t in other.trials)
    assert one.digest != other.digest


def test_more_draws_keep_the_trials_that_there_were() -> None:
    few, more = plan_of(), plan_of(search={"trials_each": 9, "seed": 7})
    assert more.trials[:6] == few.trials


def test_a_plan_is_the_same_in_every_process() -> None:
    program = (
        "import json, sys\n"
        "from sweeps.plan import make_plan\n"
        "from sweeps.spec import SweepSpec\n"
        "print(make_plan(SweepSpec.of(json.loads(sys.argv[1]))).digest)\n"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program, json.dumps(QUESTION)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for seed in ("0", "1", "31337")
    }
    assert digests == {plan_of().digest}


def test_a_plan_comes_back_from_its_file(tmp_path: Path) -> None:
    plan = plan_of(
        schedule={"name": "asha", "grace": 2, "within": "sweep"},
        resources={"gpu": 0.25, "concurrent": 3},
    )
    plan.write(tmp_path)
    assert Plan.read(tmp_path) == plan
    assert Plan.read(tmp_path).digest == plan.digest
    assert json.loads((tmp_path / "plan.json").read_text())["trials"][0]["uid"] == "000-minimax"


@pytest.mark.parametrize(
    ("arm", "label"),
    [
        ({}, "all"),
        ({"loss.name": "hinge"}, "hinge"),
        ({"loss.name": "hinge", "penalty.name": "r1"}, "hinge,r1"),
        ({"loss.name": "hinge", "penalty.weight": 10.0}, "hinge,weight=10.0"),
        ({"generator.lr": 1e-3, "discriminator.lr": 1e-4},
         "generator.lr=0.001,discriminator.lr=0.0001"),
        ({"batch": 64, "deterministic": True}, "batch=64,deterministic=true"),
        ({"data.resolution": None}, "resolution=none"),
    ],
)  # fmt: skip
def test_arms_have_readable_labels(arm: dict[str, object], label: str) -> None:
    assert label_of(arm) == label


def test_names_of_trials_are_safe_unique_short_and_sorted() -> None:
    options = ["generator.lr", "discriminator.lr", "generator.beta2", "discriminator.beta2"]
    plan = plan_of(
        scientific={path: [0.1234567890123, 0.2345678901234, 0.345] for path in options},
        nuisance={},
        search={"trials_each": 13},
    )
    uids = [t.uid for t in plan.trials]
    assert len(uids) == 81 * 13 == len(set(uids))
    assert uids == sorted(uids)
    assert all(re.fullmatch(r"[0-9]{4}-[A-Za-z0-9][A-Za-z0-9._-]*", uid) for uid in uids)
    assert max(map(len, uids)) <= 60


def test_longer_trials_set_the_length_of_the_plan() -> None:
    plan = plan_of(nuisance={"epochs": [4, 20]}, search={"method": "grid"})
    assert sorted({t.epochs for t in plan.trials}) == [4, 20]
    assert plan.epochs == 20


def test_a_grid_has_every_point_of_each_arm() -> None:
    plan = plan_of(
        nuisance={
            "generator.lr": {"log_uniform": [1e-4, 1e-2], "points": 3},
            "loss.clip": {"choice": [0.1, 1], "when": {"loss.name": "wasserstein"}},
        },
        search={"method": "grid"},
    )
    points = {
        arm: [t.varied for t in plan.trials if t.arm == arm] for arm in ("minimax", "wasserstein")
    }
    assert [p["generator.lr"] for p in points["minimax"]] == pytest.approx([1e-4, 1e-3, 1e-2])
    assert len(points["wasserstein"]) == 6


def test_ten_thousand_trials_are_planned_in_seconds(tmp_path: Path) -> None:
    began = time.process_time()
    plan = plan_of(search={"trials_each": 5000})
    plan.write(tmp_path)
    assert Plan.read(tmp_path).trials[-1].uid == "9999-wasserstein"
    assert time.process_time() - began < 5
