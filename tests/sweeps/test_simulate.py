"""The replay of a schedule on recorded curves: hand counts, brute force, and files of all kinds."""

from __future__ import annotations

import json
import math
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from sweeps import SweepSpec, make_plan
from sweeps.cli import main
from sweeps.curves import Curve, Recorded, read_curves
from sweeps.errors import UserError
from sweeps.journal import Journal
from sweeps.schedule.brackets import VARIANTS, Setting, dealing, shares
from sweeps.simulate import (
    Course,
    Outcome,
    calibrated,
    rank_agreement,
    recommend,
    replay,
    simulate,
)
from sweeps.simulation import show_simulation

NAN = math.nan


def courses(rows: Sequence[Sequence[float]], groups: str = "") -> list[Course]:
    return [
        Course(str(n), Curve(str(n), groups[n : n + 1], tuple(row)), 1.0)
        for n, row in enumerate(rows)
    ]


def recorded(rows: Sequence[Sequence[float]], goal: str = "min", groups: str = "") -> Recorded:
    curves = tuple(Curve(str(n), groups[n : n + 1], tuple(r)) for n, r in enumerate(rows))
    return Recorded(curves, tuple(float(s) for s in range(1, len(rows[0]) + 1)), goal)


def parallel(count: int, points: int) -> list[list[float]]:
    """Curves that never cross, the best first."""
    return [[10.0 * n - p for p in range(points)] for n in range(count)]


def late_winner() -> list[list[float]]:
    """Nine curves of nine points: the last is worst at the first point and best from the third."""
    return [*parallel(8, 9), [500.0, 500.0, *[-100.0] * 7]]


def brute_force(
    trials: Sequence[Course], raw: Sequence[Sequence[float]], setting: Setting, workers: int
) -> dict[str, int]:
    """Every worker trains a point in turn, and every report is judged."""
    last = len(raw[0])
    kind, eta = VARIANTS[setting.variant], setting.eta
    firsts = [setting.grace * eta**s for s in range(setting.brackets)]
    rules = [kind(grace=grace, eta=eta, last=last) for grace in firsts]
    parts = dealing(shares([len(rule.epochs) for rule in rules]))
    dealt = [bracket for bracket, _ in zip(parts, trials, strict=False)]
    earlier = {c.uid: sum(o.group == c.group for o in trials[:n]) for n, c in enumerate(trials)}
    rule_of = {uid: rules[dealt[draw]] for uid, draw in earlier.items()}
    epochs = {c.uid: 0 for c in trials}
    fresh, live = [c.uid for c in trials], list[str]()
    group = {c.uid: c.group for c in trials}
    while True:
        while len(live) < workers:
            if fresh:
                live.append(fresh.pop(0))
                continue
            found = [
                promoted
                for rule in rules
                if (promoted := rule.promotable({u: group[u] for u in live if rule_of[u] is rule}))
            ]
            if not found:
                break
            uid, _, _ = max(found, key=lambda promoted: promoted[1])
            rule_of[uid].leave(uid)
            live.append(uid)
        if not live:
            return epochs
        for uid in list(live):
            epochs[uid] += 1
            score = raw[int(uid)][epochs[uid] - 1]
            if epochs[uid] == last or (
                rule_of[uid].judge(uid, group[uid], epochs[uid], score).action != "go_on"
            ):
                live.remove(uid)


@pytest.mark.parametrize(
    ("order", "epochs"),
    [("012", 4), ("021", 5), ("102", 5), ("120", 5), ("201", 6), ("210", 6)],
)
def test_one_worker_and_a_known_order_train_what_a_hand_counts(order: str, epochs: int) -> None:
    # Scores 0, 1 and 2 throughout, one rung at the first of two points, cut at the median of those
    # before: the first goes on, the second if it is better, the third if it is no worse than their
    # mean.
    trials = courses([[n, n] for n in (0.0, 1.0, 2.0)])
    reached = replay([trials[int(n)] for n in order], Setting("stopping", 1, 2), 1)
    assert sum(reached.values()) == epochs


def test_best_first_stopping_trains_one_whole_and_worst_first_it_trains_all() -> None:
    trials = courses(parallel(9, 9))
    setting = Setting("stopping", 1, 3)
    assert list(replay(trials, setting, 1).values()) == [9, *[1] * 8]
    assert list(replay(trials[::-1], setting, 1).values()) == [9] * 9


@pytest.mark.parametrize("workers", [1, 4, 9])
def test_promotion_of_curves_that_never_cross_costs_the_same_in_every_order(workers: int) -> None:
    # Of nine, three pass the first rung and one the third: 6 * 1 + 2 * 3 + 1 * 9 points.
    (found,) = simulate(
        recorded(parallel(9, 9)), [Setting("promotion", 1, 3)], workers=workers, orders=50
    )
    assert found.rungs == (1, 3)
    assert found.budget == pytest.approx(21 / 81)
    assert (found.kept, found.median_regret, found.p90_regret) == (1.0, 0.0, 0.0)


def test_the_winner_of_curves_that_never_cross_is_never_stopped() -> None:
    settings = [Setting("stopping", grace, eta) for grace in (1, 2) for eta in (2, 3)]
    for found in simulate(recorded(parallel(9, 9)), settings, workers=3, orders=100):
        assert (found.kept, found.p90_regret) == (1.0, 0.0)
        assert 17 / 81 <= found.budget < 1


def test_a_winner_that_starts_worst_is_lost_unless_it_comes_first() -> None:
    trials = courses(late_winner())
    for place in range(9):
        order = trials[:8]
        order.insert(place, trials[8])
        reached = replay(order, Setting("stopping", 1, 3), 1)
        assert reached["8"] == (1 if place else 9)


def test_the_cheapest_setting_that_keeps_the_winner_is_recommended() -> None:
    settings = [Setting(v, grace, 3) for v in VARIANTS for grace in (1, 3)]
    found = simulate(recorded(late_winner()), settings, workers=1)
    early, late = found[0], found[1]
    # One order in nine brings it first; the best of the others ends at -8.
    assert early.kept == pytest.approx(1 / 9, abs=0.06)
    assert (early.median_regret, early.p90_regret) == (92.0, pytest.approx(92.0))
    assert (late.kept, late.p90_regret) == (1.0, 0.0)
    # Promotion from the third point: three go on to the end, six wait there.
    assert found[3].budget == pytest.approx((3 * 9 + 6 * 3) / 81)
    assert recommend(found) == min((late, found[3]), key=lambda o: o.budget)


def test_a_later_bracket_saves_a_winner_that_starts_worst_at_a_price() -> None:
    plain, hedged = simulate(
        recorded(late_winner()), [Setting("promotion", 1, 3, b) for b in (1, 2)], workers=1
    )
    assert plain.kept == 0
    # Two of nine draws are in the second bracket, whose first rung is the third point.
    assert hedged.kept == pytest.approx(2 / 9, abs=0.06)
    assert hedged.budget > plain.budget


def test_where_no_setting_is_safe_the_one_that_keeps_most_is_recommended() -> None:
    def outcome(kept: float, budget: float) -> Outcome:
        return Outcome(Setting("stopping", 1, 2), (1,), budget, kept, 0.0, 0.0)

    unsafe = [outcome(0.5, 0.1), outcome(0.9, 0.6), outcome(0.9, 0.5)]
    assert recommend(unsafe) == unsafe[2]
    assert recommend([*unsafe, outcome(0.95, 0.9)]).kept == 0.95


@pytest.mark.parametrize("variant", list(VARIANTS))
@pytest.mark.parametrize("workers", [1, 3, 8])
def test_it_equals_driving_the_rule_point_by_point(variant: str, workers: int) -> None:
    draws = random.Random(f"{variant}{workers}")
    told = set()
    for _ in range(60):
        points, grace, eta = draws.randint(3, 30), draws.randint(1, 4), draws.randint(2, 4)
        raw = [
            [NAN if draws.random() < 0.2 else draws.gauss(0, 1) for _ in range(points)]
            for _ in range(draws.randint(3, 14))
        ]
        # Some start without a score, as a metric that fails at first.
        raw[0][: points // 2] = [NAN] * (points // 2)
        trials = courses(raw, "".join(draws.choice("ab") for _ in raw))
        draws.shuffle(trials)
        setting = Setting(variant, grace, eta, draws.randint(1, 3))
        reached = replay(trials, setting, workers)
        assert reached == brute_force(trials, raw, setting, workers)
        told |= set(reached.values())
    assert len(told) > 8


def test_higher_is_better_mirrors_lower_is_better() -> None:
    rows = late_winner()
    settings = [Setting(v, 1, 3) for v in VARIANTS]
    mirrored = recorded([[-s for s in row] for row in rows], "max")
    assert simulate(mirrored, settings) == simulate(recorded(rows), settings)
    # Read the wrong way round, the same curves have another winner.
    assert simulate(recorded(rows, "max"), settings) != simulate(recorded(rows), settings)


def test_every_group_has_a_winner_of_its_own() -> None:
    rows = [*parallel(3, 9), *[[1000 + s for s in row] for row in parallel(3, 9)]]
    (found,) = simulate(
        recorded(rows, groups="aaabbb"), [Setting("promotion", 1, 3)], workers=2, orders=20
    )
    # Of each three one goes on to the third point, and as its group's best to the end.
    assert found.budget == pytest.approx(2 * (9 + 1 + 1) / 54)
    # One group's is lost unless it comes first of its nine, the other's never is.
    worse = [[1000 + s for s in row] for row in parallel(9, 9)]
    mixed = recorded([*late_winner(), *worse], groups="a" * 9 + "b" * 9)
    (found,) = simulate(mixed, [Setting("stopping", 1, 3)], workers=1)
    assert found.kept == pytest.approx((1 / 9 + 1) / 2, abs=0.04)


def test_the_seed_says_in_which_orders_they_come() -> None:
    settings = [Setting("stopping", 1, 3)]
    first, again, other = (
        simulate(recorded(late_winner()), settings, orders=20, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_tau_counts_pairs_in_their_final_order() -> None:
    # At the first point 1 of 3 pairs is reversed: (2 - 1) / 3; at the second none.
    found = rank_agreement(recorded([[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [3.0, 3.0, 3.0]]), (1, 2))
    assert found == {1: pytest.approx(1 / 3), 2: pytest.approx(1.0)}
    assert rank_agreement(recorded([[1.0, 1.0]] * 3), (1,)) == {1: None}


def table(place: Path, rows: Sequence[Sequence[object]], header: str = "trial,step,score") -> Path:
    place.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return place


def test_a_table_is_cut_where_the_first_ends(tmp_path: Path) -> None:
    lengths = {"a": 3, "b": 4, "c": 3, "d": 5}
    rows = [(t, 10 * s, s) for t, n in lengths.items() for s in range(n, 0, -1)]
    path = table(tmp_path / "c.csv", rows, "Run,step,FID")
    found = read_curves(path)
    assert found.steps == (10, 20, 30)
    assert {c.trial: c.scores for c in found.curves} == dict.fromkeys("abcd", (1.0, 2.0, 3.0))
    assert found.notes == ("cut at step 30",)
    assert read_curves(path, until=20).steps == (10, 20)
    with pytest.raises(UserError, match=r"2 of 4 left out: they end before 40; .*no group has 3"):
        read_curves(path, until=40)


def test_curves_with_points_elsewhere_and_small_groups_are_left_out(tmp_path: Path) -> None:
    rows = [(t, s, 1, "big") for t in "abc" for s in (1, 2, 4)]
    rows += [("odd", s, 1, "big") for s in (1, 3, 4)] + [("e", s, 1, "small") for s in (1, 2, 4)]
    found = read_curves(table(tmp_path / "c.csv", rows, "trial,step,score,group"))
    assert [c.trial for c in found.curves] == ["a", "b", "c"]
    assert found.notes == (
        "1 left out: their points lie at other steps",
        "1 left out: fewer than 3 in their group",
    )


def test_the_rows_of_one_protocol_are_chosen_and_a_mixture_is_told(tmp_path: Path) -> None:
    rows = [(t, s, t, "test", s) for t in (1, 2, 3, 4) for s in (1, 2)]
    rows += [(t, s, t, "train", s) for t in (5, 6, 7) for s in (1, 2)]
    path = table(tmp_path / "c.csv", rows, "run,step,fid,Moments,seconds")
    mixed = read_curves(path)
    assert len(mixed.curves) == 7
    told = "unlike in moments (test 4, train 3); of another protocol? --only moments=test"
    assert mixed.notes == (told,)
    assert [c.trial for c in read_curves(path, only={"Moments": "train"}).curves] == list("567")
    with pytest.raises(UserError, match=r"c.csv: no row has moments=tset, which --only asks for"):
        read_curves(path, only={"moments": "tset"})
    with pytest.raises(UserError, match=r"c.csv:1: no column 'moment', which --only asks for"):
        read_curves(path, only={"moment": "test"})
    asked = ["simulate", str(path), "--only", "moments"]
    assert "'moments' is not COLUMN=VALUE" in CliRunner().invoke(main, asked).output
    assert " 4 curves " in CliRunner().invoke(main, [*asked[:-1], "moments=test"]).output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"c.csv: empty; the first line must name trial or run, step, score or fid"),
        ("trial,step,loss\n", r"c.csv:1: no column score or fid; the first line must name"),
        ("trial,step,score\n", r"c.csv: no curve in it"),
        ("trial,step,score\na,1,2\na,x,2\n", r"c.csv:3: step 'x' is not a number: write a number$"),
        ("trial,step,score\na,1,bad\n", r"c.csv:2: score 'bad' is not a number: .*, or nan where"),
        ("trial,step,score\na,1\n", r"c.csv:2: score '' is not a number"),
        ("trial,step,score\na,inf,1\n", r"c.csv:2: step inf is not finite"),
        ("trial,step,score\n,1,1\n", r"c.csv:2: no trial is named"),
        ("trial,step,score\na,1,2\na,1,3\n", r"c.csv:3: trial 'a' has step 1 twice"),
        ("trial,step,score\na,1,2\na,2,2\nb,1,2\nb,2,2\n", r"c.csv: no group has 3 curves"),
        ("trial,step,score\na,1,2\nb,1,2\nc,1,2\n", r"have 1 point each, at least 2"),
    ],
)
def test_a_wrong_table_is_told_in_a_line_with_its_place(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "c.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as told:
        read_curves(path)
    assert "\n" not in str(told.value)


def test_what_is_no_table_at_all_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_bytes(b"trial,step,score\n\xff\xfe,1,2\n")
    with pytest.raises(UserError, match="not a CSV file in UTF-8"):
        read_curves(tmp_path / "c.csv")
    with pytest.raises(UserError, match="neither a CSV file of curves nor the folder of a sweep"):
        read_curves(tmp_path)


def sweep(place: Path, states: Sequence[str], stage: Callable[[int], int] = lambda _: 0) -> Path:
    """A sweep of two arms whose trials ended so; scores are the trial's number less the epoch."""
    plan = make_plan(
        SweepSpec.of(
            {
                "name": "digits",
                "base": {"data": "digits", "model": "mlp", "epochs": 4, "latent": 16},
                "scientific": {"loss.name": ["hinge", "minimax"]},
                "nuisance": {"generator.lr": {"log_uniform": [1e-5, 1e-4]}},
                "search": {"trials_each": len(states) // 2},
                "objective": {"samples": 500},
            }
        )
    )
    place.mkdir()
    plan.write(place)
    for number, (trial, state) in enumerate(zip(plan.trials, states, strict=True)):
        epochs = 4 if state == "completed" else 2
        with Journal(place, trial.uid) as log:
            for e in range(1, epochs + 1):
                values = {plan.objective: 10.0 * number - e}
                log.append("epoch", trial=trial.uid, epoch=e, values=values, stage=stage(e))
            log.append("end", trial=trial.uid, epoch=epochs, state=state, verdict="", reason="")
    return place


def test_of_a_sweep_only_whole_trials_count(tmp_path: Path) -> None:
    place = sweep(tmp_path / "s", ["completed"] * 6 + ["stopped", "diverged"])
    found = read_curves(place, goal="max")
    assert (found.goal, found.steps) == ("min", (1, 2, 3, 4))
    assert len(found.curves) == 6
    assert {c.group for c in found.curves} == {"hinge", "minimax"}
    assert found.curves[0].scores == (-1.0, -2.0, -3.0, -4.0)
    assert found.notes == ("2 of 8 trials left out: not trained to their end",)


def test_of_networks_that_grow_only_the_last_stage_counts(tmp_path: Path) -> None:
    found = read_curves(sweep(tmp_path / "s", ["completed"] * 6, stage=lambda e: int(e > 2)))
    assert found.steps == (3, 4)
    assert found.curves[0].scores == (-3.0, -4.0)
    assert found.notes == ("of networks that grow, only the last stage",)


def test_a_sweep_whose_schedule_left_too_few_says_what_to_do(tmp_path: Path) -> None:
    place = sweep(tmp_path / "s", ["completed"] * 2 + ["stopped"] * 6)
    with pytest.raises(UserError, match=r"2 of 8 trials were trained .* `schedule: {name: none}`"):
        read_curves(place)


def late_table(place: Path) -> Path:
    rows = [(n, 1000 * s, v) for n, row in enumerate(late_winner()) for s, v in enumerate(row, 1)]
    return table(place, rows)


def test_what_is_printed_fits_80_columns_and_json_has_it_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    path = late_table(tmp_path / "[bold]c.csv")
    asked = dict(goal="min", graces=[1, 3], etas=[2, 3], brackets=1, workers=1, orders=50)
    show_simulation(path, **asked, until=None, as_json=False)
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert "[bold]c.csv" in text.replace("\n", "")
    assert "recommended: promotion with eta 3 and grace 3 points (step 3k)" in text
    show_simulation(path, **asked, until=None, as_json=True)
    facts = json.loads(capsys.readouterr().out)
    assert len(facts["settings"]) == 8
    assert facts["recommended"]["budget"] == min(
        s["budget"] for s in facts["settings"] if s["kept"] >= 0.95
    )
    assert facts["settings"][0]["steps"] == [1000, 2000, 4000, 8000]
    show_simulation(path, **{**asked, "brackets": 2}, until=None, as_json=False)
    text = " ".join(capsys.readouterr().out.split())
    assert "50 orders of arrival, 2 brackets" in text
    assert " in 2 brackets trains" in text
    with pytest.raises(UserError, match="9 points: choose a smaller --grace"):
        show_simulation(path, **{**asked, "graces": [9]}, until=None, as_json=False)


def test_a_calibrated_grace_keeps_its_share_of_the_run(tmp_path: Path) -> None:
    path = late_table(tmp_path / "c.csv")
    graces = [calibrated(path, epochs, "min", variant="promotion")[0] for epochs in (9, 90, 2)]
    # The late winner leads from the third of nine points on.
    assert graces == [3, 30, 1]


@pytest.mark.skipif("GANSWEEP_CURVES" not in os.environ, reason="no file of curves is named")
def test_on_published_curves_early_ranks_agree_as_measured_before() -> None:
    """The rates at which stopping spends, and tau, that an independent replay found."""
    # The other runs are scored against the training set's moments: another protocol.
    path = Path(os.environ["GANSWEEP_CURVES"])
    found = read_curves(path, until=100_000, only={"moments": "test"})
    assert (len(found.curves), len(found.steps)) == (25, 50)
    taus = rank_agreement(found, (1, 2, 3, 5, 10, 15, 25, 40)).values()
    published = [0.58, 0.53, 0.55, 0.69, 0.85, 0.88, 0.89, 0.96]
    assert [round(t or 0, 2) for t in taus] == published
    settings = [Setting("stopping", grace, eta) for grace, eta in ((2, 3), (1, 4), (3, 2))]
    outcomes = simulate(found, settings)
    assert [o.budget for o in outcomes] == pytest.approx([0.25, 0.20, 0.31], abs=0.01)
    assert all(o.kept >= 0.98 and o.p90_regret == 0 for o in outcomes)
    whole = read_curves(path, until=100_000)
    assert len(whole.curves) == 26
    assert all(o.kept < 0.5 and o.median_regret > 2 for o in simulate(whole, settings))
