"""Journal and attempts: nothing reported is lost, nothing is mixed, and what is lost is said."""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from counted_sweep import (
    EPOCHS,
    FIRST,
    SECOND,
    Counting,
    attempt,
    counted_sweep,
    curve,
    ran,
    result_of,
)

from gancore import files
from gancore.training import checkpoint
from sweeps import journal
from sweeps.errors import EnvironmentTrouble, Superseded, Unwritable
from sweeps.journal import Journal
from sweeps.results import Results
from sweeps.signals import Signals
from sweeps.troubles import troubles

STORAGE = ["ENOSPC", "EDQUOT", "EROFS", "EIO"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return counted_sweep(tmp_path)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, float]]:
    result = ran(counted_sweep(tmp_path_factory.mktemp("undisturbed")))
    assert result.state == "completed"
    return curve(result)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill loses nothing that the system holds; a stale mount is asked again at once."""
    monkeypatch.setattr(files, "_PAUSES", (0.0, 0.0, 0.0))


def folder(place: Path, uid: str = FIRST) -> Path:
    return place / "trials" / uid / "checkpoints"


def lines_of(place: Path, uid: str = FIRST) -> list[bytes]:
    return (journal.journal_folder(place) / f"{uid}.jsonl").read_bytes().splitlines(keepends=True)


def rewrite(place: Path, lines: list[bytes], uid: str = FIRST) -> None:
    (journal.journal_folder(place) / f"{uid}.jsonl").write_bytes(b"".join(lines))


def damaged(line: bytes) -> bytes:
    return line[:10] + bytes([line[10] ^ 1]) + line[11:]


class Failing:
    """`os` calls of which the n-th and all later ones fail, until the disk is free again."""

    def __init__(self, at: int, error: str, *, half: bool = False, times: int = 10**9) -> None:
        self.at, self.number, self.half, self.times = at, getattr(errno, error), half, times
        self.count = 0

    def __enter__(self) -> Failing:
        self._patches = [patch.object(os, n, self._of(n)) for n in ("write", "fsync", "replace")]
        for each in self._patches:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._patches:
            each.stop()

    def _of(self, name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(*arguments: Any) -> Any:
            self.count += 1
            if not 0 < self.at <= self.count < self.at + self.times:
                return real(*arguments) if name != "fsync" else None
            if self.half and name == "write" and self.count == self.at:
                return real(arguments[0], bytes(arguments[1])[:20])
            raise OSError(self.number, os.strerror(self.number))

        return call


def test_a_write_cut_short_by_a_full_disk_leaves_no_trace(tmp_path: Path) -> None:
    """C2: the file may grow by 40 bytes more, and takes no more than those."""
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with Journal(tmp_path, "t") as log:
            log.append("epoch", epoch=1)
            size = log.path.stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 40, hard))
            with pytest.raises(Unwritable, match=r"may grow no further.*t\.jsonl.*then go on"):
                log.append("epoch", epoch=2)
            assert log.path.stat().st_size == size
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            log.append("epoch", epoch=3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    read = journal.read_from(log.path)
    assert [r["epoch"] for r in read.records] == [1, 3]
    assert [r["seq"] for r in read.records] == [1, 2]
    assert read.lost == ()


@pytest.mark.parametrize("at", [1, 2], ids=["write", "fsync"])
@pytest.mark.parametrize("error", STORAGE)
def test_what_could_not_be_made_durable_is_not_in_the_file(
    tmp_path: Path, error: str, at: int
) -> None:
    with Journal(tmp_path, "t") as log:
        log.append("start")
        with Failing(at, error), pytest.raises(Unwritable) as told:
            log.append("epoch", epoch=1)
        assert told.value.exit_code == 5
        assert "\n" not in str(told.value)
        log.append("epoch", epoch=1)
    assert [(r["seq"], r["kind"]) for r in journal.read(tmp_path, "t")] == [
        (1, "start"),
        (2, "epoch"),
    ]


@pytest.mark.parametrize("at", [1, 2], ids=["write", "fsync"])
def test_a_stale_mount_is_tried_again(tmp_path: Path, at: int) -> None:
    """C12: stale twice, then as before; stale for good is said."""
    with Journal(tmp_path, "t") as log:
        log.append("start")
        with Failing(at, "ESTALE", times=2):
            log.append("epoch", epoch=1)
        with Failing(1, "ESTALE"), pytest.raises(Unwritable, match="stale"):
            log.append("epoch", epoch=2)
    assert [r["seq"] for r in journal.read(tmp_path, "t")] == [1, 2]
    with Failing(3, "ESTALE", times=2) as calls:
        files.write_atomically(tmp_path / "file", b"content")
    assert calls.count > 6
    assert (tmp_path / "file").read_bytes() == b"content"
    assert not list(tmp_path.glob(".*"))


def test_who_wrote_last_is_the_writer(tmp_path: Path) -> None:
    old = Journal(tmp_path, "t")
    old.append("start", attempt=1)
    with Journal(tmp_path, "t") as new:
        old.append("epoch", attempt=1)  # Nobody has begun to write yet.
        with pytest.raises(Superseded):
            new.append("start", attempt=2)
    with Journal(tmp_path, "t") as new:
        new.append("start", attempt=2)
        with pytest.raises(Superseded):
            old.append("epoch", attempt=1)
        new.append("epoch", attempt=2)
    old.close()
    assert [r["attempt"] for r in journal.read(tmp_path, "t")] == [1, 1, 2, 2]


def test_every_damaged_or_missing_line_is_known_by_its_number(place: Path) -> None:
    """C11."""
    ran(place)
    whole = lines_of(place)
    path = journal.journal_folder(place) / f"{FIRST}.jsonl"
    for number in range(1, len(whole) + 1):
        rewrite(place, [damaged(x) if n == number else x for n, x in enumerate(whole, 1)])
        assert journal.read_from(path).lost == (number,)
        with Journal(place, FIRST) as log:
            assert log.append("again")["seq"] == len(whole) + 1
        rewrite(place, [x for n, x in enumerate(whole, 1) if n != number])
        # That there was a last line, nothing after it can tell.
        assert journal.read_from(path).lost == ((number,) if number < len(whole) else ())
        said = troubles(Results.read(place))
        assert (f"{FIRST}.jsonl ({number})" in "".join(said)) == (number < len(whole))


def test_a_journal_of_a_later_format_is_refused_by_name(tmp_path: Path) -> None:
    """C8."""
    with Journal(tmp_path, "t") as log, patch.object(journal, "FORMAT", 2):
        log.append("start", code_version="9.1")
    with pytest.raises(EnvironmentTrouble, match=r"gansweep 9\.1 wrote this \(format 2\)"):
        journal.read(tmp_path, "t")


def killed_at(place: Path, at: int, *, half: bool) -> bool:
    """Whether an attempt, in a child, was killed at its n-th call that writes."""
    pid = os.fork()
    if pid == 0:
        count = 0

        def of(name: str) -> Callable[..., Any]:
            real = getattr(os, name)

            def call(*arguments: Any) -> Any:
                nonlocal count
                count += 1
                if count == at:
                    if half and name == "write":
                        real(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments) if name != "fsync" else None

            return call

        for name in ("write", "fsync", "replace", "unlink", "ftruncate"):
            setattr(os, name, of(name))
        try:
            for _ in attempt(place):
                pass
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize("half", [False, True], ids=["before", "half-written"])
def test_killed_at_any_write_a_trial_goes_on_to_the_same_end(
    tmp_path: Path, undisturbed: list[tuple[int, float]], half: bool
) -> None:
    """A1, A5, C10, I2, I5: every point; all numbers, one end, no litter, a whole checkpoint."""
    at = 0
    while True:
        at += 1
        place = counted_sweep(tmp_path / str(at))
        struck = killed_at(place, at, half=half)
        before = result_of(place)
        with patch("os.fsync"):
            result = ran(place)
        assert (result.state, curve(result)) == ("completed", undisturbed), at
        records = journal.read(place, FIRST)
        kinds = [record["kind"] for record in records]
        assert kinds.count("epoch") == EPOCHS, at
        assert kinds.count("end") == 1, at
        assert kinds[-1] == "end", at
        assert [record["seq"] for record in records] == [*range(1, len(records) + 1)], at
        if len(result.starts) > 1:
            assert before.epoch - result.starts[-1]["from_epoch"] in (0, 1), at
        kept = {p.name for p in folder(place).iterdir()}
        assert kept == {f"epoch-{e:04d}.{x}" for e in (EPOCHS - 1, EPOCHS) for x in ("pt", "json")}
        assert checkpoint.newest(folder(place), 99)[1] == [], at
        # What trials share is swept by the driver, once it is old enough to be nobody's.
        litter = [path for path in place.rglob(".*") if path.parent.name != "pinned"]
        assert litter == [], at
        assert str(EPOCHS) in (place / "trials" / FIRST / "best.json").read_text()
        if not struck:
            break
    assert at > 40


@pytest.mark.parametrize("error", STORAGE)
def test_a_full_disk_ends_no_trial_and_costs_at_most_the_epoch_in_flight(
    tmp_path: Path, undisturbed: list[tuple[int, float]], error: str
) -> None:
    """C1, C2: at every call that writes, from then on; every third for all but a full disk."""
    at, step = 1, 1 if error == "ENOSPC" else 3
    while True:
        place = counted_sweep(tmp_path / str(at))
        with Failing(at, error, half=error == "ENOSPC") as calls:
            said = list(attempt(place))
        before = result_of(place)
        if calls.count < at:
            break
        assert "gansweep resume" in said[-1].unable, at
        assert not before.ended or before.state == "completed", at
        assert not (place / "trials" / FIRST / "error.txt").exists(), at
        with patch("os.fsync"):
            after = ran(place)
        assert (after.state, curve(after)) == ("completed", undisturbed), at
        if len(after.starts) > 1:
            assert before.epoch - after.starts[-1]["from_epoch"] in (0, 1), at
        assert not list(place.rglob(".*")), at
        at += step
    assert at > 40


def test_a_disk_that_was_full_for_one_file_only_has_failed_no_trial(tmp_path: Path) -> None:
    """C1: the record of a failure would have fitted where the checkpoint did not."""
    for at in range(1, 46, 4):
        place = counted_sweep(tmp_path / str(at))
        with Failing(at, "ENOSPC", times=1):
            said = list(attempt(place))
        assert said[-1].unable, at
        assert result_of(place).state not in ("failed", "diverged"), at
        assert "failed" not in [r.get("state") for r in journal.read(place, FIRST)], at


def test_a_trials_own_fault_is_still_its_own(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Counting) -> Any:
        raise OSError(errno.ENOENT, "no such file", "mine.txt")

    monkeypatch.setattr(Counting, "__next__", broken)
    result = ran(place)
    assert (result.state, result.reason[:17]) == ("failed", "FileNotFoundError")


def test_a_trial_that_could_not_say_its_end_says_it_next_time(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A1: killed between its last checkpoint and its `end`; nothing is trained again."""
    assert ran(place).state == "completed"
    monkeypatch.setattr(Counting, "diverges_at", 3)
    assert ran(place, SECOND).state == "diverged"
    monkeypatch.setattr("counted_sweep.Counting", None)  # Whoever trains fails.
    for uid, state, epoch in ((FIRST, "completed", EPOCHS), (SECOND, "diverged", 3)):
        rewrite(place, lines_of(place, uid)[:-1], uid)
        assert result_of(place, uid).state in ("running", "interrupted")
        (said,) = attempt(place, uid)
        assert (said.epoch, said.ended) == (epoch, state == "diverged")
        assert result_of(place, uid).state == state
        ends = [r for r in journal.read(place, uid) if r["kind"] == "end"]
        assert [(r["attempt"], r["epoch"]) for r in ends] == [(1, epoch)]
        (again,) = attempt(place, uid)  # Whose worker died after its end is not begun again.
        assert repr(again) == repr(said)  # A score of NaN is unequal to itself.
        assert len(journal.read(place, uid)) == ends[0]["seq"]


def test_an_attempt_thought_dead_writes_no_more(
    place: Path, undisturbed: list[tuple[int, float]]
) -> None:
    """C10, I2."""
    old = attempt(place)
    next(old)
    next(old)
    new = attempt(place)
    assert [next(new).epoch, next(new).epoch] == [3, 4]
    assert list(old) == []
    assert list(new) == []
    result = result_of(place)
    assert (result.state, curve(result)) == ("completed", undisturbed)
    assert [start["attempt"] for start in result.starts] == [1, 2]
    assert not (place / "trials" / FIRST / "error.txt").exists()
    found, wrong = checkpoint.newest(folder(place), EPOCHS)
    assert found is not None
    assert (found.epoch, found.owner["attempt"], wrong) == (EPOCHS, 2, [])
    # What an old attempt had just begun to delete when it lost: never what is newer than itself.
    checkpoint.prune(folder(place), keep={1}, until=2)
    assert checkpoint.newest(folder(place), EPOCHS)[0] is not None


def test_records_of_an_older_attempt_do_not_count(place: Path) -> None:
    """I2: whatever wrote them; a file system without locks, say."""
    values = {"fid64": 99.0}
    with Journal(place, FIRST) as log:
        log.append("start", attempt=1)
        log.append("start", attempt=2)
        log.append("epoch", attempt=1, epoch=1, values=values)
        log.append("end", attempt=1, epoch=0, state="failed", verdict="failed", reason="old")
    assert (result_of(place).points, result_of(place).ended) == ([], False)


@pytest.mark.parametrize("lost", [1, 2, 3, 4])
@pytest.mark.parametrize("damage", [damaged, lambda _: b""], ids=["damaged", "missing"])
def test_a_curve_with_a_hole_is_no_completed_one(
    place: Path,
    undisturbed: list[tuple[int, float]],
    lost: int,
    damage: Callable[[bytes], bytes],
) -> None:
    """C11, I2."""
    ran(place)
    whole = lines_of(place)
    rewrite(place, [damage(x) if n == lost else x for n, x in enumerate(whole)])
    result = result_of(place)
    assert [point.epoch for point in result.points] == [*range(1, lost)]
    assert not result.ended
    assert any(f"{FIRST} after epoch {lost - 1}" in x for x in troubles(Results.read(place))) == (
        lost < EPOCHS
    )
    again = ran(place)
    assert (again.state, curve(again)) == ("completed", undisturbed)
    assert again.starts[-1]["from_epoch"] in (0, lost - 1)


def test_a_restart_from_nothing_that_gives_the_same_keeps_what_was(
    place: Path, undisturbed: list[tuple[int, float]]
) -> None:
    """C7."""
    first = broken_off_without_checkpoints(place)
    again = ran(place)
    assert (again.state, curve(again)) == ("completed", undisturbed)
    assert again.points[:3] == first
    assert again.voids == []


def test_a_restart_from_nothing_that_gives_other_numbers_voids_the_old_ones(
    place: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: list[tuple[int, float]]
) -> None:
    """C7."""
    broken_off_without_checkpoints(place)
    monkeypatch.setattr(Counting, "shift", 0.5)
    again = ran(place)
    assert again.state == "completed"
    assert curve(again) == [(epoch, value + 0.5) for epoch, value in undisturbed]
    assert [(void["attempt"], void["epoch"]) for void in again.voids] == [(2, 1)]
    assert again.best_epoch == EPOCHS
    said = "\n".join(troubles(Results.read(place)))
    assert f"{FIRST}, attempt 2: fid64 is" in said
    assert "the content does not match its checksum; it went on from epoch 0" in said


def broken_off_without_checkpoints(place: Path) -> list[Any]:
    running = attempt(place)
    for _ in range(3):
        next(running)
    running.close()
    for path in folder(place).glob("*.pt"):
        path.write_bytes(b"")
    return result_of(place).points


def test_a_lost_journal_is_said_and_its_checkpoints_are_nobodys(place: Path) -> None:
    """C11: no silent fresh start."""
    ran(place)
    (journal.journal_folder(place) / f"{FIRST}.jsonl").unlink()
    assert f"these trials start anew: {FIRST}" in "\n".join(troubles(Results.read(place)))
    running = attempt(place)
    for _ in range(EPOCHS - 1):
        next(running)
    running.close()
    # Its own checkpoint of epoch 3 is lost: the one of the forgotten attempt is no stand-in.
    assert result_of(place).starts[0]["attempt"] == 2
    start = ran(place).starts[-1]
    assert (start["attempt"], start["from_epoch"], start["troubles"]) == (3, 3, [])


def test_a_damaged_first_line_of_the_driver_makes_no_other_sweep(place: Path) -> None:
    """C11: else MLflow would get every run twice."""
    with Journal(place, journal.DRIVER) as log:
        log.append("sweep", state="running", id="abc")
        ran(place)
        assert journal.sweep_id(place) == "abc"
        rewrite(place, [damaged(lines_of(place, journal.DRIVER)[0])], journal.DRIVER)
    assert journal.sweep_id(place) == "abc"
    (journal.journal_folder(place) / f"{FIRST}.jsonl").unlink()
    assert journal.sweep_id(place) is None


class Full:
    """A dispatcher whose journal the disk does not take."""

    over = False

    def next(self) -> str | None:
        raise Unwritable("no space is left on /mnt")

    def judge(self, *_: Any, **__: Any) -> Any:
        raise Unwritable("no space is left on /mnt")

    def began(self, uid: str) -> None: ...

    def left(self, uid: str) -> None: ...


def test_a_full_disk_under_the_driver_is_no_crash_of_tune() -> None:
    """C1, C2: its errors are kept, and the sweep is stopped."""
    from sweeps.schedule.tune import Halt, Handout, RuleScheduler

    dispatch: Any = Full()
    report = {"uid": FIRST, "epoch": 1, "score": 1.0, "stage": 0, "ended": False}
    asked: list[Callable[[Halt], object]] = [
        lambda halt: Handout(dispatch, halt).suggest("t"),
        lambda halt: RuleScheduler(dispatch, halt).on_trial_result(None, Any, report),
    ]
    for ask in asked:
        halt = Halt(Signals(lambda _number: None))
        assert not halt.stop_all()
        ask(halt)
        assert halt.stop_all()
        assert isinstance(halt.error, Unwritable)


def test_the_line_names_mount_file_and_what_to_do(place: Path) -> None:
    with Failing(1, "ENOSPC"):
        (said,) = attempt(place)
    mount = next(p for p in place.parents if p.is_mount())
    start = f"no space is left on {mount} (No space left on device: "
    assert said.unable.startswith(start)
    assert said.unable.endswith(f": free some, then go on with `gansweep resume {place}`")


def test_half_written_files_are_swept_and_nobody_elses(tmp_path: Path) -> None:
    """A5."""
    ours = [tmp_path / name for name in (".plan.json.x7k2ab_9", ".epoch-0001.pt.aaaaaaaa")]
    others = [tmp_path / name for name in (".hidden", ".plan.json.X7K2AB_9", "a.b.aaaaaaaa")]
    for path in (*ours, *others):
        path.write_text("")
    files.clear_temporaries(tmp_path, older_than=60)
    assert all(path.exists() for path in ours)
    files.clear_temporaries(tmp_path)
    assert not any(path.exists() for path in ours)
    assert all(path.exists() for path in others)
