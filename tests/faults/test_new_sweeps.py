"""New sweeps: made whole or not at all, held by one, refused where they are damaged."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from commanded import ASHA, LARGE, TEXT, amend, gansweep, runs, snapshot
from played_sweep import place_of, play

from sweeps import folder, journal, make_plan, planfile, sweep
from sweeps.errors import Busy, DamagedSweep
from sweeps.journal import Journal
from sweeps.options import Options
from sweeps.plan import Plan
from sweeps.results import Results
from sweeps.samples import checkpoint_of
from sweeps.spec import read


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
