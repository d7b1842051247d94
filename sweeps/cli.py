"""The commands; each reads its arguments and calls one function."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from sweeps.cli_doctor import doctor
from sweeps.cli_help import write_commands
from sweeps.cli_jobs import COMMANDS
from sweeps.cli_options import (
    ACCEPT,
    FILE,
    found,
    json_option,
    replay_options,
    running_options,
    storage_option,
    tracking_option,
    trust_option,
)
from sweeps.errors import EnvironmentTrouble, GansweepError
from sweeps.signals import exit_code

# Imports stand in the commands: `--help` and a wrong file must answer at once.

OUT = click.Path(path_type=Path, dir_okay=False)
SEED = click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of what is drawn."
)


class Commands(click.Group):
    """Lists commands in the order in which one needs them, and tells errors in plain lines."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        write_commands(self.commands, formatter)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            done = super().invoke(ctx)
            if sys.stdout is not None:  # It is where it was closed before we began.
                sys.stdout.flush()
            return done
        except GansweepError as error:
            from sweeps.console import shown

            for line in str(error).splitlines():
                click.echo(f"error: {shown(line)}", err=True)
            raise SystemExit(error.exit_code) from None
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            raise SystemExit(130) from None
        except OSError as error:
            _let_go_of_output(error)
            if error.errno == errno.EPIPE:  # Who reads has seen enough, as `head` has.
                raise SystemExit(exit_code(signal.SIGPIPE)) from None
            click.echo(f"error: {error}", err=True)
            raise SystemExit(EnvironmentTrouble.exit_code) from None


def _let_go_of_output(error: OSError) -> None:
    """What cannot be written would be an error once more, when the interpreter ends."""
    if error.filename is None and sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gansweep")
def main() -> None:
    """Which GAN is best on your data, at what cost, and how sure are we?

    FILE is a question in YAML, such as search_spaces/quickstart.yaml; NAME is that of a sweep.
    """


@main.command()
@FILE
@click.option("--name", help="Name of the sweep; default: the file's.")
@running_options
def run(file: Path, name: str | None, **where: Any) -> None:
    """Run a sweep here, or on a Ray cluster with --address."""
    from sweeps.sweep import run

    _finish(lambda options: run(file, options, name=name), **where)


@main.command()
@click.argument("name_or_file")
@click.option("--name", help="Of the sweep of a file; default: the file's.")
@click.option("--retry-failed", is_flag=True, help="Try the trials that failed once more.")
@ACCEPT
@trust_option
@running_options
def resume(
    name_or_file: str, name: str | None, retry_failed: bool, trust: bool, **where: Any
) -> None:
    """Go on with a sweep after any interruption, by its name or by its file as it is now."""
    from sweeps.asking import load_spec
    from sweeps.folder import is_sweep, named
    from sweeps.sweep import resume

    file = Path(name_or_file)
    is_file = file.is_file() and (file.suffix or not is_sweep(named(where["storage"], file.name)))
    source = load_spec(file) if is_file else None
    wanted = name or (source.name if source else name_or_file)
    place = found(where["storage"], wanted, trust=trust)
    now = file if source else None
    start = partial(resume, place, source=now, retry_failed=retry_failed)
    _finish(start, **where)


@main.command()
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--trials-each", type=click.IntRange(min=1), help="Trials of each arm, in all.")
@click.option("--epochs", type=click.IntRange(min=1), help="Epochs of each trial, in all.")
@click.option("--seeds", type=click.IntRange(min=1), help="Confirmations of a point, in all.")
@ACCEPT
@trust_option
@running_options
def extend(
    name: str,
    file: Path | None,
    trials_each: int | None,
    epochs: int | None,
    seeds: int | None,
    trust: bool,
    **where: Any,
) -> None:
    """Add trials, arms, epochs or seeds to a sweep, by a larger FILE or by numbers."""
    from sweeps.sweep import extend

    given = {"search.trials_each": trials_each, "base.epochs": epochs, "confirm.seeds": seeds}
    wanted = {key: number for key, number in given.items() if number is not None}
    place = found(where["storage"], name, trust=trust)
    _finish(lambda options: extend(place, file, options, wanted=wanted), **where)


@main.command()
@FILE
@click.option("--probe", is_flag=True, help="Train a few steps of each arm: tells hours and disk.")
@json_option
def plan(file: Path, probe: bool, as_json: bool) -> None:
    """Show what a sweep would do, and touch nothing."""
    from sweeps.asking import load_spec
    from sweeps.preview import show_plan

    show_plan(load_spec(file), with_probe=probe, as_json=as_json)


main.add_command(doctor)


@main.command()
@click.argument("source", type=click.Path(path_type=Path))
@replay_options
@storage_option
@json_option
def simulate(source: Path, storage: Path, **asked: Any) -> None:
    """Replay schedules on recorded curves (a CSV file, or a sweep's): what they cost and risk."""
    from sweeps.folder import find
    from sweeps.simulation import show_simulation

    by_name = not source.suffix and not source.exists()
    show_simulation(find(storage, str(source)) if by_name else source, **asked)


@main.command("try")
@FILE
@click.option("--arm", help="An arm's label; default: the first.")
@click.option("--draw", type=int, default=0, show_default=True, help="Which draw of the arm.")
@click.option("--epochs", type=click.IntRange(min=1), help="Shorter than the file says.")
@click.option("--out", type=click.Path(path_type=Path), help="Keep what it writes in this folder.")
def try_(file: Path, arm: str | None, draw: int, epochs: int | None, out: Path | None) -> None:
    """Train one trial in this process, without Ray: for a debugger, or a first look."""
    from sweeps.asking import load_spec
    from sweeps.attempt import attempt

    attempt(load_spec(file), arm=arm, draw=draw, epochs=epochs, out=out)


@main.command("list")
@storage_option
@json_option
def list_(storage: Path, as_json: bool) -> None:
    """List the sweeps and their state."""
    from sweeps.listing import list_sweeps

    list_sweeps(storage, as_json=as_json)


@main.command()
@click.argument("name")
@storage_option
@json_option
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
@storage_option
@json_option
def compare(names: tuple[str, ...], out: Path | None, storage: Path, as_json: bool) -> None:
    """Say which arm wins and how sure that is, and write the report, over one sweep or more."""
    from sweeps.compare.present import show_comparison
    from sweeps.folder import find

    show_comparison([find(storage, name) for name in names], out, as_json=as_json)


@main.command()
@click.argument("name")
@click.argument("trial", required=False)
@click.option(
    "--count", type=click.IntRange(1, 4096), default=64, show_default=True, help="Pictures to draw."
)
@SEED
@click.option("--out", type=OUT, help="PNG file; default: beside the trial's own.")
@trust_option
@storage_option
def sample(name: str, trial: str | None, storage: Path, trust: bool, **asked: Any) -> None:
    """Draw pictures from a trial's best checkpoint (default: the best trial's)."""
    from sweeps.samples import write_samples

    path = write_samples(found(storage, name, trust=trust), trial, **asked)
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
@SEED
@tracking_option
@trust_option
@storage_option
@json_option
def evaluate(
    name: str,
    trial: str | None,
    epoch: int | None,
    tracking_uri: str | None,
    storage: Path,
    trust: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """Score a trial's best checkpoint in every way, with intervals (default: the best trial's)."""
    from sweeps.evaluation import Asked
    from sweeps.scoreboard import show_evaluation

    place = found(storage, name, trust=trust)
    show_evaluation(place, trial, epoch, Asked(**asked), tracking_uri=tracking_uri, as_json=as_json)


@main.command()
@click.argument("name")
@click.argument("trial", required=False)
@click.option("--epoch", type=click.IntRange(min=1), help="Default: the trial's best.")
@click.option("--out", type=OUT, help="File in .pt2; default: with the trial.")
@click.option("--force", is_flag=True, help="Overwrite what is there.")
@trust_option
@storage_option
def export(name: str, trial: str | None, storage: Path, trust: bool, **asked: Any) -> None:
    """Write a trial's generator (or classifier, or translator) for PyTorch alone to run."""
    from sweeps.export import export

    done = export(found(storage, name, trust=trust), trial, **asked)
    click.echo(done.code)


@main.command()
@storage_option
@click.option("--port", type=click.IntRange(1, 65535), help="Default: the first free from 5000.")
def ui(storage: Path, port: int | None) -> None:
    """Open MLflow on what the sweeps wrote; loopback only."""
    from sweeps.tracking import serve

    serve(storage.resolve(), port)


@main.command()
@click.argument("name")
@tracking_option
@trust_option
@click.option("--rebuild", is_flag=True, help="Compare all that MLflow has with the journal.")
@storage_option
def sync(name: str, tracking_uri: str | None, storage: Path, trust: bool, rebuild: bool) -> None:
    """Send a sweep's journal to MLflow; what is there already is not sent twice."""
    from sweeps import tracking

    place = found(storage, name, trust=trust)
    uri = tracking_uri or tracking.default_uri(place.parent)
    tracking.sync(place, uri, rebuild=rebuild)


for _command in COMMANDS:
    main.add_command(_command)


def _listing(kind: str, summary: str) -> None:
    @main.command(kind, help=summary)
    @json_option
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
    insecure: bool,
    accept_data_change: bool = False,
) -> None:
    """Runs to the end on this terminal and leaves with the exit code that says how it went."""
    from sweeps.bucket import spoken
    from sweeps.console import Console
    from sweeps.options import Options
    from sweeps.terminal import beginning, following, print_end

    console = Console(highlight=False)
    options = Options(
        storage=storage.resolve(),
        address=address,
        tracking_uri=tracking_uri,
        verbose=verbose,
        insecure=insecure,
        accept_data_change=accept_data_change,
        watch=following(console),
        began=beginning(console),
    )
    results = start(options)
    elsewhere = "" if storage == Path("runs") else f" --storage {spoken(storage)}"
    print_end(results, console, elsewhere, tracking_uri)
    sys.exit(results.exit_code)


if __name__ == "__main__":
    main()
