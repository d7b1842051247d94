"""Points that learn: better than chance, the same every time, and only what can exist."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from sweeps import SweepSpec, journal, make_plan
from sweeps.journal import Journal
from sweeps.results import Results
from sweeps.search.tpe import SUGGEST, Asked, Event, Told, Tpe, history
from sweeps.space import SCALES, Choice, Dimension, Range, Search, Space, Tie, chance

ARMS: dict[str, dict[str, Any]] = {
    "hinge": {"loss.name": "hinge"},
    "wasserstein": {"loss.name": "wasserstein"},
}
SPACE = Space(
    (Dimension("loss.name", Choice(("hinge", "wasserstein"))),),
    (
        Dimension("generator.lr", Range("log_uniform", 1e-5, 1e-1)),
        Dimension("generator.beta", Range("uniform", 0.0, 0.9)),
        Dimension("discriminator.steps", Range("int_uniform", 1, 8)),
        Dimension("loss.clip", Range("uniform", 0.0, 1.0), when={"loss.name": ("wasserstein",)}),
        Dimension("penalty.name", Choice((None, "r1", "gp"))),
        Dimension(
            "penalty.weight", Range("log_uniform", 0.01, 100.0), when={"penalty.name": ("r1", "gp")}
        ),
        Dimension("penalty.lazy", Choice((True, False, 1)), when={"penalty.name": ("gp",)}),
    ),
)


def loss(varied: Mapping[str, Any]) -> float:
    """A bowl in each dimension; its floor is 0, under R1."""
    total = 3 * (math.log10(varied["generator.lr"]) + 3.2) ** 2
    total += 8 * (varied["generator.beta"] - 0.3) ** 2
    total += 0.1 * (varied["discriminator.steps"] - 3) ** 2
    total += {None: 3, "r1": 0, "gp": 1}[varied["penalty.name"]]
    total += (math.log10(varied.get("penalty.weight", 5)) - 0.7) ** 2
    return total + varied.get("loss.clip", 0)


def searcher(seed: int = 0, goal: str = "min", *, trials: int = 24, space: Space = SPACE) -> Tpe:
    search = Search(method="tpe", trials_each=trials, seed=seed)
    arms = ARMS if space.scientific else {"all": {}}
    return Tpe(space, search, arms, goal)


def searched(tpe: Tpe, arm: str, trials: int, *, at_once: int = 1, sign: int = 1) -> list[Event]:
    """What happened in a search with so many workers, first come first served."""
    events: list[Event] = []
    waiting: list[tuple[str, float]] = []
    for number in range(trials):
        uid = f"{arm}-{number}"
        varied = tpe.ask(uid, arm)
        events.append(Asked(uid, arm, varied))
        waiting.append((uid, sign * loss(varied)))
        if len(waiting) == at_once:
            end = Told(*waiting.pop(0))
            tpe.tell(*end)
            events.append(end)
    return events


def points(events: list[Event]) -> list[Mapping[str, Any]]:
    return [event.varied for event in events if isinstance(event, Asked)]


@pytest.mark.parametrize(("arm", "at_once"), [("hinge", 1), ("wasserstein", 1), ("hinge", 4)])
def test_learning_beats_chance_on_the_same_budget(arm: str, at_once: int) -> None:
    learnt, drawn = [], []
    for seed in range(20):
        search = Search(trials_each=24, seed=seed)
        draws = [p.varied for p in SPACE.points(search) if p.arm == ARMS[arm]]
        drawn.append(min(map(loss, draws)))
        events = searched(searcher(seed), arm, 24, at_once=at_once)
        learnt.append(min(map(loss, points(events))))
    assert median(learnt) < 0.75 * median(drawn)
    assert sum(a < b for a, b in zip(learnt, drawn, strict=True)) >= 14


def test_a_higher_score_is_better_where_the_goal_says_so() -> None:
    lower = points(searched(searcher(), "hinge", 24))
    higher = points(searched(searcher(goal="max"), "hinge", 24, sign=-1))
    assert higher == lower
    assert points(searched(searcher(goal="max"), "hinge", 24)) != lower


@pytest.mark.parametrize("arm", ARMS)
def test_every_point_has_what_exists_and_nothing_else(arm: str) -> None:
    for varied in points(searched(searcher(), arm, 40)):
        assert next(iter(varied)) == "loss.name"
        assert varied["loss.name"] == arm
        for dimension in SPACE.nuisance:
            assert (dimension.path in varied) == SPACE.exists(dimension, varied)
            if dimension.path not in varied:
                continue
            value, values = varied[dimension.path], dimension.values
            if isinstance(values, Choice):
                assert value in values.values
            else:
                assert values.low <= value <= values.high
                assert isinstance(value, int) == (values.scale == "int_uniform")


def test_the_estimator_knows_nothing_of_a_tie() -> None:
    """It chooses the same points with one as without, and a replay needs none."""
    ties = (
        Tie("discriminator.lr", "generator.lr", times=4),
        Tie("generator.wd", "penalty.weight", when={"penalty.name": ("r1", "gp")}),
    )
    tied = replace(SPACE, ties=ties)
    events = searched(searcher(space=tied), "hinge", 24)
    for free, varied in zip(points(searched(searcher(), "hinge", 24)), points(events), strict=True):
        follow = {"discriminator.lr": 4 * free["generator.lr"]}
        if "penalty.weight" in free:
            follow["generator.wd"] = free["penalty.weight"]
        assert varied == {**free, **follow}
    resumed, on = searcher(space=tied), searcher(space=tied)
    resumed.replay(events)
    searched(on, "hinge", 24)
    assert resumed.ask("next", "hinge") == on.ask("next", "hinge")


def test_arms_begin_with_the_draws_of_a_random_search_and_share_them() -> None:
    search = Search(method="tpe", trials_each=24)
    draws = list(SPACE.points(Search(trials_each=24)))
    tpe = searcher()
    for arm in ARMS:
        expected = [p.varied for p in draws if p.arm == ARMS[arm]]
        found = points(searched(tpe, arm, 24))
        assert search.warm_up == 8
        assert found[:8] == expected[:8]
        assert found[8] != expected[8]


@pytest.mark.parametrize(("trials", "first"), [(1, 1), (3, 1), (8, 3), (30, 10), (500, 10)])
def test_a_third_of_a_small_search_is_drawn(trials: int, first: int) -> None:
    assert Search(method="tpe", trials_each=trials).warm_up == first
    assert Search(trials_each=trials).warm_up == trials


def test_draws_go_on_until_enough_trials_have_a_score() -> None:
    tpe = searcher()
    draws = [p.varied for p in SPACE.points(Search(trials_each=24)) if p.arm == ARMS["hinge"]]
    asked = [tpe.ask(str(i), "hinge") for i in range(12)]
    for i in range(5):
        tpe.tell(str(i), None if i < 4 else math.nan)
    for i in range(5, 12):
        tpe.tell(str(i), loss(asked[i]))
    assert asked == draws[:12]
    assert tpe.ask("12", "hinge") == draws[12]
    tpe.tell("12", loss(draws[12]))
    assert tpe.ask("13", "hinge") != draws[13]


def test_the_arms_do_not_learn_from_one_another() -> None:
    alone = points(searched(searcher(), "hinge", 20))
    tpe = searcher()
    searched(tpe, "wasserstein", 20)
    assert points(searched(tpe, "hinge", 20)) == alone


def test_a_seed_gives_its_points_in_every_process() -> None:
    events = searched(searcher(3), "wasserstein", 16, at_once=3)
    code = (
        "import json\n"
        "from sweeps_tests import points, searched, searcher\n"
        "print(json.dumps(points(searched(searcher(3), 'wasserstein', 16, at_once=3))))\n"
    ).replace("sweeps_tests", Path(__file__).stem)
    env = {**os.environ, "PYTHONHASHSEED": "12345"}
    path = [str(Path(__file__).parent), *sys.path]
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**env, "PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(ran.stdout) == points(events)
    assert points(searched(searcher(4), "wasserstein", 16, at_once=3)) != points(events)


@pytest.mark.parametrize("cut", [0, 5, 20, 33, 40])
def test_a_sweep_goes_on_after_a_kill_as_if_there_had_been_none(cut: int) -> None:
    events = searched(searcher(1), "hinge", 28, at_once=3)
    again = searcher(1)
    again.replay(events[:cut])
    for event in events[cut:]:
        if isinstance(event, Asked):
            assert again.ask(event.uid, event.arm) == event.varied
        else:
            again.tell(*event)


def test_what_is_replayed_stands_even_where_another_point_would_be_chosen() -> None:
    """Another release of Optuna, or another processor, may choose another."""
    events = searched(searcher(), "hinge", 20)
    last = next(e for e in reversed(events) if isinstance(e, Asked))
    told = [Told(last.uid, -5.0)]
    others = [e for e in events if e.uid != last.uid]
    steps = []
    for lr in (1e-5, 1e-1):
        moved = Asked(last.uid, "hinge", {**last.varied, "generator.lr": lr})
        found = []
        for i in range(10):
            tpe = searcher()
            tpe.replay([*others, moved, *told])
            tpe.replay(Asked(f"more-{n}", "hinge", last.varied) for n in range(i))
            found.append(math.log10(tpe.ask("next", "hinge")["generator.lr"]))
        steps.append(median(found))
    assert steps[0] < steps[1] - 0.3


def test_the_order_of_the_telling_does_not_matter() -> None:
    events = searched(searcher(), "hinge", 20)
    asked = [e for e in events if isinstance(e, Asked)]
    ends = [e for e in events if isinstance(e, Told)]
    one, two = searcher(), searcher()
    one.replay(events)
    two.replay([*asked, *reversed(ends)])
    assert one.ask("more", "hinge") == two.ask("more", "hinge")


SEEDS = range(25)
LINE = Space((), (Dimension("x", Range("uniform", 0.0, 1.0)),))


def after(events: Sequence[Event]) -> list[float]:
    """The next point after some events, for each of some seeds."""
    found = []
    for seed in SEEDS:
        tpe = searcher(seed, space=LINE, trials=3)
        tpe.replay(events)
        found.append(tpe.ask("next", "all")["x"])
    return found


def ended(x: float, best: float | None, epoch: int | None = None) -> list[Event]:
    return [Asked(str(x), "all", {"x": x}), Told(str(x), best, epoch)]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        pytest.param((5.0, None), (6.0, None), id="of two that ended, the better"),
        pytest.param((5.0, None), (1.0, 3), id="to the end before stopped"),
        pytest.param((5.0, 9), (1.0, 3), id="stopped late before stopped early"),
        pytest.param((5.0, 9), (6.0, 9), id="of two stopped at one epoch, the better"),
        pytest.param((500.0, 1), (None, None), id="stopped before failed"),
        pytest.param((500.0, 1), (math.inf, None), id="stopped before no finite score"),
        pytest.param((500.0, None), (-math.inf, 3), id="not even minus infinity is a score"),
    ],
)
def test_points_go_where_the_better_trial_was(left: Any, right: Any) -> None:
    assert median(after([*ended(0.1, *left), *ended(0.9, *right)])) < 0.4
    assert median(after([*ended(0.1, *right), *ended(0.9, *left)])) > 0.6


def test_trials_under_way_send_the_next_elsewhere() -> None:
    events = [event for i in range(1, 10) for event in ended(i / 10, abs(i / 10 - 0.5))]
    under_way = [Asked(f"live-{i}", "all", {"x": 0.49 + i / 500}) for i in range(8)]
    alone, crowded = (
        median(abs(x - 0.5) for x in after(es)) for es in (events, events + under_way)
    )
    assert crowded > 1.5 * alone


def test_what_is_known_does_not_decide_a_point_alone() -> None:
    assert len(set(after([*ended(0.1, 1.0), *ended(0.9, 2.0)]))) == len(SEEDS)


def test_where_most_trials_fail_they_do_not_pass_for_the_best_tenth() -> None:
    failed = [event for i in range(14) for event in ended(0.9 + i / 1000, None)]
    draws = [chance(seed, 15, "x") for seed in SEEDS]
    assert after([*ended(0.1, 1.0), *failed]) == draws
    assert after([*ended(0.1, 1.0), *ended(0.2, 2.0), *failed[2:]]) != draws


def test_a_paused_trial_that_goes_on_is_told_again_and_the_last_word_counts() -> None:
    def heard(*ends: Told) -> list[float]:
        tpe = searcher(space=LINE, trials=3)
        tpe.replay(Asked(uid, "all", {"x": x}) for uid, x in [("a", 0.1), ("b", 0.5), ("c", 0.9)])
        tpe.replay(ends)
        return [tpe.ask(str(i), "all")["x"] for i in range(5)]

    others = [Told("b", 5.0, 3), Told("c", 6.0, 3)]
    again = heard(Told("a", 9.0, 3), *others, Told("a", 2.0, 9))
    assert again == heard(*others, Told("a", 2.0, 9))
    assert again != heard(Told("a", 9.0, 3), *others)


def test_an_arm_without_nuisance_dimensions_has_one_point() -> None:
    space = Space(SPACE.scientific, ())
    tpe = searcher(space=space)
    for i in range(12):
        assert tpe.ask(str(i), "hinge") == {"loss.name": "hinge"}
        tpe.tell(str(i), float(i))


def test_lists_of_one_value_and_of_values_that_look_alike() -> None:
    one = Dimension("one", Choice(("only",)))
    mixed = Dimension("mixed", Choice((1, True, None, 2.5, "1")))
    tpe = searcher(space=Space((), (one, mixed)), trials=3)
    seen = []
    for i in range(25):
        varied = tpe.ask(str(i), "all")
        assert varied["one"] == "only"
        seen.append(varied["mixed"])
        tpe.tell(str(i), 0.0 if varied["mixed"] is True else 1.0)
    assert sum(value is True for value in seen[5:]) > 8
    assert {type(value) for value in seen} > {bool, int}


def test_every_scale_is_one_of_optunas() -> None:
    assert SUGGEST.keys() == SCALES.keys()


SWEEP: dict[str, Any] = {
    "name": "small",
    "base": {"data": "digits", "model": "mlp", "epochs": 9},
    "scientific": {"loss.name": ["hinge"]},
    "nuisance": {"generator.lr": {"log_uniform": [1e-4, 1e-3]}},
    "search": {"trials_each": 6},
    "objective": {"samples": 500},
}


def test_the_history_of_a_sweep_is_read_from_its_journal(tmp_path: Path) -> None:
    plan = make_plan(SweepSpec.of(SWEEP))
    plan.write(tmp_path)
    uids = [trial.uid for trial in plan.trials]
    scores = {0: [9, 5, 7], 1: [8, 6], 2: [4, 3], 3: [7, 2, 1], 4: [5, 4]}
    ends = {0: "completed", 2: "diverged"}
    for number, values in scores.items():
        with Journal(tmp_path, uids[number]) as log:
            for epoch, score in enumerate(values, start=1):
                content = {"epoch": epoch, "values": {plan.objective: float(score)}}
                log.append("epoch", trial=uids[number], **content)
            if number in ends:
                end = {"state": ends[number], "verdict": "", "reason": ""}
                log.append("end", trial=uids[number], **end)
    with Journal(tmp_path, journal.DRIVER) as log:
        log.append("stop", trial=uids[1], epoch=2, reason="asha")
        for number in (3, 4):
            log.append("pause", trial=uids[number], epoch=2, reason="rung 2")
        log.append("promote", trial=uids[3], epoch=2, reason="in the best third")
    events = list(history(Results.read(tmp_path)))
    assert [e.uid for e in events if isinstance(e, Asked)] == uids
    assert [e for e in events if isinstance(e, Told)] == [
        Told(uids[0], 5.0),
        Told(uids[1], 6.0, 2),
        Told(uids[2], None),
        Told(uids[3], 2.0, 2),  # As it stood when it was paused.
        Told(uids[4], 4.0, 2),
    ]
    Tpe(SweepSpec.of(SWEEP).space, Search(method="tpe"), {"hinge": ARMS["hinge"]}, "min").replay(
        events
    )
