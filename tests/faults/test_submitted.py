"""Jobs as their submitter sees them: refused before they begin, lost from sight, read in part."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from faults.job_server import Server, listed
from sweeps.cli import main
from sweeps.errors import EnvironmentTrouble
from sweeps.jobs import looking, reader
from sweeps.jobs.server import JobServer
from sweeps.options import BEGUN, Options

PREAMBLE = "2026-11-25 18:00:00,1\tINFO job_manager.py:1 -- x\nRunning entrypoint for job q: sh\n"
TAKEN = "error: a sweep 'question' exists in /shared/runs; it is finished\n"


class Cluster:
    """What becomes of the job that is submitted.

    Args:
        says: Its log, piece by piece; None is a silence without end.
    """

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, server: Server, says: list[str | None], end: int
    ) -> None:
        self.says = says
        self.lost = False
        monkeypatch.setattr(JobServer, "follow", lambda _, job: self.follow(job))
        monkeypatch.setattr(JobServer, "submit", lambda *_: self.submitted(server, end))

    def submitted(self, server: Server, end: int) -> None:
        alive = None in self.says
        server.jobs += (listed(1, "RUNNING"),) if alive else (listed(1, "FAILED", end),)

    async def follow(self, job: str) -> AsyncIterator[str]:
        assert job == "question-1"
        for text in self.says:
            if text is None:
                await asyncio.Event().wait()
            else:
                yield text
        if self.lost:
            raise EnvironmentTrouble("the job server is lost")


def submit(file: Path, *words: str) -> Result:
    where = ["--name", "question", "--storage", "/shared/runs"]
    return CliRunner().invoke(main, ["submit", str(file), *where, *words], catch_exceptions=False)


@pytest.mark.parametrize("words", [(), ("--detach",)])
@pytest.mark.parametrize(
    ("told", "code"),
    [
        (TAKEN, 3),
        ("error: the storage /shared/runs cannot be written (Read-only file system)\n", 5),
        ("error: versions: node gpu-3 has torch 2.12.1\nerror: clock: node gpu-4\n", 5),
    ],
)
def test_what_stops_a_job_before_its_trials_is_told_where_it_was_submitted(
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    job_server: Server,
    words: tuple[str, ...],
    told: str,
    code: int,
) -> None:
    """As `run` would: the same exit code, the same words on stderr, and no id on stdout."""
    Cluster(monkeypatch, job_server, [PREAMBLE, told], code)
    done = submit(file, *words)
    assert (done.exit_code, done.stdout) == (code, "")
    assert done.stderr.splitlines()[1:] == told.splitlines()


def test_a_detached_job_is_left_alone_once_its_trials_begin(
    file: Path, monkeypatch: pytest.MonkeyPatch, job_server: Server
) -> None:
    half = len(BEGUN) // 2
    Cluster(monkeypatch, job_server, [PREAMBLE + BEGUN[:half], BEGUN[half:] + "\n", None], 0)
    done = submit(file, "--detach")
    assert (done.exit_code, done.stdout) == (0, "question-1\n")
    assert "question-1: 4 trials" in done.stderr
    assert "no trial" not in done.stderr
    assert "gansweep stop question-1" in done.stderr


def test_a_job_that_takes_its_time_is_not_waited_for_without_end(
    file: Path, monkeypatch: pytest.MonkeyPatch, job_server: Server
) -> None:
    """It waits for a machine, perhaps: nobody knows that it is refused."""
    monkeypatch.setattr(looking, "BEGIN_SECONDS", 0.01)
    Cluster(monkeypatch, job_server, [PREAMBLE, None], 0)
    done = submit(file, "--detach")
    assert (done.exit_code, done.stdout) == (0, "question-1\n")
    assert "no trial of job question-1 has begun after 0.01 s; see: gansweep logs" in done.stderr


def test_a_job_server_that_is_lost_meanwhile_is_no_success(
    file: Path, monkeypatch: pytest.MonkeyPatch, job_server: Server
) -> None:
    Cluster(monkeypatch, job_server, [PREAMBLE], 0).lost = True
    done = submit(file, "--detach")
    assert (done.exit_code, done.stdout) == (5, "")
    assert "lost; the job may well go on: look again with: gansweep logs question-1" in done.stderr


def test_the_log_of_a_sweep_is_not_that_of_who_asked_for_it_again(job_server: Server) -> None:
    job_server.jobs = (listed(1, "SUCCEEDED", 0), listed(2, "FAILED", 3))
    done = CliRunner().invoke(main, ["status", "question", "--json"], catch_exceptions=False)
    assert '"id": "question-1"' in done.stdout
    job_server.jobs = job_server.jobs[1:]
    done = CliRunner().invoke(main, ["status", "question", "--json"], catch_exceptions=False)
    assert '"id": "question-2"' in done.stdout


def test_a_sweep_says_that_its_trials_begin_where_there_is_no_table(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from sweeps.console import Console
    from sweeps.terminal import beginning

    Options().began()
    Options(began=beginning(Console(force_terminal=True))).began()
    assert capsys.readouterr().out == ""
    Options(began=beginning(Console(width=20))).began()
    assert BEGUN in capsys.readouterr().out


def test_a_sweep_begins_also_where_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """`gansweep run FILE | true`: what is printed is not why anybody runs a sweep."""
    from sweeps.console import Console
    from sweeps.terminal import beginning

    left, there = os.pipe()
    os.close(left)
    with os.fdopen(there, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        console = Console()
        beginning(console)()
        console.print("and goes on")


@pytest.mark.parametrize("words", [("losses",), ("losses", "--json")], ids=" ".join)
@pytest.mark.parametrize("both", [False, True], ids=["stdout", "stdout and stderr"])
def test_who_has_read_enough_ends_a_command_in_silence(both: bool, words: tuple[str, ...]) -> None:
    """`gansweep losses | head -1`: as every program that SIGPIPE ends."""
    left, there = os.pipe()
    os.close(left)
    with os.fdopen(there, "wb") as nobody:
        done = subprocess.run(
            [sys.executable, "-m", "sweeps.cli", *words],
            stdout=nobody,
            stderr=nobody if both else subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 128 + signal.SIGPIPE
    assert not done.stderr


def test_who_reads_a_silent_log_is_missed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """`gansweep logs JOB | head -1` of a job whose next line is hours away."""

    async def silence() -> None:
        with reader.while_read():
            os.close(left)
            await asyncio.Event().wait()

    left, there = os.pipe()
    with os.fdopen(there, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(BrokenPipeError) as caught:
            asyncio.run(asyncio.wait_for(silence(), 60))
    assert caught.value.errno == errno.EPIPE


def test_a_log_that_goes_to_a_file_is_read_by_everybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def print_a_line() -> None:
        with reader.while_read():
            await asyncio.sleep(0)
            print("a line")

    for stream in ((tmp_path / "log").open("w"), None):
        monkeypatch.setattr(sys, "stdout", stream)
        asyncio.run(print_a_line())
        if stream is not None:
            stream.close()
    assert (tmp_path / "log").read_text() == "a line\n"
