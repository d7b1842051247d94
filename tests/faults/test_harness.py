"""The harness itself: every invariant sees what is unsound, every fault happens as it is told."""

from __future__ import annotations

import errno
import http.client
import json
import os
import shutil
import sqlite3
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import faults
from faults import act
from sweeps import journal, planfile, tracking
from sweeps.journal import Journal
from sweeps.plan import Plan
from sweeps.results import Results

# MLflow 3.17 asks SQLAlchemy 2.1 for what that will drop; nothing of ours can help it.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")

FIRST = "000-hinge"
EVERY = (*faults.ALWAYS, *faults.AT_REST)
ASHA = {"name": "asha", "grace": 1, "eta": 2}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound sweep at rest, with MLflow's store beside it; who damages it takes `place`."""
    folder = tmp_path_factory.mktemp("whole")
    place = faults.planned(faults.scripted(folder, epochs=3))
    faults.play(place)
    tracking.sync(place, tracking.default_uri(place.parent))
    return place


@pytest.fixture
def place(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole.parent, tmp_path / "runs")
    return tmp_path / "runs" / whole.name


def store_of(place: Path) -> str:
    return tracking.default_uri(place.parent)


def lines_of(place: Path, uid: str) -> list[bytes]:
    return (place / "journal" / f"{uid}.jsonl").read_bytes().splitlines(keepends=True)


def rewrite(place: Path, uid: str, change: Callable[[list[bytes]], list[bytes]]) -> None:
    file = place / "journal" / f"{uid}.jsonl"
    file.write_bytes(b"".join(change(lines_of(place, uid))))


def append(place: Path, uid: str, kind: str, **content: object) -> None:
    with Journal(place, uid) as log:
        log.append(kind, trial=uid, **content)


def query(place: Path, statement: str) -> None:
    database = sqlite3.connect(place.parent / "mlflow.db")
    with database:
        assert database.execute(statement).rowcount > 0, "nothing was damaged"
    database.close()


def checkpoint_of(place: Path, epoch: int, suffix: str = ".pt") -> Path:
    return place / "trials" / FIRST / "checkpoints" / f"epoch-{epoch:04d}{suffix}"


def say_another_config(place: Path) -> None:
    facts = json.loads(checkpoint_of(place, 3, ".json").read_text())
    facts["config"]["seed"] += 1
    checkpoint_of(place, 3, ".json").write_text(json.dumps(facts))


def late_attempt(place: Path) -> None:
    rewrite(place, FIRST, lambda lines: lines[:3])
    append(place, FIRST, "start", attempt=2, from_epoch=2)
    append(place, FIRST, "epoch", attempt=1, epoch=3, values={"fid64": 99.0})


def from_nothing(place: Path) -> None:
    rewrite(place, FIRST, lambda lines: lines[:3])
    append(place, FIRST, "start", attempt=2, from_epoch=0)


def other_number(place: Path) -> None:
    rewrite(place, FIRST, lambda lines: lines[:3])
    values = Results.read(place).trials[FIRST].points[-1].values
    append(place, FIRST, "epoch", attempt=1, epoch=3, values={**values, "fid64": 99.0})
    append(place, FIRST, "end", epoch=3, state="completed", verdict="healthy", reason="told")


def other_fate(place: Path) -> None:
    with Journal(place, journal.DRIVER) as log:
        log.append("stop", trial=FIRST, epoch=3, reason="asha, rung 3: told")


def forget_a_trial(place: Path) -> None:
    plan = planfile.read(place)
    plan["trials"] = plan["trials"][1:]
    planfile.write(place, plan)


def damage_a_picture(place: Path) -> None:
    for grid in (place / "trials" / FIRST / "samples").iterdir():
        grid.write_bytes(b"no picture")


def flip(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b'"epoch": 1', b'"epoch": 7'), *lines[2:]]


DAMAGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a trial is not in the plan": ("planned_trials", forget_a_trial),
    "a journal is lost": (
        "planned_trials",
        lambda place: (place / "journal" / f"{FIRST}.jsonl").unlink(),
    ),
    "a byte is flipped": ("whole_lines", lambda place: rewrite(place, FIRST, flip)),
    "an epoch is missing": (
        "epochs_in_order",
        lambda place: rewrite(place, FIRST, lambda lines: [*lines[:2], *lines[3:]]),
    ),
    "an epoch is there twice": (
        "epochs_in_order",
        lambda place: rewrite(place, FIRST, lambda lines: [*lines[:3], *lines[2:]]),
    ),
    "an old attempt lives on": ("attempts_in_order", late_attempt),
    "an attempt is missing": (
        "attempts_in_order",
        lambda place: append(place, FIRST, "start", attempt=3, from_epoch=3),
    ),
    "it goes on after its end": (
        "nothing_after_the_end",
        lambda place: append(place, FIRST, "start", attempt=2, from_epoch=3),
    ),
    "a checkpoint is cut": (
        "checkpoints_verify",
        lambda place: os.truncate(checkpoint_of(place, 3), 100),
    ),
    "a checkpoint is of another run": ("checkpoints_verify", say_another_config),
    "a checkpoint is ahead of the journal": (
        "checkpoints_verify",
        lambda place: rewrite(place, FIRST, lambda lines: lines[:3]),
    ),
    "it started from nothing": ("little_done_twice", from_nothing),
    "the best is gone": (
        "best_is_there",
        lambda place: (place / "trials" / FIRST / "best.json").write_text(
            '{"epoch": 9, "checkpoint": "epoch-0009.pt"}'
        ),
    ),
    "a trial has no end": (
        "all_have_ended",
        lambda place: rewrite(place, FIRST, lambda lines: lines[:-1]),
    ),
    "the driver has not said its last word": (
        "all_have_ended",
        lambda place: rewrite(place, journal.DRIVER, lambda lines: lines[:-1]),
    ),
    "the last checkpoint is gone": (
        "last_state_is_kept",
        lambda place: checkpoint_of(place, 3, ".json").unlink(),
    ),
    "a number is another": ("same_numbers", other_number),
    "a decision is another": ("same_decisions", other_fate),
    "the uploader broke": (
        "no_traceback",
        lambda place: (place / "tracking.log").write_text("Traceback (most recent call last):\n"),
    ),
    "half a file is left": (
        "no_litter",
        lambda place: (place / "trials" / FIRST / ".best.json.x7k2").write_text("{"),
    ),
    "a state has no facts": (
        "no_litter",
        lambda place: checkpoint_of(place, 7).write_bytes(b"x"),
    ),
    "the report cannot be built": ("report_builds", damage_a_picture),
    "MLflow lacks a row": (
        "tracked_exactly",
        lambda place: query(place, "delete from metrics where key = 'fid64' and step = 2"),
    ),
    "MLflow has a row twice": (
        "tracked_exactly",
        lambda place: query(
            place,
            "insert into metrics select key, value, timestamp + 1, run_uuid, step, is_nan "
            "from metrics where key = 'fid64' and step = 2",
        ),
    ),
    "MLflow has another last bit": (
        "tracked_exactly",
        lambda place: query(
            place, "update metrics set value = value * (1 + 3e-16) where key = 'fid64'"
        ),
    ),
    "MLflow has lost a run": (
        "tracked_once",
        lambda place: query(
            place, f"update runs set lifecycle_stage = 'deleted' where name = '{FIRST}'"
        ),
    ),
    "MLflow has a run of it twice": (
        "tracked_once",
        lambda place: query(
            place, f"update tags set value = '{FIRST}' where key = 'gansweep.trial'"
        ),
    ),
    "MLflow thinks that it runs": (
        "tracked_once",
        lambda place: query(place, "update runs set status = 'RUNNING'"),
    ),
}


def test_a_sound_sweep_is_sound(place: Path, whole: Path) -> None:
    faults.assert_sound(place, whole, store=store_of(place))


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_invariant_sees_what_breaks_it(place: Path, whole: Path, damage: str) -> None:
    invariant, harm = DAMAGES[damage]
    harm(place)
    others = [known for known in EVERY if known.__name__ != invariant]
    found = faults.unsound(place, whole, store=store_of(place), but=others)
    assert [*found] == [invariant]


def test_what_is_unsound_is_said(place: Path) -> None:
    checkpoint_of(place, 3, ".json").unlink()
    with pytest.raises(AssertionError, match=f"last_state_is_kept: {FIRST}: newest checkpoint"):
        faults.assert_sound(place)


def test_no_invariant_is_without_a_damage_that_it_sees() -> None:
    assert {name for name, _ in DAMAGES.values()} == {known.__name__ for known in EVERY}


def test_a_sweep_that_is_held_is_not_at_rest(place: Path) -> None:
    from sweeps.folder import owned

    with owned(place):
        assert "no_litter" in faults.unsound(place)


def test_what_holds_at_any_time_holds_half_way(tmp_path: Path) -> None:
    place = faults.planned(faults.scripted(tmp_path, {(0, 3): act.kill()}))
    assert faults.child(lambda: faults.play(place)).killed
    assert Results.read(place).trials[FIRST].epoch == 2
    faults.assert_sound(place, at_rest=False)
    assert "all_have_ended" in faults.unsound(place)
    faults.play(place)
    faults.assert_sound(place)


class TestScripts:
    def test_two_plays_are_bit_equal_and_trials_differ(self, whole: Path, tmp_path: Path) -> None:
        place = faults.planned(faults.scripted(tmp_path, epochs=3))
        faults.play(place, slots=2)
        faults.assert_sound(place, whole)
        scores = [r.best for r in Results.read(place).trials.values()]
        assert len({*scores}) == len(scores) == 2

    def test_actions_act_on_their_trial_and_epoch(self, tmp_path: Path) -> None:
        script: act.Script = {
            (0, 2): act.report(7.0),
            ("001-minimax", 3): act.nan(),
            (2, 2): act.fail("torch.OutOfMemoryError", "planted"),
            (3, "*"): [act.sleep(0.05), act.hog(1), act.report(5.0)],
        }
        place = faults.planned(faults.scripted(tmp_path, script, search={"trials_each": 2}))
        began = time.monotonic()
        trials = list(faults.play(place).trials.values())
        assert time.monotonic() - began > 0.2
        assert [(r.state, r.epoch) for r in trials] == [
            ("completed", 4),
            ("diverged", 3),
            ("failed", 1),
            ("completed", 4),
        ]
        assert trials[0].at(2) == 7.0
        assert "memory" in trials[2].reason
        assert {trials[3].at(epoch) for epoch in range(1, 5)} == {5.0}

    def test_a_process_leaves_once_and_then_goes_on(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        script: act.Script = {(0, 2): [act.say(1), act.leave(9)]}
        place = faults.planned(faults.scripted(tmp_path, script))
        uid = Plan.read(place).trials[0].uid
        assert faults.child(lambda: faults.play_trial(place, uid)).code == 9
        assert len(capfd.readouterr().out) == 1 << 20
        reports = faults.play_trial(place, uid)
        assert [said.epoch for said in reports] == [2, 3, 4]

    def test_a_schedule_decides_on_scripted_scores(self, tmp_path: Path) -> None:
        file = faults.scripted(tmp_path, schedule=ASHA, search={"trials_each": 3})
        place = faults.planned(file)
        states = [r.state for r in faults.play(place).trials.values()]
        assert {*states} == {"completed", "stopped"}
        faults.assert_sound(place)


def write(file: Path) -> None:
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(handle, b"12345678")
    os.fsync(handle)
    os.write(handle, b"abcdefgh")


class TestChild:
    @pytest.mark.parametrize(
        ("at", "do", "left"),
        [
            (1, "kill_before", b""),
            (1, "kill_after", b"12345678"),
            (2, "kill_before", b"12345678"),
            (3, "kill_after", b"12345678abcdefgh"),
            (1, "half", b"1234"),
            (2, "half", b"12345678"),
            (3, "half", b"12345678abcd"),
        ],
    )
    def test_it_dies_where_it_is_told(self, tmp_path: Path, at: int, do: str, left: bytes) -> None:
        outcome = faults.child(lambda: write(tmp_path / "x"), at, do)
        assert outcome.killed
        assert outcome.struck is not None
        assert (tmp_path / "x").read_bytes() == left

    @pytest.mark.parametrize("name", ["ENOSPC", "EROFS", "ESTALE", "EIO"])
    def test_errors_are_raised_once_or_for_good(self, tmp_path: Path, name: str) -> None:
        def stubborn() -> None:
            for _ in range(3):
                with suppress(OSError):
                    write(tmp_path / "x")

        assert faults.child(stubborn, 2, name).code == 0
        assert (tmp_path / "x").read_bytes() == b"12345678" + 2 * b"12345678abcdefgh"
        (tmp_path / "x").unlink()
        assert faults.child(stubborn, 2, name, lasting=True).code == 0
        assert (tmp_path / "x").read_bytes() == b"12345678"
        assert f"Errno {getattr(errno, name)}" in (
            faults.child(lambda: write(tmp_path / "y"), 1, name).error
        )

    def test_a_short_write_says_so(self, tmp_path: Path) -> None:
        def short() -> None:
            handle = os.open(tmp_path / "x", os.O_WRONLY | os.O_CREAT)
            assert os.write(handle, b"12345678") == 4

        assert faults.child(short, 1, "short").code == 0

    def test_every_call_of_an_atomic_write_counts(self, tmp_path: Path) -> None:
        from gancore.files import write_atomically

        points = faults.child(lambda: write_atomically(tmp_path / "x", b"y")).points
        assert [point.split()[0] for point in points] == ["write", "fsync", "replace", "fsync"]

    def test_it_goes_on_until_a_run_is_clean(self, tmp_path: Path) -> None:
        start = tmp_path / "start"
        start.mkdir()
        seen: list[bytes] = []
        points = faults.every_crash_point(
            lambda place: write(place / "x"),
            lambda place: seen.append((place / "x").read_bytes()),
            start=start,
        )
        assert points == 3
        assert seen == [b"", b"12345678", b"12345678", b"12345678abcdefgh"]

    def test_a_failed_check_names_its_point(self, tmp_path: Path) -> None:
        def check(place: Path) -> None:
            assert (place / "x").read_bytes() == b""

        (tmp_path / "start").mkdir()
        with pytest.raises(AssertionError) as caught:
            faults.every_crash_point(
                lambda place: write(place / "x"), check, start=tmp_path / "start"
            )
        assert caught.value.__notes__[0].startswith("crash point 2: kill_before fsync x")


@pytest.fixture
def upstream() -> Iterator[ThreadingHTTPServer]:
    """A server that keeps what it gets and says `0123456789`."""

    class Kept(BaseHTTPRequestHandler):
        got: list[bytes] = []  # noqa: RUF012  (one server, one list)

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.got.append(body)
            self.send_response(200)
            self.send_header("Content-Length", "10")
            self.end_headers()
            self.wfile.write(b"0123456789")

        do_PUT = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Kept)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def proxy(upstream: ThreadingHTTPServer) -> Iterator[faults.Proxy]:
    with faults.Proxy(f"http://127.0.0.1:{upstream.server_port}") as proxy:
        yield proxy


def ask(proxy: faults.Proxy, body: bytes | None = None) -> bytes:
    method = "PUT" if body else "GET"
    request = urllib.request.Request(f"{proxy.url}/a", body, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=1) as answer:
        return bytes(answer.read())


class TestProxy:
    def test_it_passes_on_and_stops_and_comes_back(self, proxy: faults.Proxy) -> None:
        assert ask(proxy, b"abcd") == b"0123456789"
        proxy.down()
        with pytest.raises(urllib.error.URLError, match="refused"):
            ask(proxy)
        proxy.heal()
        assert ask(proxy) == b"0123456789"
        assert proxy.requests == [("PUT", "/a", "passed"), ("GET", "/a", "passed")]

    def test_it_answers_with_a_code_so_often(self, proxy: faults.Proxy) -> None:
        proxy.answer(503, retry_after=3, times=2)
        for _ in range(2):
            with pytest.raises(urllib.error.HTTPError) as caught:
                ask(proxy)
            assert (caught.value.code, caught.value.headers["Retry-After"]) == (503, "3")
            caught.value.close()
        assert ask(proxy) == b"0123456789"

    def test_only_what_is_chosen_fails(self, proxy: faults.Proxy) -> None:
        proxy.reset(when=lambda method, _path: method == "PUT")
        assert ask(proxy) == b"0123456789"
        with pytest.raises(ConnectionResetError):
            ask(proxy, b"abcd")

    def test_it_hangs_until_it_is_healed(self, proxy: faults.Proxy) -> None:
        proxy.hang()
        with pytest.raises(TimeoutError):
            ask(proxy)
        proxy.heal()
        assert ask(proxy) == b"0123456789"

    def test_half_an_answer_and_half_a_request(
        self, proxy: faults.Proxy, upstream: ThreadingHTTPServer
    ) -> None:
        proxy.cut(times=2)
        with pytest.raises(http.client.IncompleteRead):
            ask(proxy)
        with pytest.raises(ConnectionResetError):
            ask(proxy, b"abcd")
        until = time.monotonic() + 5
        got = upstream.RequestHandlerClass.got
        while len(got) < 2 and time.monotonic() < until:
            time.sleep(0.01)
        assert got == [b"", b"ab"]

    def test_a_lost_answer_was_a_request(
        self, proxy: faults.Proxy, upstream: ThreadingHTTPServer
    ) -> None:
        proxy.lose_answer(times=1)
        with pytest.raises(ConnectionResetError):
            ask(proxy, b"abcd")
        assert upstream.RequestHandlerClass.got == [b"abcd"]


DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print("here", os.getpid(), flush=True)
        time.sleep(60)
    os._exit(0)
os.wait()
"""


class TestCommands:
    def test_a_command_ends_with_its_code_and_its_words(self, tmp_path: Path) -> None:
        with faults.cli("resume", "none", home=tmp_path / "home", storage=tmp_path) as command:
            command.assert_told(2)
            assert "no sweep 'none'" in command.end()[1]
            command.assert_nothing_left()
            with pytest.raises(AssertionError, match="exit code 2, not 0"):
                command.assert_told(0)

    def test_its_environment_is_clean(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
        code = "import os; print(sorted(os.environ), os.environ['HOME'])"
        words = [sys.executable, "-c", code]
        with faults.started(words, home=tmp_path / "home", place=tmp_path) as command:
            out, _ = command.end()
        assert "MLFLOW_TRACKING_URI" not in out
        assert str(tmp_path / "home") in out

    def test_a_daemon_in_a_session_of_its_own_is_found_and_ended(self, tmp_path: Path) -> None:
        words = [sys.executable, "-c", DAEMON]
        with faults.started(words, home=tmp_path / "home", place=tmp_path) as command:
            command.end()
            daemon = int((tmp_path / "home" / "stdout").read_text().split()[1])
            assert list(command.left()) == [daemon]
            with pytest.raises(AssertionError, match="still there"):
                command.assert_nothing_left(0.2)
        assert not command.left()

    def test_waiting_for_what_never_comes_says_what_the_command_said(self, tmp_path: Path) -> None:
        place = faults.planned(faults.scripted(tmp_path / "a"))
        code = "import sys; sys.exit('planted')"
        words = [sys.executable, "-c", code]
        with (
            faults.started(words, home=tmp_path / "home", place=place) as command,
            pytest.raises(AssertionError, match=r"it has ended[^$]*planted"),
        ):
            command.wait_until(lambda results: results.epochs_done > 0)
