"""The commands for sweeps that run as jobs of a cluster: submit, status, logs, stop."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sweeps.cli_options import FILE, json_option, tracking_option

if TYPE_CHECKING:
    from sweeps.jobs.server import JobServer

JOB = click.argument("job")


def server_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which job server."""
    for option in (
        click.option(
            "--insecure", is_flag=True, help="Use a cluster that asks nobody for a token."
        ),
        click.option(
            "--address",
            envvar="RAY_API_SERVER_ADDRESS",
            default="http://127.0.0.1:8265",
            show_default=True,
            help="Where the head's dashboard is, here or through an ssh tunnel.",
        ),
    ):
        command = option(command)
    return command


@click.command()
@FILE
@click.option(
    "--storage",
    envvar="GANSWEEP_STORAGE",
    show_envvar=True,
    help="Folder of all sweeps that every node of the cluster sees, or s3://bucket/path.",
)
@click.option("--name", help="Name of the sweep; default: the file's.")
@click.option("--detach", is_flag=True, help="Print the job's id once its trials begin.")
@tracking_option
@server_options
def submit(
    file: Path, storage: str | None, name: str | None, detach: bool, address: str, **asked: Any
) -> None:
    """Run a sweep as a job of a Ray cluster.

    It goes on without this terminal. What it says is shown until it ends, and its exit code is
    this one's. What stops it before its trials begin is told here, with --detach too.
    """
    from sweeps.jobs.looking import follow, refused
    from sweeps.jobs.submitting import prepared

    ready = prepared(file, storage=storage, name=name, **asked)
    server = _server(address, asked["insecure"])
    job = ready.send(server)
    click.echo(
        f"job {job}: {len(ready.plan.trials)} trials, {ready.pack.size / 1e6:.1f} MB sent", err=True
    )
    if (code := refused(server, job)) is not None:
        sys.exit(code)
    for verb, purpose in (("logs", "shows what it says"), ("stop", "ends it in order")):
        click.echo(f"  {f'gansweep {verb} {job}{server.note}':<35} {purpose}", err=True)
    if detach:
        click.echo(job)
        return
    sys.exit(follow(server, job))


@click.command()
@click.argument("job", required=False)
@server_options
@json_option
def status(job: str | None, address: str, insecure: bool, as_json: bool) -> None:
    """List the jobs, or show how one is.

    JOB is its id, or its sweep's name.
    """
    from sweeps.jobs.looking import show, show_all

    server = _server(address, insecure)
    if job is None:
        show_all(server, server.jobs(), as_json=as_json)
    else:
        show(server, server.find(job), as_json=as_json)


@click.command()
@JOB
@click.option("--no-follow", is_flag=True, help="Only what it has said so far.")
@server_options
def logs(job: str, no_follow: bool, address: str, insecure: bool) -> None:
    """Show what a job says until it ends.

    JOB is its id, or its sweep's name; its exit code is this one's.
    """
    from sweeps.jobs.looking import follow, print_log

    server = _server(address, insecure)
    found = server.find(job).id
    if no_follow:
        print_log(server, found)
        return
    sys.exit(follow(server, found))


@click.command()
@JOB
@server_options
def stop(job: str, address: str, insecure: bool) -> None:
    """End a job in order; its sweep can go on later.

    JOB is its id, or its sweep's name.
    """
    from sweeps.jobs.looking import stop

    server = _server(address, insecure)
    stop(server, server.find(job))


def _server(address: str, insecure: bool) -> JobServer:
    from sweeps.jobs.server import JobServer

    return JobServer(address, insecure=insecure)


COMMANDS = (submit, status, logs, stop)
