"""The options that several commands share, and what a name on the command line stands for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


class Storage(click.Path):
    """A folder of sweeps, or the one of this machine that stands for a bucket."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from sweeps import bucket

        if isinstance(value, str) and bucket.is_address(value):
            return bucket.folder_of(value)
        return super().convert(value, param, ctx)


def storage_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Where all sweeps lie."""
    return click.option(
        "--storage",
        type=Storage(path_type=Path, file_okay=False),
        metavar="PLACE",
        default=Path("runs"),
        show_default=True,
        envvar="GANSWEEP_STORAGE",
        show_envvar=True,
        help="Folder of all sweeps, on a cluster one that every node sees; or s3://bucket/path.",
    )(command)


def tracking_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which MLflow is told."""
    return click.option(
        "--tracking-uri",
        envvar="GANSWEEP_TRACKING_URI",
        show_envvar=True,  # An address with a password belongs there: `ps` shows arguments to all.
        help="MLflow server; default: a store beside the sweeps.",
    )(command)


def running_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Where and how a sweep runs."""
    for option in (
        click.option("--verbose", is_flag=True, help="Let Ray and Tune speak."),
        click.option(
            "--insecure", is_flag=True, help="Join a cluster that asks nobody for a token."
        ),
        tracking_option,
        click.option(
            "--address", help="A running Ray cluster (`auto`, `host:6379`); default: here."
        ),
    ):
        command = option(command)
    return storage_option(command)


def trust_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Whether a stranger's plug-ins may run."""
    return click.option(
        "--trust", is_flag=True, help="Run the plug-ins of a sweep that somebody else made."
    )(command)


def found(storage: Path, name: str, *, trust: bool) -> Path:
    """The folder of a sweep whose plug-ins may be run; noted as such where they are trusted."""
    from sweeps.folder import find
    from sweeps.trust import remember

    place = find(storage, name)
    if trust:
        remember(place)
    return place


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Whether a machine reads the answer."""
    return click.option("--json", "as_json", is_flag=True, help="For machines.")(command)


def replay_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which recorded curves are replayed, and under which settings."""
    for option in _REPLAY:
        command = option(command)
    return command


def _pairs(
    _context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    """`COLUMN=VALUE`, each once."""
    found = {}
    for value in values:
        column, equals, wanted = value.partition("=")
        if not equals or not column:
            raise click.BadParameter(f"{value!r} is not {parameter.metavar}")
        found[column] = wanted
    return found


_REPLAY = (
    click.option(
        "--only",
        metavar="COLUMN=VALUE",
        multiple=True,
        callback=_pairs,
        help="Of a CSV file, the rows of one protocol; may be repeated.",
    ),
    click.option(
        "--until", type=float, help="Last step that counts; default: where the first ends."
    ),
    click.option(
        "--orders",
        type=click.IntRange(min=1),
        default=300,
        show_default=True,
        help="Random orders of arrival.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(min=1),
        default=8,
        show_default=True,
        help="Trials that train at a time.",
    ),
    click.option(
        "--brackets",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Rules side by side, each with a first rung eta times as late as the last.",
    ),
    click.option(
        "--eta",
        "etas",
        type=click.IntRange(min=2),
        multiple=True,
        default=(2, 3, 4),
        show_default=True,
        help="Of eta trials one goes on; may be repeated.",
    ),
    click.option(
        "--grace",
        "graces",
        type=click.IntRange(min=1),
        multiple=True,
        default=(1, 2, 3),
        show_default=True,
        help="Points before the first rung; may be repeated.",
    ),
    click.option(
        "--goal",
        type=click.Choice(["min", "max"]),
        default="min",
        show_default=True,
        help="Of a CSV file; a sweep knows its own.",
    ),
)
FILE = click.argument("file", type=click.Path(path_type=Path))
ACCEPT = click.option(
    "--accept-data-change",
    is_flag=True,
    help="Go on though the pictures are not those that the sweep began with.",
)
