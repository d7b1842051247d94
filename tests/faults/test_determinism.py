"""Equal runs give equal bits: twice, in other processes, after any crash, beside other runs."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from played_sweep import place_of, play
from resuming import assert_bit_equal, told, uninterrupted
from trained_sweep import SMALL

from gancore import RunConfig, determinism
from gancore.determinism import TooLate, repeatable
from gancore.training import checkpoint, train
from sweeps import SweepSpec, journal, make_plan
from sweeps.errors import UserError
from sweeps.folder import trial_folder
from sweeps.plan import Plan, Trial
from sweeps.results import Results
from sweeps.trial import run_trial

STRICT = RunConfig.of({**SMALL, "deterministic": True, "evaluation": {"samples": 60}})
CLOCKED = {"seconds_training", "seconds_evaluation", "pictures_per_second"}


def switches() -> dict[str, Any]:
    return {
        "strict": torch.are_deterministic_algorithms_enabled(),
        "warns": torch.is_deterministic_algorithms_warn_only_enabled(),
        "tf32": torch.backends.cuda.matmul.allow_tf32,
        "cudnn": torch.backends.cudnn.deterministic,
        "cudnn_tf32": torch.backends.cudnn.allow_tf32,
        "benchmark": torch.backends.cudnn.benchmark,
    }


def test_a_run_twice_has_equal_tensors_and_equal_numbers(tmp_path: Path) -> None:
    first, second = (uninterrupted(STRICT, tmp_path / name) for name in "ab")
    for ours, theirs in zip(first.reports, second.reports, strict=True):
        assert_bit_equal(ours, theirs)
    for ours, theirs in zip(first.states, second.states, strict=True):
        assert_bit_equal(ours, theirs)


def test_torchs_switches_are_set_while_a_run_trains_and_put_back_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(determinism.WORKSPACE, raising=False)
    seen: list[dict[str, Any]] = []
    before = switches()
    for strict in (True, False):
        training = train(replace(STRICT, deterministic=strict, epochs=1), device="cpu")
        score = training.system.score
        with patch.object(
            training.system, "score", lambda score=score: (seen.append(switches()), score())[1]
        ):
            next(training)
        assert switches() == before
    assert seen[1] == before
    assert seen[0] == {
        "strict": True,
        "warns": False,
        "tf32": False,
        "cudnn": True,
        "cudnn_tf32": False,
        "benchmark": False,
    }
    assert os.environ[determinism.WORKSPACE] == ":4096:8"


def test_cuda_that_has_started_without_its_setting_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(determinism.WORKSPACE, "")
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    with pytest.raises(TooLate, match=r"set that before"), repeatable(True):
        pass
    determinism.prepare()
    with repeatable(True):
        assert torch.are_deterministic_algorithms_enabled()


def test_scores_taken_in_between_change_nothing_of_what_is_trained() -> None:
    plain, curious = (train(STRICT, device="cpu") for _ in range(2))
    for report in plain:
        for _ in range(3):
            curious.system.score()
            curious.system.grid()
        assert_bit_equal(told(next(curious)), told(report))
        assert_bit_equal(curious.state_dict(), plain.state_dict())


PROCESS = """
import hashlib, json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from resuming import leaves, told
from trained_sweep import SMALL
from gancore import RunConfig
from gancore.training import train
training = train(RunConfig.of({**SMALL, "epochs": 1, "evaluation": {"samples": 60}}), device="cpu")
(report,) = training
bits = hashlib.sha256()
for path, value in leaves(training.state_dict()):
    bits.update(path.encode())
    bits.update(value.numpy().tobytes() if hasattr(value, "numpy") else repr(value).encode())
values = {k: float(v).hex() for k, v in told(report).items() if isinstance(v, float)}
print(json.dumps([bits.hexdigest(), values]))
"""


def test_fresh_processes_with_other_hash_seeds_agree() -> None:
    tests = str(Path(__file__).parents[1])
    said = []
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", PROCESS, tests]
        found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        said.append(json.loads(found.stdout))
    assert said[0] == said[1]
    assert len(said[0][1]) > 3


def real_sweep(place: Path, evaluation: Path | None = None, **changes: Any) -> Plan:
    """The folder of a sweep of small real trials; what real scores need may be there already."""
    place.mkdir(parents=True)
    sweep = {
        "name": "real",
        "base": {**SMALL, "epochs": 2},
        "nuisance": {"generator.lr": {"log_uniform": [1e-4, 1e-2]}},
        "search": {"trials_each": 1},
        "objective": {"samples": 60},
        **changes,
    }
    plan = make_plan(SweepSpec.of(sweep))
    plan.write(place)
    if evaluation:
        shutil.copytree(evaluation, place / "evaluation")
    return plan


def curve(place: Path, uid: str) -> list[dict[str, str]]:
    points = Results.read(place).trials[uid].points
    return [
        {k: v.hex() for k, v in p.values.items() if k not in CLOCKED and isinstance(v, float)}
        for p in points
    ]


class Killed(BaseException):
    """What no `except Exception` sees, as a SIGKILL would be."""


@pytest.fixture
def crash_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Counts the writes and renames of this process, and dies before the one whose turn it is."""
    left = [0]
    for name in ("write", "replace"):
        original = getattr(os, name)

        def counted(*args: Any, original: Any = original, **named: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return original(*args, **named)

        monkeypatch.setattr(os, name, counted)
    yield left
    left[0] = 0


def test_killed_before_any_write_a_trial_goes_on_to_the_same_bits(
    tmp_path: Path, crash_at: list[int]
) -> None:
    whole = tmp_path / "whole"
    plan = real_sweep(whole)
    uid = plan.trials[0].uid
    list(run_trial(whole, plan, uid, device="cpu"))
    list_of_all = checkpoint.newest(trial_folder(whole, uid) / "checkpoints", 99)[0]
    assert list_of_all is not None
    point = 0
    while True:
        point += 1
        place = tmp_path / str(point)
        real_sweep(place, whole / "evaluation")
        crash_at[0] = point
        try:
            list(run_trial(place, plan, uid, device="cpu"))
            break
        except Killed:
            crash_at[0] = 0
        list(run_trial(place, plan, uid, device="cpu"))
        assert curve(place, uid) == curve(whole, uid), point
        found = checkpoint.newest(trial_folder(place, uid) / "checkpoints", 99)[0]
        assert found is not None
        assert_bit_equal(found.state, list_of_all.state)
    assert point > 10


def test_curves_do_not_hang_on_what_is_trained_beside_them(tmp_path: Path) -> None:
    alone, mixed = tmp_path / "alone", tmp_path / "mixed"
    plan = real_sweep(alone, search={"trials_each": 8})
    uids = [trial.uid for trial in plan.trials]
    for uid in uids:
        list(run_trial(alone, plan, uid, device="cpu"))
    real_sweep(mixed, alone / "evaluation", search={"trials_each": 8})
    for pair in zip(uids[::2], uids[1::2], strict=True):
        running = [run_trial(mixed, plan, uid, device="cpu") for uid in pair]
        while any([next(trial, None) for trial in running]):
            pass
    assert len(uids) == 8
    for uid in uids:
        assert curve(mixed, uid) == curve(alone, uid)
        assert len(curve(mixed, uid)) == 2


PROMOTED: dict[str, Any] = {
    "base": {"data": "digits", "model": "mlp", "epochs": 9, "latent": 16, "deterministic": True},
    "search": {"trials_each": 9},
    "schedule": {"variant": "promotion", "grace": 1, "eta": 3},
    "confirm": {"seeds": 1},
}


def zigzag(trial: Trial, epoch: int) -> float:
    """Trials overtake each other, some are equal, and one of the best diverges on the way."""
    if trial.draw == 4 and epoch == 2:
        return float("nan")
    return 10.0 + (trial.draw * 5 % 9) // 2 - (epoch - 1) * (trial.draw % 3) / 4


@pytest.mark.parametrize("dies", ["heard", "journalled", "outlived"])
def test_rungs_of_deterministic_runs_wait_so_that_it_does_not_matter_who_is_quicker(
    tmp_path: Path, dies: str
) -> None:
    found = []
    with patch("os.fsync"):
        for seed in range(12):
            speeds, slots = random.Random(seed), (1, 2, 3, 7, 18)[seed % 5]
            place = place_of(tmp_path / str(seed), **PROMOTED)
            assert Plan.read(place).repeats
            if seed > 4:  # It makes no difference to have been killed either.
                play(place, zigzag, slots=slots, speeds=speeds, until=4 * seed, dies=dies)
            play(place, zigzag, slots=slots, speeds=speeds)
            trials = Results.read(place).trials
            found.append({uid: (r.state, r.epoch, r.best) for uid, r in trials.items()})
    assert all(fates == found[0] for fates in found)
    assert {epoch for _, epoch, _ in found[0].values()} == {1, 2, 3, 9}


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"budget": {"hours": 1}}, "budget.hours: deterministic: a clock would decide"),
        ({"search": {"method": "tpe", "trials_each": 3}}, "search.method: deterministic: tpe"),
        ({"schedule": {"eta": 2}}, "schedule.variant: deterministic: stopping judges"),
    ],
)
def test_what_hangs_on_who_is_quicker_is_refused_of_deterministic_runs(
    changes: dict[str, Any], refused: str
) -> None:
    sweep = {"name": "q", **PROMOTED, "nuisance": {"generator.lr": [1e-3, 1e-4]}, **changes}
    sweep.pop("confirm")
    with pytest.raises(UserError, match=refused):
        SweepSpec.of(sweep)
    plain = {**sweep, "base": {**sweep["base"], "deterministic": False}}
    SweepSpec.of(plain)
    if "budget" not in changes:
        SweepSpec.of({**sweep, "resources": {"concurrent": 1}})


def test_an_attempt_under_other_conditions_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from sweeps import provenance

    place = tmp_path / "place"
    plan = real_sweep(place)
    uid = plan.trials[0].uid
    next(run_trial(place, plan, uid, device="cpu"))
    before = provenance.attempts(Results.read(place))
    now = {"python": "3.99.0", "torch": torch.__version__, "threads": 77}
    with patch("sweeps.trial.versions", lambda: now):
        list(run_trial(place, plan, uid, device="cpu"))
    results = Results.read(place)
    provenance.warn(results, before)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("warning: 1 trial(s) went on under other conditions")
    assert "to 3.99.0 (1)" in said
    assert f"threads {torch.get_num_threads()} to 77 (1)" in said
    assert "torch" not in said
    provenance.warn(results, provenance.attempts(results))
    assert capsys.readouterr().err == ""
    digest = journal.read(place, uid)[0]["config_digest"]
    other = replace(plan.trials[0], config={**plan.trials[0].config, "batch": 7})
    assert provenance.config_digest(other) != digest == provenance.config_digest(plan.trials[0])
    longer = replace(plan.trials[0], config={**plan.trials[0].config, "epochs": 99})
    assert provenance.config_digest(longer) == digest  # `gansweep extend` is no other condition.
