"""What is shown of jobs: how they begin, their logs as they come, and how they are."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from sweeps.console import Console, shown
from sweeps.errors import EnvironmentTrouble
from sweeps.jobs.job import Job
from sweeps.jobs.reader import while_read
from sweeps.jobs.server import JobServer
from sweeps.options import BEGUN
from sweeps.receipt import clock
from sweeps.signals import exit_code

STOP_SECONDS = 75
"""Longer than Ray gives a job to end in order, see `submitting.ENVIRONMENT`."""

BEGIN_SECONDS = 90
"""How long is waited for a job to pass its own checks, of which the nodes' answers take longest."""

_SETTLING_SECONDS = 10
"""A log may be over a moment before its job."""

# Ray's own lines at the head of a log.
_PREAMBLE = re.compile(r"\d{4}-\S+ \S+\tINFO job_manager\.py:|Running entrypoint for job ")


def follow(server: JobServer, job: str) -> int:
    """Prints what a job says until it is over; Ctrl-C ends that, and not the job.

    Returns:
        The exit code of the sweep.

    Raises:
        SystemExit: With 130, after Ctrl-C.
        EnvironmentTrouble: The job server is lost, or the job could not begin.
    """
    with _looked_at(server, job):
        asyncio.run(_print(server, job))
        ended = _settled(server, job)
    return _code(server, ended)


def refused(server: JobServer, job: str) -> int | None:
    """Waits until a new job's trials begin; of one that ends before, its words go to stderr.

    Returns:
        The exit code of a job that ended; None of one that has begun, or has not after so long.

    Raises:
        SystemExit, EnvironmentTrouble: As of `follow`.
    """
    with _looked_at(server, job):
        try:
            said = asyncio.run(asyncio.wait_for(_until_begun(server, job), BEGIN_SECONDS))
        except TimeoutError:
            wait = f"no trial of job {job} has begun after {BEGIN_SECONDS} s"
            click.echo(f"{wait}; see: gansweep logs {job}{server.note}", err=True)
            return None
        if said is None:
            return None
        ended = _settled(server, job)
    code = _code(server, ended)
    _echo(said, err=True)
    return code


@contextmanager
def _looked_at(server: JobServer, job: str) -> Iterator[None]:
    """Tells who looks away from a job, or loses sight of it, that it goes on."""
    look = f"look again with: gansweep logs {job}{server.note}"
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"\njob {job} goes on; {look}", err=True)
        raise SystemExit(exit_code(signal.SIGINT)) from None
    except EnvironmentTrouble as error:
        raise EnvironmentTrouble(f"{error}; the job may well go on: {look}") from None


def _code(server: JobServer, job: Job) -> int:
    if job.reason:
        raise EnvironmentTrouble(f"job {job.id} could not begin: {job.reason}")
    if job.exit_code is None:
        look = f"gansweep logs {job.id}{server.note}"
        raise EnvironmentTrouble(f"the log of job {job.id} broke off; look again with: {look}")
    return job.exit_code


async def _print(server: JobServer, job: str) -> None:
    with while_read():
        async for text in server.follow(job):
            _echo(text)


async def _until_begun(server: JobServer, job: str) -> str | None:
    """What a job says that ends before its trials begin; None of one whose trials do."""
    said = ""
    async for text in server.follow(job):
        said += text
        if BEGUN in said:
            return None
    return said


def print_log(server: JobServer, job: str) -> None:
    """Prints what a job has said so far."""
    _echo(server.log(job))


def _echo(text: str, *, err: bool = False) -> None:
    for line in text.splitlines(keepends=True):
        if not _PREAMBLE.match(line):
            click.echo(shown(line), nl=False, err=err)


def _settled(server: JobServer, job: str, seconds: float = _SETTLING_SECONDS) -> Job:
    """The job once it is over, or as it is after so long."""
    until = time.monotonic() + seconds
    while (found := server.find(job)).alive and time.monotonic() < until:
        time.sleep(0.3)
    return found


def stop(server: JobServer, job: Job) -> None:
    """Ends a job in order, and waits for that.

    Raises:
        EnvironmentTrouble: It does not end.
    """
    if job.alive:
        server.stop(job.id)
        click.echo(
            f"{job.id} is told to end; its trials report the epoch that they are in", err=True
        )
        job = _settled(server, job.id, STOP_SECONDS)
    if job.alive:
        raise EnvironmentTrouble(
            f"job {job.id} has not ended; look at: gansweep logs {job.id}{server.note}"
        )
    again = "; `gansweep submit` of its file goes on with it" if job.state == "interrupted" else ""
    click.echo(f"{job.id}: {_state(job)}{again}")


def show(server: JobServer, job: Job, *, as_json: bool) -> None:
    """Prints how a job is: of one that runs the last line that it said, of another its error."""
    said = [line.strip() for line in server.log(job.id).splitlines() if not _PREAMBLE.match(line)]
    wanted = [line for line in said if line and (job.alive or line.startswith("error: "))]
    last = wanted[-1] if wanted else ""
    if as_json:
        click.echo(json.dumps({**_facts(job), "says": last}, indent=2))
        return
    console = Console(highlight=False)
    rows = {
        "job": job.id,
        "sweep": job.sweep,
        "state": _state(job),
        "submitted": _time(job.submitted),
        "took": _took(job),
        "storage": job.storage,
        "code": job.code_version,
        "says": last,
    }
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for heading, value in rows.items():
        if value:
            table.add_row(heading, Text(value))
    console.print(table)


def show_all(server: JobServer, jobs: Iterable[Job], *, as_json: bool) -> None:
    """Prints every job, the newest last."""
    jobs = list(jobs)
    if as_json:
        click.echo(json.dumps([_facts(job) for job in jobs], indent=2))
        return
    console = Console(highlight=False)
    if not jobs:
        console.print(f"no jobs at {server.address}: start one with `gansweep submit FILE`")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("job", "sweep", "state", "submitted", "took"):
        table.add_column(heading, overflow="fold")
    for job in jobs:
        row = (job.id, job.sweep, _state(job), _time(job.submitted), _took(job))
        table.add_row(*map(Text, row))
    console.print(table)


def _facts(job: Job) -> dict[str, Any]:
    return vars(job)


def _state(job: Job) -> str:
    code = "" if job.exit_code in (None, 0) else f" (exit code {job.exit_code})"
    return f"{job.state}{code}{': ' if job.reason else ''}{job.reason}"


def _time(seconds: float) -> str:
    return time.strftime("%F %T", time.localtime(seconds))


def _took(job: Job) -> str:
    return clock((job.ended or time.time()) - job.submitted)
