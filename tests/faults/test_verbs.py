"""New sweeps, edited ones, larger ones, damaged and moved ones: what each command makes of them."""

import fcntl
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image
from played_sweep import SWEEP, Score, place_of, play

from gancore.config import RunConfig
from sweeps import SweepSpec, asking, extend, folder, journal, make_plan, pinned, planfile, sweep
from sweeps import resume as resume_sweep
from sweeps.cli import main
from sweeps.errors import Busy, DamagedSweep, UserError
from sweeps.extending import settle
from sweeps.journal import Journal
from sweeps.options import Options
from sweeps.plan import Plan, Trial
from sweeps.results import Results
from sweeps.samples import checkpoint_of
from sweeps.signals import Signals
from sweeps.spec import read
from sweeps.trial import check_pictures

TEXT = """# Which loss wins?
base:
  data: digits
  model: {name: mlp, width: 16}
  epochs: 4
scientific:
  loss.name: [nonsaturating, hinge]
nuisance:
  generator.lr: {log_uniform: [1e-4, 1e-3]}
search: {trials_each: 2}
schedule: none
objective: {samples: 64}
confirm: {seeds: 2}
resources: {cpu: 1}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "q.yaml"
    path.write_text(TEXT)
    return path


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that a command does but training and MLflow."""
    monkeypatch.setattr(sweep, "_train", lambda *_: None)
    monkeypatch.setattr(sweep.tracking, "start_uploader", lambda *_: None)
    monkeypatch.setattr(sweep.tracking, "wait", lambda *_: True)


def gansweep(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(main, [str(w) for w in words], catch_exceptions=False)
    return done.exit_code, done.output


class TestANewSweep:
    @pytest.mark.usefixtures("untrained")
    def test_killed_at_any_call_it_is_not_in_the_way(self, file: Path, tmp_path: Path) -> None:
        """A3: killed before the n-th fsync, rename or new folder, for every n."""
        storage, points = tmp_path / "runs", 0
        while killed_at(points + 1, file, storage):
            points += 1
            assert not (storage / "q").exists() or Plan.read(storage / "q").trials
            if (storage / "q").exists():
                shutil.rmtree(storage / "q")
        assert points > 8
        shutil.rmtree(storage / "q")
        sweep.run(file, Options(storage=storage))
        assert [path.name for path in storage.iterdir()] == ["q"]

    def test_what_is_wrong_with_the_command_leaves_nothing(
        self, file: Path, tmp_path: Path
    ) -> None:
        words = ("run", file, "--storage", tmp_path / "runs", "--tracking-uri", "ftp://x")
        code, out = gansweep(*words)
        assert (code, out.count("\n")) == (2, 1)
        assert not (tmp_path / "runs").exists()

    def test_storage_that_cannot_be_written_is_told_in_a_line(self, file: Path) -> None:
        code, out = gansweep("run", file, "--storage", "/proc/gansweep")
        assert (code, out.count("\n")) == (5, 1)
        assert "storage /proc/gansweep cannot be written" in out


def killed_at(point: int, file: Path, storage: Path) -> bool:
    """Runs a sweep in a child that dies before a call; whether it came so far."""
    pid = os.fork()
    if pid == 0:
        left = [point]

        def counted(call: Any) -> Any:
            def act(*args: Any, **keys: Any) -> Any:
                left[0] -= 1
                if left[0] == 0:
                    os._exit(9)
                return call(*args, **keys)

            return act

        for name in ("fsync", "replace", "rename", "mkdir"):
            setattr(os, name, counted(getattr(os, name)))
        sweep._execute = lambda *_: None  # type: ignore[assignment]
        sweep.run(file, Options(storage=storage))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9


HARMLESS = {
    "a comment": ("# Which", "# Wh"),
    "order of arms": ("[nonsaturating, hinge]", "[hinge, nonsaturating]"),
    "a default written out": ("search: {", "search: {seed: 0, "),
    "another way to say it": ("data: digits", "data: {name: digits}"),
    "another notation": ("1e-4", "0.0001"),
}
ADOPTED = {
    "resources": ("cpu: 1", "cpu: 2", "resources.cpu"),
    "budget": ("schedule: none", "schedule: none\nbudget: {hours: 3}", "budget.hours"),
}
MORE = {
    "trials": ("trials_each: 2", "trials_each: 3", 10, "search.trials_each: 2 in the sweep, 3"),
    "epochs": ("epochs: 4", "epochs: 9", 5, "base.epochs: 4 in the sweep, 9"),
    "an arm": ("hinge]", "hinge, minimax]", 7, "scientific.loss.name"),
    "seeds": ("seeds: 2", "seeds: 3", 13, "confirm.seeds: 2"),
}
OTHER = {
    "a value of base": ("width: 16", "width: 32", 4, "base.model.width: 16 in the sweep, 32 here"),
    "a range": ("1e-3]", "1e-2]", 9, 'nuisance.generator.lr: {"log_uniform": [0.0001, 0.001]}'),
    "the objective": ("samples: 64", "samples: 65", 12, "what has run was scored otherwise"),
    "fewer trials": ("trials_each: 2", "trials_each: 1", 10, "not taken back"),
    "shorter": ("epochs: 4", "epochs: 3", 5, "not made shorter"),
    "an arm less": ("[nonsaturating, hinge]", "[hinge]", 7, "not taken back"),
    "stop_on": ("schedule: none", "schedule: none\nstop_on: slow", 12, "other verdicts"),
    "the seed": ("search: {", "search: {seed: 1, ", 10, "search.seed: 0 in the sweep, 1 here"),
}


@pytest.mark.usefixtures("untrained")
class TestAnEditedFile:
    @pytest.mark.parametrize("edit", HARMLESS)
    def test_what_means_the_same_goes_on(self, file: Path, tmp_path: Path, edit: str) -> None:
        place = sweep.run(file, Options(storage=tmp_path)).folder
        before = (place / "plan.json").read_bytes()
        file.write_text(edited(*HARMLESS[edit]))
        for again in (resume_sweep(place, source=file), sweep.run(file, Options(storage=tmp_path))):
            assert again.folder == place
        assert (place / "plan.json").read_bytes() == before
        assert not [r for r in journal.read(place, journal.DRIVER) if r["kind"] == "amend"]

    @pytest.mark.parametrize("edit", ADOPTED)
    def test_what_changes_no_trial_is_taken_over(
        self, file: Path, tmp_path: Path, edit: str
    ) -> None:
        old, new, key = ADOPTED[edit]
        place = sweep.run(file, Options(storage=tmp_path)).folder
        trials = Plan.read(place).trials
        file.write_text(edited(old, new))
        code, _ = gansweep("resume", file, "--storage", tmp_path)
        assert code == 130  # Nothing has been trained.
        plan = Plan.read(place)
        assert plan.asked[key] == asked_with(new)[key]
        assert (plan.resources.cpu, plan.budget.hours) in ((2, None), (1, 3))
        assert plan.trials == trials
        gansweep("resume", "q", "--storage", tmp_path)  # By name, what was taken over stays.
        assert Plan.read(place) == plan

    @pytest.mark.parametrize("edit", MORE | OTHER)
    def test_all_else_is_refused_by_key_and_line(
        self, file: Path, tmp_path: Path, edit: str
    ) -> None:
        old, new, line, words = (MORE | OTHER)[edit]
        place = sweep.run(file, Options(storage=tmp_path)).folder
        before = snapshot(place)
        file.write_text(edited(old, new))
        code, out = gansweep("resume", file, "--storage", tmp_path)
        assert code == 2
        assert f"error: {file}:{line}: " in out
        assert words in out
        assert (f"gansweep extend q {file}" in out) == (edit in MORE)
        code, out = gansweep("run", file, "--storage", tmp_path)
        assert code == 3
        assert words in out
        assert "choose another name" in out
        (place / "sweep.yaml").write_text(edited(old, new))  # The copy, edited by hand.
        code, out = gansweep("resume", "q", "--storage", tmp_path)
        assert code == 2
        assert words in out
        (place / "sweep.yaml").write_text(TEXT)
        assert snapshot(place) == before

    def test_a_finished_sweep_is_not_run_twice(self, file: Path, tmp_path: Path) -> None:
        """F14, F18."""
        place = sweep.run(file, Options(storage=tmp_path)).folder
        with Journal(place, journal.DRIVER) as log:
            log.append("sweep", state="finished")
        before = snapshot(place)
        code, out = gansweep("run", file, "--storage", tmp_path)
        assert (code, out.count("\n")) == (3, 1)
        assert "gansweep resume q" in out
        assert resume_sweep(place).state == "finished"
        assert snapshot(place) == before

    def test_a_plug_in_is_compared_by_its_code(self, file: Path, tmp_path: Path) -> None:
        module = tmp_path / "own_module_of_an_edit.py"
        module.write_text("A = 1\n")
        file.write_text(TEXT + "plugins: [own_module_of_an_edit]\n")
        place = sweep.run(file, Options(storage=tmp_path / "runs")).folder
        resume_sweep(place, source=file)
        module.write_text("A = 2\n")
        with pytest.raises(UserError, match="keeps the code that it began with"):
            resume_sweep(place, source=file)


def edited(old: str, new: str) -> str:
    assert old in TEXT
    return TEXT.replace(old, new, 1)


def asked_with(new: str) -> dict[str, Any]:
    old = next(pair[0] for pair in ADOPTED.values() if pair[1] == new)
    return dict(make_plan(read(edited(old, new), "q", Path())).asked)


def snapshot(place: Path) -> dict[str, bytes]:
    files = (p for p in sorted(place.rglob("*")) if p.is_file() and p.name != "lock")
    return {str(p.relative_to(place)): p.read_bytes() for p in files}


def runs(place: Path) -> dict[tuple[str, int, int], Any]:
    """What there is of a sweep, whatever its trials are called."""
    results = Results.read(place)
    points = {uid: r.trial.draw for uid, r in results.trials.items()}
    return {
        (r.trial.arm, points[r.trial.repeats or r.trial.uid], r.trial.seed): (
            r.trial.phase,
            r.trial.varied,
            r.trial.config,
            r.state,
            [(p.epoch, p.values) for p in r.points],
        )
        for r in results.trials.values()
        if r.trial.phase != "retired"
    }


def steady(trial: Trial, epoch: int) -> float:
    """Every trial keeps its rank, which its seed and arm give it."""
    return (trial.seed % 97) + len(trial.arm) / 10 - epoch / 1000


def rising(trial: Trial, epoch: int) -> float:
    """The later an arm's draw, the better: a larger search finds a better point."""
    return 100.0 - trial.draw + len(trial.arm) / 100 - epoch / 1000


def turning(trial: Trial, epoch: int) -> float:
    """Who begins late is ahead until epoch 4, and then behind."""
    return 100.0 - trial.draw if epoch < 4 else 10.0 + trial.draw - epoch / 100


ASHA = {"name": "asha", "grace": 1, "eta": 2}
NINE = {"base": {**SWEEP["base"], "epochs": 9}}
SMALL = {"search": {"trials_each": 3}}
LARGE = {"search": {"trials_each": 7}}
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


def given(changes: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in {**SWEEP, **changes}.items() if v is not None}


def planned(tmp_path: Path, changes: dict[str, Any]) -> Path:
    place = tmp_path / "scripted"
    place.mkdir(parents=True)
    spec = SweepSpec.of(given(changes))
    make_plan(spec).write(place)
    (place / "sweep.yaml").write_text(spec.text)
    return place


def settle_again(place: Path) -> None:
    with folder.owned(place), Journal(place, journal.DRIVER) as log:
        settle(place, log)


def amend(place: Path, changes: dict[str, Any]) -> None:
    amendment = asking.more(place, None, SweepSpec.of(given(changes)))
    with folder.owned(place), Journal(place, journal.DRIVER) as log:
        log.append("amend", **amendment)
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


def hostile(place: Path, change: Any) -> None:
    content = planfile.read(place)
    change(content)
    planfile.write(place, content)


DAMAGES: dict[str, Any] = {
    "a byte": lambda p: p.write_text(p.read_text().replace('"epochs": 4', '"epochs": 5', 1)),
    "cut off": lambda p: p.write_bytes(p.read_bytes()[:200]),
    "empty": lambda p: p.write_bytes(b""),
    "nothing in it": lambda p: p.write_text("{}"),
    "a list": lambda p: p.write_text("[]"),
    "not text": lambda p: p.write_bytes(b"\xff\xfe"),
    "a later format": lambda p: hostile(p.parent, lambda c: c.update(format=2)),
    "a trial outside": lambda p: hostile(
        p.parent, lambda c: c["trials"][0].update(uid="../../../escaped")
    ),
    "a trial as the driver": lambda p: hostile(
        p.parent, lambda c: c["trials"][0].update(uid=journal.DRIVER)
    ),
    "a source outside": lambda p: hostile(p.parent, lambda c: c["trials"][0].update(source="/x")),
    "an absolute plug-in": lambda p: hostile(p.parent, lambda c: c.update(plugins=["/etc/x"])),
    "another shape": lambda p: hostile(p.parent, lambda c: c.update(trials={"uid": 3})),
}


class TestAFolderThatIsNone:
    @pytest.mark.parametrize("damage", DAMAGES)
    def test_is_listed_as_damaged_beside_the_others(self, tmp_path: Path, damage: str) -> None:
        """C11f, F13: neither `list` nor the sweeps beside it go down, and nothing is written."""
        for name in ("good", "bad"):
            place_of(tmp_path / name).rename(tmp_path / f"{name}-sweep")
            (tmp_path / name).rmdir()
        DAMAGES[damage](tmp_path / "bad-sweep" / "plan.json")
        before = snapshot(tmp_path)
        with pytest.raises(DamagedSweep) as caught:
            Plan.read(tmp_path / "bad-sweep")
        assert "\n" not in str(caught.value)
        code, out = gansweep("list", "--storage", tmp_path)
        assert code == 0
        assert "good-sweep" in out
        assert out.count("damaged: ") == 1
        rows = json.loads(gansweep("list", "--storage", tmp_path, "--json")[1])
        assert [(row["name"], row["state"]) for row in rows] == [
            ("good-sweep", "planned"),
            ("bad-sweep", "damaged"),
        ]
        code, out = gansweep("show", "bad-sweep", "--storage", tmp_path)
        assert (code, out.count("\n")) == (5, 1)
        assert snapshot(tmp_path) == before

    def test_a_trial_that_joins_cannot_leave_its_place(self, tmp_path: Path) -> None:
        place = place_of(tmp_path)
        trial = {**vars(Plan.read(place).trials[0]), "uid": "../../escaped"}
        with Journal(place, journal.DRIVER) as log:
            log.append("join", trial=trial)
        with pytest.raises(DamagedSweep, match="cannot name a trial"):
            Results.read(place)

    @pytest.mark.parametrize("name", ["../../../x.pt", "/x.pt", "", "epoch-0001.pt/../x"])
    def test_a_best_checkpoint_is_the_trials_own(self, tmp_path: Path, name: str) -> None:
        place = place_of(tmp_path)
        uid = Plan.read(place).trials[0].uid
        best = place / "trials" / uid / "best.json"
        best.parent.mkdir(parents=True)
        best.write_text(json.dumps({"epoch": 1, "checkpoint": name}))
        with pytest.raises(DamagedSweep, match="names no checkpoint"):
            checkpoint_of(place, uid)

    def test_an_older_plan_is_read_as_it_is(self, tmp_path: Path) -> None:
        place = place_of(tmp_path)
        plan = Plan.read(place)
        content = plan.to_json()
        del content["asked"], content["source"]
        (place / "plan.json").write_text(json.dumps(content))
        assert Plan.read(place).trials == plan.trials
        with Journal(place, journal.DRIVER) as log:
            log.append("sweep", state="running")
        identity = journal.sweep_id(place)
        # And a file is compared with the copy that it has.
        amend(place, LARGE)
        assert len(Plan.read(place).trials) == 14
        assert journal.sweep_id(place) == identity is not None


class TestItsOwner:
    def test_two_commands_at_once(self, file: Path, tmp_path: Path) -> None:
        """F15."""
        with folder.built(tmp_path, "q") as draft:
            make_plan(read(TEXT, "q", Path())).write(draft)
            (draft / "sweep.yaml").write_text(TEXT)
        with folder.owned(tmp_path / "q"):
            for words in (("resume", "q"), ("run", file), ("extend", "q", "--trials-each", 5)):
                code, out = gansweep(*words, "--storage", tmp_path)
                assert (code, out.count("\n")) == (3, 1)
                assert f"process {os.getpid()} on {os.uname().nodename} since 20" in out

    def test_a_torn_lock_is_no_traceback(self, tmp_path: Path) -> None:
        with folder.owned(tmp_path):
            (tmp_path / "lock").write_text('{"pid": 1')
            with pytest.raises(Busy, match=r"process \? on \? since \?"), folder.owned(tmp_path):
                pass
        assert not folder.is_owned(tmp_path)

    def test_who_just_looks_is_no_owner(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "lock").touch()
        looker = (tmp_path / "lock").open()
        fcntl.flock(looker, fcntl.LOCK_SH)
        monkeypatch.setattr(folder.time, "sleep", lambda _: looker.close())
        with folder.owned(tmp_path):
            assert folder.is_owned(tmp_path)


class TestWhereItLies:
    @pytest.mark.parametrize("name", ["a b", "ü%#?&", "日本", "-x", "'\"$(x)"])
    def test_a_folder_of_any_name_that_is_moved(self, tmp_path: Path, name: str) -> None:
        """C13, C14."""
        reference = place_of(tmp_path / "reference", schedule=ASHA)
        play(reference, slots=1)
        place = place_of(tmp_path / name, schedule=ASHA)
        play(place, slots=1, until=5)
        moved = (tmp_path / name).rename(tmp_path / f"{name} 2") / "scripted"
        play(moved, slots=1)
        assert runs(moved) == runs(reference)

    @pytest.mark.usefixtures("untrained")
    def test_relative_storage_and_links(
        self, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "disk").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "disk")
        monkeypatch.chdir(tmp_path)
        assert gansweep("run", file.name, "--storage", "link")[0] == 130
        assert gansweep("resume", "q", "--storage", "disk")[0] == 130
        assert gansweep("resume", "link/q")[0] == 130
        assert gansweep("resume", "q.yaml", "--storage", "link")[0] == 130
        text = (tmp_path / "disk" / "q" / "plan.json").read_text()
        assert str(tmp_path) not in text


class TestItsPictures:
    def test_changed_ones_are_refused_until_they_are_accepted(self, tmp_path: Path) -> None:
        """E8."""
        pictures = tmp_path / "pictures"
        pictures.mkdir()
        for number in range(8):
            Image.new("L", (8, 8), number).save(pictures / f"{number}.png")
        content = {
            **SWEEP,
            "base": {
                **SWEEP["base"],
                "data": {"name": "folder", "path": str(pictures), "resolution": 8},
            },
            "objective": {"features": "inception"},
        }
        place = tmp_path / "q"
        place.mkdir()
        make_plan(SweepSpec.of(content)).write(place)
        begin(place, 0)
        begin(place, 1)
        Image.new("L", (8, 8), 200).save(pictures / "8.png")
        with pytest.raises(pinned.DataChanged, match="--accept-data-change") as caught:
            begin(place, 0)
        assert "\n" not in str(caught.value)
        pinned.forget(place)
        begin(place, 0)
        begin(place, 1)

    def test_the_user_is_to_decide(self) -> None:
        from sweeps.schedule.tune import Halt

        halt = Halt(Signals(lambda _number: None))
        assert halt("", {"unable": "changed", "refused": True})
        assert halt("", {"unable": "weights", "refused": False})
        assert (type(halt.error), str(halt.error)) == (UserError, "changed")


def begin(place: Path, number: int) -> None:
    """Begins a trial, without networks."""

    trial = Plan.read(place).trials[number]
    check_pictures(place, trial, RunConfig.of(trial.config), "0")


def test_python_has_the_same_verbs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="asks for nothing"):
        extend(place_of(tmp_path))
