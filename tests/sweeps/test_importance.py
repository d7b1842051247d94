"""What mattered in a space: planted effects are found, noise is not, and few trials are refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from sweeps import SweepSpec, make_plan
from sweeps.compare.axes import Axis, axes_of
from sweeps.compare.importance import (
    FEWEST,
    Importance,
    Robustness,
    _top,
    importances,
    robustness,
)
from sweeps.report.data import Shown, _dimensions
from sweeps.results import Results, TrialResult

GP = "wasserstein_gp"
NUISANCE: dict[str, Any] = {
    "generator.lr": {"log_uniform": [1e-5, 1e-1]},
    "discriminator.lr": {"log_uniform": [1e-5, 1e-1]},
    "latent": {"int_uniform": [2, 65]},
    "generator.beta1": [0.0, 0.5, 0.9],
    "loss.gp_weight": {"uniform": [0.1, 10], "when": {"loss.name": GP}},
    "model.norm": {"choice": ["none"], "when": {"loss.name": GP}},
}

Score = Callable[[Mapping[str, Any]], float | None]


def swept(
    folder: Path,
    score: Score,
    losses: tuple[str, ...] = ("hinge", GP),
    each: int = 40,
    nuisance: Mapping[str, Any] = NUISANCE,
) -> Results:
    """A finished sweep whose scores are a function of its points; None is a trial that failed."""
    used = {
        path: values
        for path, values in nuisance.items()
        if GP in losses or not isinstance(values, dict) or "when" not in values
    }
    spec = SweepSpec.of(
        {
            "name": "told",
            "base": {"data": "digits", "model": "mlp", "epochs": 2},
            "scientific": {"loss.name": list(losses)},
            "nuisance": used,
            "search": {"trials_each": each},
        }
    )
    (folder / "sweep.yaml").write_text(spec.text)
    plan = make_plan(spec)
    trials = {t.uid: TrialResult(t, plan.objective, plan.goal) for t in plan.trials}
    for result in trials.values():
        tell(result, score(result.trial.varied))
    return Results(folder, plan, trials, state="finished")


def tell(result: TrialResult, score: float | None) -> None:
    result.add({"kind": "start", "passport_digest": "same"})
    if score is not None:
        values = {result.objective: score}
        result.add({"kind": "epoch", "epoch": 1, "time_ms": 0, "values": values})
    verdict = "healthy" if score is not None else "diverged"
    state = "completed" if score is not None else "diverged"
    result.add({"kind": "end", "state": state, "verdict": verdict, "reason": ""})


def by_lr(varied: Mapping[str, Any]) -> float:
    """Best at a generator's rate of 1e-3, worse by the square of each power of ten beyond."""
    return 1 + (math.log10(varied["generator.lr"]) + 3) ** 2


def noise(seed: int) -> Score:
    rng = np.random.default_rng(seed)
    return lambda _: float(rng.lognormal())


def of_arm(found: list[Importance], arm: str | None) -> Importance:
    (one,) = [importance for importance in found if importance.arm == arm]
    return one


def test_the_one_that_mattered_is_found_in_every_arm_and_over_all(tmp_path: Path) -> None:
    found = importances(swept(tmp_path, by_lr))
    assert [importance.arm for importance in found] == [None, "hinge", GP]
    for importance in found:
        first, *others = importance.shares
        assert first.path == "generator.lr"
        assert first.importance > 0.6
        # No shuffled sweep came near it: 1 / 200 for each hyper-parameter that might have.
        assert first.p == pytest.approx(len(importance.shares) / 200)
        assert min(share.p for share in others) > 0.05
        assert math.fsum(share.importance for share in importance.shares) == pytest.approx(1)
    assert (found[0].draws, found[0].points, found[0].top) == (80, 40, 20)
    json.dumps([asdict(importance) for importance in found], allow_nan=False)


def test_what_only_some_trials_have_is_judged_and_a_constant_is_not(tmp_path: Path) -> None:
    results = swept(tmp_path, lambda v: 10 + v.get("loss.gp_weight", 20.0))
    everywhere, within = importances(results)[0], of_arm(importances(results), GP)
    assert within.shares[0].path == "loss.gp_weight"
    assert within.shares[0].p <= 0.05
    assert {s.path for s in everywhere.shares} == {"loss.name", *NUISANCE} - {"model.norm"}
    assert "loss.gp_weight" not in {s.path for s in of_arm(importances(results), "hinge").shares}


def test_what_follows_another_value_is_no_axis_of_its_own(tmp_path: Path) -> None:
    """Or its share would be taken from what it follows: with or without a readable file."""
    tie = {"discriminator.lr": {"same_as": "generator.lr", "times": 4}}
    results = swept(tmp_path, by_lr, ("hinge",), nuisance={**NUISANCE, **tie})
    first = results.plan.trials[0].varied
    assert first["discriminator.lr"] == 4 * first["generator.lr"]
    (found,) = importances(results)
    assert [share.path for share in found.shares if share.path.endswith(".lr")] == ["generator.lr"]
    (tmp_path / "sweep.yaml").unlink()
    assert "discriminator.lr" not in {axis.path for axis in axes_of(results)}
    (shown,) = (
        [d["path"] for d in _dimensions([Shown(r.trial.arm, "told", results, r) for r in rs])]
        for rs in results.of_phase("explore").values()
    )
    assert "discriminator.lr" not in shown
    assert "generator.lr" in shown


@pytest.mark.parametrize(("n", "top"), [(20, 5), (80, 20), (101, 25), (250, 25), (500, 50)])
def test_the_good_ones_are_a_quarter_or_a_tenth(n: int, top: int) -> None:
    assert _top(n) == top


def test_the_arm_matters_where_it_does(tmp_path: Path) -> None:
    draws = noise(0)
    results = swept(tmp_path, lambda v: (draws(v) or 0) + 9 * (v["loss.name"] == "hinge"))
    first, *others = importances(results)[0].shares
    assert (first.path, first.p <= 0.05) == ("loss.name", True)
    assert min(share.p for share in others) > 0.05


def test_the_scale_of_a_range_is_that_of_the_file(tmp_path: Path) -> None:
    """Of rates from 1e-5 to 1e-1, all good ones below 1e-3 look alike on a plain axis."""
    results = swept(tmp_path, lambda v: abs(math.log10(v["generator.lr"]) + 4.5), ("hinge",))
    (logarithmic,) = importances(results)
    assert logarithmic.shares[0].path == "generator.lr"
    file = tmp_path / "sweep.yaml"
    file.write_text(file.read_text().replace("log_uniform", "uniform"))
    assert next(a for a in axes_of(results) if a.path == "generator.lr").scale == "linear"
    share = {s.path: s.importance for s in importances(results)[0].shares}
    assert share["generator.lr"] < logarithmic.shares[0].importance


@pytest.mark.parametrize(
    "losses", [("hinge",), ("hinge", "minimax", "least_squares", "nonsaturating")]
)
def test_noise_is_seldom_called_important(tmp_path: Path, losses: tuple[str, ...]) -> None:
    """Arms that share their draws and their luck are no more evidence than one of them."""
    false = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        luck = rng.lognormal(size=100)
        results = swept(
            tmp_path,
            lambda _: 1.0,
            losses,
            24 // len(losses),
            {
                "generator.lr": NUISANCE["generator.lr"],
            },
        )
        for result in results.trials.values():
            result.best = luck[result.trial.draw] + 1e-3 * rng.random()
        found = importances(results, seed)[0]
        assert not found.refused
        false += any(s.p <= 0.05 for s in found.shares)
    # 20 tests at 5 %: more than 4 in one of 400 cases.
    assert false <= 4


@pytest.mark.parametrize(
    ("each", "score", "why"),
    [
        (FEWEST - 1, by_lr, f"{FEWEST - 1} draws; importance needs {FEWEST}"),
        (FEWEST, lambda _: 8.0, f"{FEWEST} of {FEWEST} draws share the best score"),
        (FEWEST, lambda _: None, f"{FEWEST} of {FEWEST} draws share the best score"),
    ],
)
def test_too_little_is_refused(tmp_path: Path, each: int, score: Score, why: str) -> None:
    (found,) = importances(swept(tmp_path, score, ("hinge",), each))
    assert why in found.refused
    assert found.shares == ()


def test_unlike_passports_and_a_fixed_point_are_refused(tmp_path: Path) -> None:
    results = swept(tmp_path, by_lr, each=FEWEST)
    for result in results.of_phase("explore")["hinge"]:
        result.starts[-1]["passport_digest"] = "other data"
    everywhere, hinge, other = importances(results)
    assert "unlike protocols" in everywhere.refused
    assert not hinge.refused
    assert not other.refused
    fixed = swept(tmp_path, by_lr, ("hinge",), 2, {"generator.lr": [1e-3]})
    assert importances(fixed)[0].refused == "nothing was varied"


def test_a_trial_that_failed_is_worse_than_any(tmp_path: Path) -> None:
    """Only rates above 1e-3 have a score at all, the same for all: to survive is what matters."""
    results = swept(tmp_path, lambda v: by_lr(v) if v["generator.lr"] > 1e-3 else None, ("hinge",))
    first = importances(results)[0].shares[0]
    assert (first.path, first.p <= 0.05) == ("generator.lr", True)


@pytest.mark.parametrize(
    ("goal", "scores", "bar"),
    [
        ("min", [10.0, 11.0, 11.5, 30.0], 11.0),
        ("max", [10.0, 9.0, 8.5, 3.0], 9.0),
        ("max", [-10.0, -11.0, -11.5, -30.0], -11.0),
    ],
)
def test_robustness_counts_what_comes_near_the_best(
    tmp_path: Path, goal: str, scores: list[float], bar: float
) -> None:
    results = swept(tmp_path, lambda _: 1.0, ("hinge",), 5)
    results.plan = replace(results.plan, goal=goal)
    for result, score in zip(results.trials.values(), [*scores, None], strict=True):
        result.best = score
    results.trials["001-hinge"].state = results.trials["003-hinge"].state = "stopped"
    ends = binomtest(2, 5).proportion_ci(method="wilson")
    expected = Robustness("hinge", 5, 2, 1, 0.4, ends.low, ends.high, bar, learnt=False)
    assert robustness(results) == [expected]


def test_an_arm_without_a_score_has_no_good_part(tmp_path: Path) -> None:
    (found,) = robustness(swept(tmp_path, lambda _: None, ("hinge",), 3))
    assert (found.near, found.share, found.low, found.bar) == (0, 0.0, 0.0, None)


def test_axes_are_the_files(tmp_path: Path) -> None:
    axes = {axis.path: axis for axis in axes_of(swept(tmp_path, by_lr, each=3))}
    assert list(axes) == ["loss.name", *NUISANCE]
    assert axes["loss.name"] == Axis(
        "loss.name", "categorical", scientific=True, values=("hinge", GP)
    )
    assert axes["generator.lr"] == Axis("generator.lr", "log", low=1e-5, high=1e-1)
    assert axes["latent"] == Axis("latent", "linear", low=2, high=65, whole=True)
    assert axes["generator.beta1"].values == (0.0, 0.5, 0.9)
    assert axes["loss.gp_weight"].scale == "linear"


@pytest.mark.parametrize("text", [None, "plugins: [not_there_any_more]\n"])
def test_axes_are_guessed_where_the_file_cannot_be_read(tmp_path: Path, text: str | None) -> None:
    results = swept(tmp_path, by_lr)
    (tmp_path / "sweep.yaml").unlink()
    if text is not None:
        (tmp_path / "sweep.yaml").write_text(text)
    axes = {axis.path: axis for axis in axes_of(results)}
    assert all(axis.guessed for axis in axes.values())
    assert {path: axis.scale for path, axis in axes.items()} == {
        "loss.name": "categorical",
        "generator.lr": "log",
        "discriminator.lr": "log",
        "latent": "categorical",  # 40 draws of 64 whole numbers have some twice: as from a list.
        "generator.beta1": "categorical",
        "loss.gp_weight": "log",
        "model.norm": "categorical",
    }
    assert of_arm(importances(results), "hinge").shares[0].path == "generator.lr"


def test_an_axis_reaches_where_a_trial_went(tmp_path: Path) -> None:
    results = swept(tmp_path, by_lr, ("hinge",), FEWEST)
    result = results.trials["000-hinge"]
    beyond = {**result.trial.varied, "generator.lr": 1.0, "generator.beta1": 0.7}
    result.trial = replace(result.trial, varied=beyond)
    axes = {axis.path: axis for axis in axes_of(results)}
    assert axes["generator.lr"].high == 1.0
    assert axes["generator.beta1"].values == (0.0, 0.5, 0.9, 0.7)
    assert not importances(results)[0].refused
