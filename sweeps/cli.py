"""The commands; each reads its arguments and calls one function."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from sweeps.errors import EnvironmentTrouble, GansweepError

# Imports stand in the commands: `--help` and a wrong file must answer at once.


class Commands(click.Group):
    """Lists commands in the order in which one needs them, and tells errors in plain lines."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            done = super().invoke(ctx)
            if sys.stdout is not None:  # It is where it was closed before we began.
                sys.stdout.flush()
            return done
        except GansweepError as error:
            for line in str(error).splitlines():
                click.echo(f"error: {line}", err=True)
            raise SystemExit(error.exit_code) from None
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            raise SystemExit(130) from None
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # Who reads has seen enough; click ends in silence.
            _let_go_of_output(error)
            click.echo(f"error: {error}", err=True)
            raise SystemExit(EnvironmentTrouble.exit_code) from None


def _let_go_of_output(error: OSError) -> None:
    """What cannot be written would be an error once more, when the interpreter ends."""
    if error.filename is None and sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _storage(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--storage",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("runs"),
        show_default=True,
        envvar="GANSWEEP_STORAGE",
        help="Folder of all sweeps; on a cluster, one that every node sees.",
    )(command)


def _running(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--verbose", is_flag=True, help="Let Ray and Tune speak."),
        click.option("--tracking-uri", help="MLflow server; default: a store beside the sweeps."),
        click.option(
            "--address", help="A running Ray cluster (`auto`, `host:6379`); default: here."
        ),
    ):
        command = option(command)
    return _storage(command)


def _json(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--json", "as_json", is_flag=True, help="For machines.")(command)


_FILE = click.argument("file", type=click.Path(path_type=Path))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gansweep")
def main() -> None:
    """Which GAN is best on your data, at what cost, and how sure are we?"""


@main.command()
@_FILE
@click.option("--name", help="Name of the sweep; default: the file's.")
@_running
def run(file: Path, name: str | None, **where: Any) -> None:
    """Run a sweep here, or on a Ray cluster with --address."""
    from sweeps.sweep import load_spec, run

    spec = load_spec(file)
    _finish(lambda options: run(spec, options, name=name), **where)


@main.command()
@click.argument("name")
@click.option("--retry-failed", is_flag=True, help="Try the trials that failed once more.")
@_running
def resume(name: str, retry_failed: bool, **where: Any) -> None:
    """Go on with a sweep after any interruption."""
    from sweeps.folder import find
    from sweeps.sweep import resume

    place = find(where["storage"], name)
    _finish(lambda options: resume(place, options, retry_failed=retry_failed), **where)


@main.command()
@_FILE
@click.option("--probe", is_flag=True, help="Train a few steps of each arm: tells hours and disk.")
@_json
def plan(file: Path, probe: bool, as_json: bool) -> None:
    """Show what a sweep would do; touches nothing."""
    from sweeps.preview import show_plan
    from sweeps.sweep import load_spec

    show_plan(load_spec(file), with_probe=probe, as_json=as_json)


@main.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--goal",
    type=click.Choice(["min", "max"]),
    default="min",
    show_default=True,
    help="Of a CSV file; a sweep knows its own.",
)
@click.option(
    "--grace",
    "graces",
    type=click.IntRange(min=1),
    multiple=True,
    default=(1, 2, 3),
    show_default=True,
    help="Points before the first rung; may be repeated.",
)
@click.option(
    "--eta",
    "etas",
    type=click.IntRange(min=2),
    multiple=True,
    default=(2, 3, 4),
    show_default=True,
    help="Of eta trials one goes on; may be repeated.",
)
@click.option(
    "--brackets",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Rules side by side, each with its first rung eta times as late as the one before.",
)
@click.option("--workers", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--orders", type=click.IntRange(min=1), default=300, show_default=True)
@click.option("--until", type=float, help="Last step that counts; default: where the first ends.")
@_storage
@_json
def simulate(source: Path, storage: Path, **asked: Any) -> None:
    """Replay schedules on recorded curves (a CSV file, or a sweep's): what they cost and risk."""
    from sweeps.folder import find
    from sweeps.simulation import show_simulation

    by_name = not source.suffix and not source.exists()
    show_simulation(find(storage, str(source)) if by_name else source, **asked)


@main.command("try")
@_FILE
@click.option("--arm", help="An arm's label; default: the first.")
@click.option("--draw", type=int, default=0, show_default=True, help="Which draw of the arm.")
@click.option("--epochs", type=click.IntRange(min=1), help="Shorter than the file says.")
@click.option("--out", type=click.Path(path_type=Path), help="Keep what it writes in this folder.")
def try_(file: Path, arm: str | None, draw: int, epochs: int | None, out: Path | None) -> None:
    """Train one trial in this process, without Ray: for a debugger, or a first look."""
    from sweeps.attempt import attempt
    from sweeps.sweep import load_spec

    attempt(load_spec(file), arm=arm, draw=draw, epochs=epochs, out=out)


@main.command("list")
@_storage
@_json
def list_(storage: Path, as_json: bool) -> None:
    """List the sweeps and their state."""
    from sweeps.listing import list_sweeps

    list_sweeps(storage, as_json=as_json)


@main.command()
@click.argument("name")
@_storage
@_json
def show(name: str, storage: Path, as_json: bool) -> None:
    """Show a sweep's leaderboard and trials."""
    from sweeps.folder import find
    from sweeps.listing import show_sweep

    show_sweep(find(storage, name), as_json=as_json)


@main.command()
@click.argument("names", nargs=-1, required=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the report; default: the sweep's own, of several `report` here.",
)
@_storage
@_json
def compare(names: tuple[str, ...], out: Path | None, storage: Path, as_json: bool) -> None:
    """Say which arm wins and how sure that is, and write the report, over one sweep or more."""
    from sweeps.compare.present import show_comparison
    from sweeps.folder import find

    show_comparison([find(storage, name) for name in names], out, as_json=as_json)


@main.command()
@click.argument("name")
@click.argument("trial", required=False)
@click.option("--count", type=click.IntRange(1, 4096), default=64, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="PNG file.")
@_storage
def sample(
    name: str, trial: str | None, count: int, seed: int, out: Path | None, storage: Path
) -> None:
    """Draw pictures from a trial's best checkpoint (default: the best trial's)."""
    from sweeps.folder import find
    from sweeps.samples import write_samples

    path = write_samples(find(storage, name), trial, count=count, seed=seed, out=out)
    click.echo(path)


@main.command()
@click.argument("name")
@click.argument("trial", required=False)
@click.option("--epoch", type=click.IntRange(min=1), help="Default: the trial's best.")
@click.option(
    "--samples",
    type=click.IntRange(min=2),
    help="Pictures to draw; default: 10000, or what a translator has to translate.",
)
@click.option("--features", help="Feature network; default: the sweep's.")
@click.option("--inception-weights", help="File of the network `inception`.")
@click.option("--metric", "metrics", multiple=True, help="Only this score; may be repeated.")
@click.option(
    "--repeats",
    type=click.IntRange(min=2),
    help="Splits of the pictures for an interval; default: 200, of Inception's features 20.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--tracking-uri", help="MLflow server; default: a store beside the sweeps.")
@_storage
@_json
def evaluate(
    name: str,
    trial: str | None,
    epoch: int | None,
    tracking_uri: str | None,
    storage: Path,
    as_json: bool,
    **asked: Any,
) -> None:
    """Score a trial's best checkpoint in every way, with intervals (default: the best trial's)."""
    from sweeps.evaluation import Asked
    from sweeps.folder import find
    from sweeps.scoreboard import show_evaluation

    place = find(storage, name)
    show_evaluation(place, trial, epoch, Asked(**asked), tracking_uri=tracking_uri, as_json=as_json)


@main.command()
@click.argument("name")
@click.argument("trial", required=False)
@click.option("--epoch", type=click.IntRange(min=1), help="Default: the trial's best.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File in .pt2.")
@click.option("--force", is_flag=True, help="Overwrite what is there.")
@_storage
def export(
    name: str, trial: str | None, epoch: int | None, out: Path | None, force: bool, storage: Path
) -> None:
    """Write a trial's generator (or classifier, or translator) for PyTorch alone to run."""
    from sweeps.export import export
    from sweeps.folder import find

    done = export(find(storage, name), trial, epoch=epoch, out=out, force=force)
    click.echo(done.code)


@main.command()
@_storage
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
def ui(storage: Path, port: int) -> None:
    """Open MLflow on what the sweeps wrote; loopback only."""
    from sweeps.tracking import serve

    serve(storage.resolve(), port)


@main.command()
@click.argument("name")
@click.option("--tracking-uri", help="MLflow server; default: a store beside the sweeps.")
@_storage
def sync(name: str, tracking_uri: str | None, storage: Path) -> None:
    """Send a sweep's journal to MLflow; what is there already is not sent twice."""
    from sweeps import tracking
    from sweeps.folder import find

    place = find(storage, name)
    tracking.sync(place, tracking_uri or tracking.default_uri(place.parent))


def _listing(kind: str, summary: str) -> None:
    @main.command(kind, help=summary)
    @_json
    def command(as_json: bool) -> None:
        from sweeps.listing import list_components

        list_components(kind, as_json=as_json)


_listing("losses", "List the losses, with every option, default and source.")
_listing("penalties", "List the penalties on the discriminator's gradient.")
_listing("models", "List the model families.")
_listing("systems", "List the GAN systems.")
_listing("datasets", "List the data sets.")
_listing("metrics", "List the metrics.")
_listing("features", "List the feature networks that scores rest on.")


def _finish(
    start: Callable[[Any], Any],
    storage: Path,
    address: str | None,
    tracking_uri: str | None,
    verbose: bool,
) -> None:
    """Runs to the end on this terminal and leaves with the exit code that says how it went."""
    from rich.console import Console

    from sweeps.sweep import Options
    from sweeps.terminal import following, print_end

    console = Console(highlight=False)
    options = Options(
        storage=storage.resolve(),
        address=address,
        tracking_uri=tracking_uri,
        verbose=verbose,
        watch=following(console),
    )
    results = start(options)
    elsewhere = "" if storage == Path("runs") else f" --storage {storage}"
    print_end(results, console, elsewhere)
    sys.exit(results.exit_code)


if __name__ == "__main__":
    main()
