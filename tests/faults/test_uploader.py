"""MLflow gets every point exactly once, whatever happens to its server, its database or us."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st
from written_sweep import (
    COMPLETED,
    LEFT,
    STOPPED,
    client_at,
    client_of,
    drive,
    everything,
    journalled,
    points_of,
    tell,
    write_sweep,
)

import faults
from sweeps import Options, cli, run, tracking
from sweeps.errors import EnvironmentTrouble
from sweeps.folder import owned
from sweeps.journal import sweep_id
from sweeps.results import Results
from sweeps.tracking import process, supervisor
from sweeps.tracking.description import LONGEST_KEY, SWEEP_ID, TRIAL, legal
from sweeps.tracking.images import grid_of
from sweeps.tracking.memory import Memory
from sweeps.tracking.store import StoreReplaced
from sweeps.tracking.uploader import Uploader

# MLflow 3.17 asks SQLAlchemy 2.1 for what that will drop; nothing of ours can help it.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")

HEALTHY = {"state": "completed", "verdict": "healthy", "reason": "all 3 epochs"}


class Clock:
    """A clock that costs no time, and does at its hours what it is told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, Callable[[], object]]] = []

    def at(self, hour: float, action: Callable[[], object]) -> None:
        self._due = sorted([*self._due, (hour, action)], key=lambda due: due[0])

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float, /) -> None:
        self.now += seconds
        while self._due and self._due[0][0] <= self.now:
            self._due.pop(0)[1]()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's tables, empty."""
    from sweeps.tracking.store import Store

    storage = tmp_path_factory.mktemp("template")
    assert Store(tracking.default_uri(storage), storage).client.search_experiments()
    return storage / "mlflow.db"


@pytest.fixture
def sweep(template: Path, tmp_path: Path) -> Path:
    storage = tmp_path / "my runs"
    storage.mkdir()
    shutil.copy(template, storage / "mlflow.db")
    return write_sweep(storage / "digits")


@pytest.fixture(scope="module")
def server(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    storage = tmp_path_factory.mktemp("server")
    shutil.copy(template, storage / "mlflow.db")
    code = "import sys, pathlib, sweeps.tracking as t; t.serve(pathlib.Path(sys.argv[1]))"
    serving = subprocess.Popen(
        [sys.executable, "-c", code, str(storage)], stdout=subprocess.PIPE, text=True
    )
    assert serving.stdout is not None
    with serving.stdout as said:
        address = next(w for w in said.readline().split() if w.startswith("http"))
    yield address.partition("/#")[0]
    serving.send_signal(signal.SIGINT)
    assert serving.wait(20) == 0


@pytest.fixture
def proxy(server: str) -> Iterator[faults.Proxy]:
    with faults.Proxy(server) as standing:
        yield standing


def runs_of(client: Any, place: Path) -> dict[str, Any]:
    """MLflow's runs of a sweep by trial; two of one trial are a failure."""
    experiment = client.get_experiment_by_name("gansweep").experiment_id
    runs = client.search_runs([experiment], f"tags.`{SWEEP_ID}` = '{sweep_id(place)}'")
    owners = [run.data.tags.get(TRIAL, "sweep") for run in runs]
    assert len(set(owners)) == len(owners), owners
    return dict(zip(owners, runs, strict=True))


def assert_told_once(client: Any, place: Path) -> None:
    """I3 and I4: each point once and bit for bit, a run a trial, none RUNNING."""
    runs = runs_of(client, place)
    results = Results.read(place)
    began = {uid for uid, result in results.trials.items() if result.starts or result.ended}
    assert runs.keys() == {*began, "sweep"}
    for uid in began:
        assert points_of(client, runs[uid]) == journalled(place, uid), uid
    if results.state != "running":
        assert "RUNNING" not in {run.info.status for run in runs.values()}


def follow_until(place: Path, uri: str, clock: Clock, end: float) -> str | None:
    """Runs the uploader's loop on a sweep that runs from now to an hour of the clock."""
    drive(place, "sweep", state="running")
    held = owned(place)
    held.__enter__()

    def over() -> None:
        drive(place, "sweep", state="interrupted")
        held.__exit__(None, None, None)

    clock.at(end, over)
    return process.follow(place, uri, 60, clock)


@pytest.mark.parametrize("how", ["down", "503", "reset"])
@pytest.mark.parametrize("seconds", [0, 20, 60])
def test_after_an_outage_of_a_living_server_every_point_is_there_once(
    sweep: Path, proxy: faults.Proxy, seconds: int, how: str
) -> None:
    broken = {"down": proxy.down, "503": lambda: proxy.answer(503), "reset": proxy.reset}
    clock = Clock()
    clock.at(2, broken[how])
    clock.at(2, lambda: tell(sweep, LEFT, [3.0], first=2))
    clock.at(2 + seconds, proxy.heal)
    assert follow_until(sweep, proxy.url, clock, end=10 + seconds) is None
    # It was noticed within the longest pause between tries, and nothing is left to send.
    assert clock.now <= 10 + seconds + process.LONGEST_WAIT_SECONDS + 2
    assert_told_once(client_at(proxy.url), sweep)


def test_of_an_outage_for_ever_the_rest_is_sent_later(sweep: Path, proxy: faults.Proxy) -> None:
    clock = Clock()
    clock.at(2, proxy.down)
    clock.at(2, lambda: tell(sweep, LEFT, [3.0], first=2))
    why = follow_until(sweep, proxy.url, clock, end=300)
    assert why is not None
    assert "refused" in why
    # A server that has long been away is tried once more at the end, and not waited for.
    assert clock.now <= 300 + 2 * process.POLL_SECONDS
    proxy.heal()
    with pytest.raises(AssertionError):
        assert_told_once(client_at(proxy.url), sweep)
    tracking.sync(sweep, proxy.url)
    assert_told_once(client_at(proxy.url), sweep)


@pytest.mark.parametrize("code", [429, 503])
def test_a_server_that_asks_to_be_left_alone_is(
    sweep: Path, proxy: faults.Proxy, code: int
) -> None:
    clock, asked_at = Clock(), []

    def noted(_method: str, _path: str) -> bool:
        asked_at.append(clock.now)
        return True

    clock.at(2, lambda: tell(sweep, LEFT, [3.0], first=2))
    clock.at(2, lambda: proxy.answer(code, retry_after=30, times=1, when=noted))
    # The sweep's end is no reason to ask before.
    assert follow_until(sweep, proxy.url, clock, end=12) is None
    (refused,) = asked_at
    assert clock.now >= refused + 30
    assert_told_once(client_at(proxy.url), sweep)


def test_what_a_server_asks_for_beyond_our_time_is_not_waited_for(
    sweep: Path, proxy: faults.Proxy
) -> None:
    clock, asked = Clock(), []
    clock.at(2, lambda: tell(sweep, LEFT, [3.0], first=2))
    clock.at(2, lambda: asked.append(len(proxy.requests)))
    clock.at(2, lambda: proxy.answer(429, retry_after=3600))
    assert follow_until(sweep, proxy.url, clock, end=100) is not None
    assert clock.now <= 101
    assert len(proxy.requests) == asked[0] + 1
    # A single call does not try again behind the server's back either.
    with pytest.raises(EnvironmentTrouble):
        tracking.sync(sweep, proxy.url)
    assert len(proxy.requests) == asked[0] + 2


def test_a_silent_server_costs_a_pass_its_timeout(
    sweep: Path, proxy: faults.Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    uploader = Uploader(sweep, proxy.url)
    proxy.hang()
    trouble = uploader.pass_once()
    assert trouble is not None
    assert not trouble.lasting
    assert "timed out" in trouble.message
    proxy.heal()
    assert uploader.pass_once() is None
    assert_told_once(client_at(proxy.url), sweep)


@pytest.mark.parametrize("code", [401, 403, 404])
def test_who_was_let_in_once_may_be_again(sweep: Path, proxy: faults.Proxy, code: int) -> None:
    """A token runs out; one that was never good is another matter."""
    proxy.answer(code)
    stranger = Uploader(sweep, proxy.url).pass_once()
    assert stranger is not None
    assert stranger.lasting
    proxy.heal()
    clock = Clock()
    clock.at(2, lambda: tell(sweep, LEFT, [3.0], first=2))
    clock.at(2, lambda: proxy.answer(code))
    clock.at(200, proxy.heal)
    assert follow_until(sweep, proxy.url, clock, end=300) is None
    assert_told_once(client_at(proxy.url), sweep)
    refused = [row for row in proxy.requests if row[2] == "answer"]
    assert len(refused) <= 6, "who knocks too often is locked out"


def test_half_an_upload_is_sent_again_whole(sweep: Path, proxy: faults.Proxy) -> None:
    uploader = Uploader(sweep, proxy.url)
    proxy.cut(times=1, when=lambda method, path: method == "PUT" and "/images/" in path)
    trouble = uploader.pass_once()
    assert trouble is not None
    assert not trouble.lasting
    assert uploader.pass_once() is None
    client = client_at(proxy.url)
    assert_told_once(client, sweep)
    for uid in (COMPLETED, STOPPED, LEFT):
        run = runs_of(client, sweep)[uid].info.run_id
        sent = [a.path for a in client.list_artifacts(run, "images") if a.path.endswith(".png")]
        there = {Path(client.download_artifacts(run, path)).read_bytes() for path in sent}
        epochs = range(1, len(sent) + 1)
        assert there == {grid_of(sweep / "trials" / uid, epoch).read_bytes() for epoch in epochs}


def test_a_locked_database_is_waited_for(sweep: Path) -> None:
    uri = tracking.default_uri(sweep.parent)
    uploader = Uploader(sweep, uri)
    assert uploader.pass_once() is None
    tell(sweep, LEFT, [3.0], first=2)
    other = sqlite3.connect(sweep.parent / "mlflow.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    said: list[object] = []
    passing = Thread(target=lambda: said.append(uploader.pass_once()))
    passing.start()
    time.sleep(1)
    assert said == []
    other.execute("ROLLBACK")
    other.close()
    passing.join()
    assert said == [None]
    assert_told_once(client_of(sweep), sweep)


def run_sync(place: Path, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli.main, ["sync", str(place), *words])
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.exit_code, done.stderr


@pytest.mark.parametrize("words", [(), ("--rebuild",)])
def test_a_database_of_another_mlflow_is_left_alone(sweep: Path, words: tuple[str, ...]) -> None:
    file = sweep.parent / "mlflow.db"
    database = sqlite3.connect(file)
    with database:
        database.execute("update alembic_version set version_num = 'deadbeef0000'")
    database.close()
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    code, said = run_sync(sweep, *words)
    assert code == 5
    assert said.count("\n") == 1
    assert "deadbeef0000" in said
    assert "mlflow db upgrade" in said
    assert hashlib.sha256(file.read_bytes()).hexdigest() == before


@pytest.mark.parametrize("share", [0.0001, 0.3, 0.9])
def test_a_truncated_database_is_left_alone_and_made_anew_from_the_journal(
    sweep: Path, share: float
) -> None:
    tracking.sync(sweep, tracking.default_uri(sweep.parent))
    # Elsewhere, since MLflow keeps its connections for as long as this process lives.
    storage = sweep.parent.rename(sweep.parent.with_name("damaged"))
    file, place = storage / "mlflow.db", storage / "digits"
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    code, said = run_sync(place, "--rebuild")
    assert code == 5, said
    assert said.count("\n") == 1
    assert "damaged" in said
    assert "gansweep sync --rebuild" in said
    assert file.read_bytes() == content[: int(share * len(content))]
    file.unlink()
    storage = storage.rename(storage.with_name("mended"))
    assert run_sync(storage / "digits", "--rebuild") == (0, "")
    assert_told_once(client_of(storage / "digits"), storage / "digits")


def test_a_database_that_is_deleted_while_we_write_is_noticed(sweep: Path) -> None:
    uploader = Uploader(sweep, tracking.default_uri(sweep.parent))
    assert uploader.pass_once() is None
    (sweep.parent / "mlflow.db").unlink()
    with pytest.raises(StoreReplaced, match="deleted"):
        uploader.pass_once()


def query(place: Path, statement: str) -> None:
    database = sqlite3.connect(place.parent / "mlflow.db")
    with database:
        assert database.execute(statement).rowcount > 0, "nothing was damaged"
    database.close()


def test_rebuild_sends_what_mlflow_lacks_and_nothing_else(
    sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = tracking.default_uri(sweep.parent)
    tracking.sync(sweep, uri)
    client, before = client_of(sweep), everything(sweep.parent)
    run = runs_of(client, sweep)[COMPLETED].info.run_id
    lost = f"run_uuid = '{run}' and ((step = 2 and key = 'fid500') or (step = 3 and key = 'kimg'))"
    query(sweep, f"delete from metrics where {lost}")
    query(sweep, f"delete from tags where run_uuid = '{run}' and key = 'gansweep.verdict'")
    pictures = sorted((sweep.parent / "mlartifacts").rglob("*.png"))
    pictures[0].unlink()
    pictures[1].write_bytes(pictures[1].read_bytes()[:100])
    # What is remembered says that all is well.
    tracking.sync(sweep, uri)
    assert everything(sweep.parent) != before
    uploader = Uploader(sweep, uri, rebuild=True)
    sent: list[Any] = []
    log, upload = uploader._store.log, uploader._store.client.log_artifacts
    monkeypatch.setattr(
        uploader._store, "log", lambda run, **told: (sent.append((run, told)), log(run, **told))
    )
    uploaded: list[str] = []
    monkeypatch.setattr(
        uploader._store.client,
        "log_artifacts",
        lambda run, source, target: (
            uploaded.extend(p.name for p in Path(source).iterdir() if target == "images"),
            upload(run, source, target),
        ),
    )
    assert uploader.pass_once() is None
    after = everything(sweep.parent)
    assert after == before
    points = [v for owner, told in sent if owner == run for v in told.get("values", ())]
    assert sorted((v.key, v.step) for v in points) == [("fid500", 2), ("kimg", 3)]
    assert sorted(uploaded) == sorted(p.name for p in pictures[:2])


def test_what_is_remembered_may_lie_or_be_of_another_shape(sweep: Path) -> None:
    uri = tracking.default_uri(sweep.parent)
    tracking.sync(sweep, uri)
    before = everything(sweep.parent)
    rows = json.loads((sweep / "tracking.json").read_text())
    (store,) = rows
    for content in ([1, 2], {store: {"x": {"run": "1", "of_later": 2}}}, {store: [3]}, "text"):
        (sweep / "tracking.json").write_text(json.dumps(content))
        tracking.sync(sweep, uri)
    assert everything(sweep.parent) == before
    tell(sweep, LEFT, [3.0], first=2)
    rows[store][LEFT]["epoch"] = 2
    (sweep / "tracking.json").write_text(json.dumps(rows))
    tracking.sync(sweep, uri)
    with pytest.raises(AssertionError):
        assert_told_once(client_of(sweep), sweep)
    tracking.sync(sweep, uri, rebuild=True)
    assert_told_once(client_of(sweep), sweep)


def test_runs_that_were_ended_renamed_or_deleted_by_hand(sweep: Path) -> None:
    uri = tracking.default_uri(sweep.parent)
    drive(sweep, "sweep", state="running")
    with owned(sweep):
        uploader = Uploader(sweep, uri)
        assert uploader.pass_once() is None
        client = client_of(sweep)
        runs = {uid: run.info.run_id for uid, run in runs_of(client, sweep).items()}
        client.set_terminated(runs[LEFT], "FAILED")
        client.set_terminated(runs["sweep"], "FINISHED")
        client.update_run(runs[COMPLETED], status="RUNNING", name="the good one")
        client.delete_run(runs[STOPPED])
        tell(sweep, LEFT, [3.0, 2.0], first=2, **HEALTHY)
        tell(sweep, STOPPED, [], first=3)  # A reason to speak of it.
        trouble = uploader.pass_once()
        assert trouble is not None
        assert trouble.healed
        assert uploader.pass_once() is None
    drive(sweep, "sweep", state="interrupted")
    tracking.sync(sweep, uri)
    assert_told_once(client, sweep)
    now = runs_of(client, sweep)
    assert now[LEFT].info.status == now[COMPLETED].info.status == "FINISHED"
    assert now["sweep"].info.status == "KILLED"
    assert now[COMPLETED].info.run_name == "the good one"
    kept = {uid for uid, run in now.items() if run.info.run_id == runs[uid]}
    assert kept == runs.keys() - {STOPPED}


def test_an_experiment_that_was_deleted_by_hand_comes_back_with_its_runs(sweep: Path) -> None:
    drive(sweep, "sweep", state="running")
    with owned(sweep):
        uploader = Uploader(sweep, tracking.default_uri(sweep.parent))
        assert uploader.pass_once() is None
        client = client_of(sweep)
        runs = {uid: run.info.run_id for uid, run in runs_of(client, sweep).items()}
        client.delete_experiment(client.get_experiment_by_name("gansweep").experiment_id)
        tell(sweep, LEFT, [3.0], first=2)
        assert uploader.pass_once() is not None
        assert uploader.pass_once() is None
    assert_told_once(client, sweep)
    assert {uid: run.info.run_id for uid, run in runs_of(client, sweep).items()} == runs


KEYS = st.one_of(st.text(max_size=300), st.text("<>@,=:/._ a\n0", max_size=8))


@given(KEYS, KEYS)
@example("a<b", "a>b")
@example("a,b", "a b")
@example("a=b", "a:b")
@example("a" * 251, "a" * 252)
@example("fid@50k", legal("fid@50k"))
@example("", ".")
@example("a//b", "a/b")
@example("gansweep", "gansweep\n")
def test_no_two_metrics_meet_and_mlflow_takes_each(one: str, other: str) -> None:
    from mlflow.utils.validation import _validate_metric_name

    assert (legal(one) == legal(other)) == (one == other)
    for key in (one, other):
        _validate_metric_name(legal(key))
        assert len(legal(key)) <= LONGEST_KEY


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("fid50k", "fid50k"),
        ("eval/inception/fid10k", "eval/inception/fid10k"),
        ("best/hinge,r1,weight=10.0", "best/hinge r1 weight:10.0"),
    ],
)
def test_names_stay_readable(key: str, told: str) -> None:
    assert legal(key) == told


def test_the_log_does_not_grow_without_end(
    sweep: Path, proxy: faults.Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "LOG_BYTES", 2000)
    proxy.down()
    log, sizes = sweep / "tracking.log", []
    with log.open("ab") as stream:  # As the process has it: always at the end.

        class Writing(Clock):
            def sleep(self, seconds: float, /) -> None:
                stream.write(b"%7.1f the server is away\n" % self.now)
                stream.flush()
                sizes.append(log.stat().st_size)
                super().sleep(seconds)

        assert follow_until(sweep, proxy.url, Writing(), end=400)
    assert len(sizes) * 31 > 20_000
    assert max(sizes) < 3000
    lines = log.read_text().splitlines()
    assert float(lines[-1].split()[0]) >= 398
    assert len({len(line) for line in lines}) == 1, "a line was cut"


def wait_for(holds: Callable[[], object]) -> None:
    until = time.monotonic() + 90
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.mark.slow
def test_an_uploader_that_is_killed_and_a_database_that_is_deleted_leave_no_gap(
    sweep: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_SECONDS", 0.1)
    uri, file = tracking.default_uri(sweep.parent), sweep.parent / "mlflow.db"
    drive(sweep, "sweep", state="running")

    def epochs_sent() -> int:
        return getattr(Memory(sweep, tracking.redacted(uri)).runs.get(LEFT), "epoch", 0)

    with owned(sweep):
        uploader = tracking.start_uploader(sweep, uri)
        first = uploader.pid
        assert first is not None
        wait_for(lambda: epochs_sent() == 1)
        os.kill(first, signal.SIGKILL)
        tell(sweep, LEFT, [3.0], first=2)
        wait_for(lambda: epochs_sent() == 2)
        assert uploader.pid != first
        file.unlink()
        wait_for(file.exists)
        tell(sweep, LEFT, [2.0], first=3, **HEALTHY)
        drive(sweep, "sweep", state="interrupted")
    assert tracking.wait(uploader, 90)
    assert_told_once(client_of(sweep), sweep)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "SIGKILL" in err


def as_uploader(
    monkeypatch: pytest.MonkeyPatch, folder: Path, script: str
) -> Callable[[], list[str]]:
    """Has a shell script run in the uploader's place; returns how to ask for its lives so far."""
    program, lives = folder / "uploader", folder / "lives"
    program.write_text(f"#!/bin/sh\necho $$ >> {lives}\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(supervisor.sys, "executable", str(program))
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_SECONDS", 0.05)
    return lambda: lives.read_text().split() if lives.exists() else []


def test_one_that_dies_again_and_again_is_told_of_once_and_in_the_last_word(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lives = as_uploader(monkeypatch, tmp_path, "kill -9 $$")
    uploader = tracking.start_uploader(tmp_path / "digits", "http://alice:s3cret@host:1")
    wait_for(lambda: len(lives()) >= 3)
    assert not tracking.wait(uploader, 60)
    assert not uploader.running
    first, last = capfd.readouterr().err.splitlines()
    assert first.startswith("warning: ")
    assert "SIGKILL" in first
    command = f"gansweep sync digits --storage {tmp_path} --tracking-uri http://alice@host:1"
    assert last.endswith(f"later: {command}")
    assert "SIGKILL" in last


@pytest.mark.parametrize(
    ("script", "all_sent", "lines"),
    [
        ("exit 0", True, 0),
        ("(sleep 20; touch late) & echo 403 refused; exit 3", False, 2),
        ("[ $(wc -l < lives) -gt 1 ] || exit 4", True, 0),
        ("exec sleep 600", False, 1),
        ("trap '' TERM; while :; do sleep 0.1; done", False, 1),
    ],
)
def test_the_last_word_is_one_line(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    all_sent: bool,
    lines: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(supervisor, "GRACE_SECONDS", 0.3)
    lives = as_uploader(monkeypatch, tmp_path, script)
    uploader = tracking.start_uploader(tmp_path / "runs" / "digits", "http://host:1")
    if lines == 1:
        wait_for(lives)
    else:
        wait_for(lambda: not uploader.running)
    assert tracking.wait(uploader, 0.3) == all_sent
    assert not uploader.running
    assert not (tmp_path / "late").exists(), "a child that it left behind was waited for"
    err = capfd.readouterr().err
    assert err.count("\n") == lines
    assert all_sent or "gansweep sync digits --tracking-uri http://host:1\n" in err
    assert ("the sweep goes on" in err) == (lines == 2)


@pytest.mark.slow
def test_a_sweep_whose_server_is_down_ends_as_it_would_and_says_what_is_missing(
    tmp_path: Path,
    proxy: faults.Proxy,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sweeps.sweep.DRAIN_SECONDS", 1)
    proxy.down()
    file = faults.scripted(tmp_path, epochs=2)
    results = run(file, Options(storage=tmp_path / "runs", tracking_uri=proxy.url))
    assert (results.state, results.exit_code) == ("finished", 0)
    said = [line for line in capfd.readouterr().err.splitlines() if "MLflow" in line]
    command = f"gansweep sync scripted --storage {tmp_path / 'runs'} --tracking-uri {proxy.url}"
    assert len(said) == 1
    assert said[0].endswith(f"later: {command}")
    proxy.heal()
    words = command.split()[1:]
    for _ in range(2):
        assert CliRunner().invoke(cli.main, words).exit_code == 0
        assert_told_once(client_at(proxy.url), results.folder)
