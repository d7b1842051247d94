"""MLflow gets every point exactly once, whatever happens to the uploader."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from written_sweep import (
    LEFT,
    client_at,
    client_of,
    drive,
    tell,
)

import faults
from faults.told_once import HEALTHY, Clock, assert_told_once, follow_until
from sweeps import Options, cli, run, tracking
from sweeps.folder import owned
from sweeps.tracking import process, supervisor
from sweeps.tracking.memory import Memory

# MLflow 3.17 asks SQLAlchemy 2.1 for what that will drop; nothing of ours can help it.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")


def wait_for(holds: Callable[[], object]) -> None:
    until = time.monotonic() + 90
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.1)


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
        ("trap '' USR1; while :; do sleep 0.1; done", False, 1),
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
