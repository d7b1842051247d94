"""`gansweep extend`: a larger sweep is as if it had been planned so from the start."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from commanded import ASHA, LARGE, amend, edited, gansweep, given, planned, runs, snapshot
from played_sweep import SWEEP, Score, place_of, play

from sweeps import SweepSpec, extend, folder, journal, make_plan, planfile, sweep
from sweeps.errors import UserError
from sweeps.extending import settle
from sweeps.journal import Journal
from sweeps.options import Options
from sweeps.plan import Plan, Trial
from sweeps.results import Results


def steady(trial: Trial, epoch: int) -> float:
    """Every trial keeps its rank, which its seed and arm give it."""
    return (trial.seed % 97) + len(trial.arm) / 10 - epoch / 1000


def rising(trial: Trial, epoch: int) -> float:
    """The later an arm's draw, the better: a larger search finds a better point."""
    return 100.0 - trial.draw + len(trial.arm) / 100 - epoch / 1000


def turning(trial: Trial, epoch: int) -> float:
    """Who begins late is ahead until epoch 4, and then behind."""
    return 100.0 - trial.draw if epoch < 4 else 10.0 + trial.draw - epoch / 100


NINE = {"base": {**SWEEP["base"], "epochs": 9}}


SMALL = {"search": {"trials_each": 3}}


BRACKETS = {"schedule": {**ASHA, "grace": 2, "brackets": 2}}


LARGER = {
    "trials": (SMALL, LARGE),
    "trials, none confirmed": (SMALL | {"confirm": None}, LARGE | {"confirm": None}),
    "sobol": (
        {"search": {"trials_each": 3, "method": "sobol"}},
        {"search": {"trials_each": 7, "method": "sobol"}},
    ),
    "an arm": ({}, {"scientific": {"loss.name": ["hinge", "least_squares", "minimax"]}}),
    "seeds": ({}, {"confirm": {"top": 2, "seeds": 3}}),
    "confirmations": ({"confirm": None}, {}),
    "epochs": ({}, NINE),
    "epochs and trials": (SMALL, NINE | LARGE),
    "epochs in brackets": (BRACKETS | LARGE, BRACKETS | LARGE | NINE),
    "epochs under stopping": (LARGE | {"schedule": ASHA}, LARGE | NINE | {"schedule": ASHA}),
}


def settle_again(place: Path) -> None:
    with folder.owned(place), Journal(place, journal.DRIVER) as log:
        settle(place, log)


class TestALargerSweep:
    @pytest.mark.parametrize("score", [steady, rising])
    @pytest.mark.parametrize("what", LARGER)
    def test_is_as_if_planned_so_from_the_start(
        self, tmp_path: Path, what: str, score: Score
    ) -> None:
        small, large = LARGER[what]
        reference = planned(tmp_path / "reference", large)
        play(reference, score, slots=1)
        place = planned(tmp_path, small)
        play(place, score, slots=1)
        had = snapshot(place / "journal")
        amend(place, large)
        play(place, score, slots=1)
        assert runs(place) == runs(reference)
        assert Plan.read(place).asked == Plan.read(reference).asked
        # What had been trained was not trained again.
        for name, content in had.items():
            assert (place / "journal" / name).read_bytes().startswith(content)
        assert all(r.ended for r in Results.read(place).trials.values())
        assert Results.read(place).to_join == 0

    def test_of_trials_has_the_larger_plans_trials_by_name(self, tmp_path: Path) -> None:
        small, large = LARGER["trials, none confirmed"]
        place = planned(tmp_path, small)
        play(place, steady)
        amend(place, large)
        assert Plan.read(place).trials == make_plan(SweepSpec.of(given(large))).trials

    def test_stops_at_a_rung_that_lies_where_trials_ended(self, tmp_path: Path) -> None:
        """They go on, or not, as they would have; who was stopped before stays so."""
        four, rungs = LARGER["epochs under stopping"]
        reference = planned(tmp_path / "reference", rungs)
        play(reference, turning, slots=1)
        place = planned(tmp_path, four)
        play(place, turning, slots=1)
        before = {u: r.epoch for u, r in Results.read(place).trials.items() if r.state == "stopped"}
        amend(place, rungs)
        after = Results.read(place).trials
        stopped = {uid for uid, r in after.items() if r.state == "stopped"}
        assert stopped > before.keys()
        assert all("rung 4" in after[uid].reason for uid in stopped - before.keys())
        assert any(r.state == "waiting" and r.epoch == 4 for r in after.values())
        play(place, turning, slots=1)
        assert runs(place) == runs(reference)

    def test_waits_at_a_rung_for_promotion(self, tmp_path: Path) -> None:
        promotion = {"schedule": {**ASHA, "variant": "promotion"}}
        place = planned(tmp_path, LARGE | promotion)
        play(place, steady)
        whole = {u for u, r in Results.read(place).trials.items() if r.state == "completed"}
        amend(place, LARGE | NINE | promotion)
        waiting = {u for u, r in Results.read(place).trials.items() if r.state == "paused"}
        explored = {u for u in whole if Plan.read(place).trial(u).phase == "explore"}
        assert waiting == explored
        play(place, steady)
        results = Results.read(place)
        ends = {r.state for u, r in results.trials.items() if u in explored}
        assert "completed" in ends
        assert all(r.ended for r in results.trials.values())

    def test_of_a_search_that_learns_goes_on_learning(self, tmp_path: Path) -> None:
        tpe = {"search": {"method": "tpe", "trials_each": 4}}
        place = planned(tmp_path, tpe)
        play(place, steady, slots=1)
        amend(place, {"search": {"method": "tpe", "trials_each": 6}})
        play(place, steady, slots=1)
        results = Results.read(place)
        assert [len(rs) for rs in results.of_phase("explore").values()] == [6, 6]
        assert len({r.trial.uid for r in results.trials.values()}) == len(results.trials)
        assert all(r.ended for r in results.trials.values())

    @pytest.mark.parametrize("what", ["trials", "epochs under stopping", "epochs and trials"])
    def test_killed_after_any_record_it_ends_the_same(self, tmp_path: Path, what: str) -> None:
        small, large = LARGER[what]
        place = planned(tmp_path / "calm", small)
        play(place, steady, slots=1)
        begun = shutil.copytree(place, tmp_path / "begun")
        amend(place, large)
        driver = Path("journal") / f"{journal.DRIVER}.jsonl"
        lines = (place / driver).read_bytes().splitlines(keepends=True)
        first = next(n for n, line in enumerate(lines) if b'"kind": "amend"' in line)
        asked = Results.read(place)
        fates = {uid: (r.state, r.epoch, r.trial) for uid, r in asked.trials.items()}
        for count in range(first + 1, len(lines) + 1):
            killed = shutil.copytree(begun, tmp_path / f"killed-{count}")
            (killed / driver).write_bytes(b"".join(lines[:count]))
            with Journal(killed, journal.DRIVER) as log:
                settle(killed, log)
            results = Results.read(killed)
            assert {u: (r.state, r.epoch, r.trial) for u, r in results.trials.items()} == fates
            assert (killed / "sweep.yaml").read_bytes() == (place / "sweep.yaml").read_bytes()

    def test_whose_trial_failed_as_it_went_on_does_not_begin_again(self, tmp_path: Path) -> None:
        place = planned(tmp_path, {})
        play(place, steady)
        amend(place, NINE)
        uid = Plan.read(place).trials[0].uid
        assert Results.read(place).trials[uid].state == "waiting"
        with Journal(place, uid) as log:
            log.append("start", trial=uid, attempt=2)
            log.append("end", trial=uid, epoch=4, state="failed", verdict="failed", reason="disk")
        settle_again(place)
        assert Results.read(place).trials[uid].state == "failed"

    def test_is_extended_twice(self, tmp_path: Path) -> None:
        place = planned(tmp_path, {})
        for epochs in (4, 6, 9):
            if epochs > 4:
                amend(place, {"base": {**SWEEP["base"], "epochs": epochs}})
            play(place, steady, slots=1)
            assert {r.epoch for r in Results.read(place).trials.values()} == {epochs}
        reference = planned(tmp_path / "reference", NINE)
        play(reference, steady, slots=1)
        assert runs(place) == runs(reference)

    @pytest.mark.parametrize(
        ("small", "large", "why"),
        [
            (
                {"base": {**SWEEP["base"], "lr_decay": "linear"}},
                {"base": {**SWEEP["base"], "lr_decay": "linear", "epochs": 9}},
                "lr_decay",
            ),
            (
                {"search": {"method": "pbt", "trials_each": 3}, "schedule": {}},
                {"search": {"method": "pbt", "trials_each": 4}, "schedule": {}},
                "population",
            ),
            ({}, {}, "asks for nothing"),
            ({}, {"objective": {"samples": 400}}, "scored otherwise"),
        ],
    )
    def test_that_would_mean_something_else_is_refused(
        self, tmp_path: Path, small: Any, large: Any, why: str
    ) -> None:
        place = planned(tmp_path, small)
        with pytest.raises(UserError, match=why):
            amend(place, large)

    @pytest.mark.usefixtures("untrained")
    def test_by_file_and_by_number_on_the_command_line(self, file: Path, tmp_path: Path) -> None:
        place = sweep.run(file, Options(storage=tmp_path)).folder
        file.write_text(edited("hinge]", "hinge, minimax]"))
        code, out = gansweep("extend", "q", file, "--storage", tmp_path)
        assert code == 130, out
        assert [arm.label for arm in Plan.read(place).arms] == ["nonsaturating", "hinge", "minimax"]
        code, out = gansweep("extend", "q", "--trials-each", 3, "--storage", tmp_path)
        assert code == 130, out
        assert len(Plan.read(place).trials) == 9
        assert (place / "sweep.yaml").read_text().startswith("# Which loss wins?\n")
        assert planfile.read(place)["asked"]["search.trials_each"] == 3
        code, _ = gansweep("resume", "q", "--storage", tmp_path)
        assert code == 130
        code, out = gansweep("extend", "q", "--epochs", 3, "--storage", tmp_path)
        assert code == 2
        assert "base.epochs: 4 in the sweep, 3 here" in out


def test_python_has_the_same_verbs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="asks for nothing"):
        extend(place_of(tmp_path))


def test_of_a_number_that_was_typed_no_line_is_to_blame(tmp_path: Path) -> None:
    code, told = gansweep("extend", place_of(tmp_path), "--trials-each", 2)
    assert code == 2
    assert told == (
        "error: search.trials_each: 3 in the sweep, 2 here; trials that have run are not taken "
        "back\n"
    )
