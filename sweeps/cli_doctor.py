"""`gansweep doctor`: what would stop a sweep, told before there is one."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from sweeps.cli_options import json_option, storage_option, tracking_option


@click.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--address", help="A running Ray cluster (`auto`, `host:6379`); default: here.")
@click.option("--insecure", is_flag=True, help="Join a cluster that asks nobody for a token.")
@tracking_option
@storage_option
@json_option
def doctor(
    file: Path | None,
    address: str | None,
    insecure: bool,
    tracking_uri: str | None,
    storage: Path,
    as_json: bool,
) -> None:
    """Look at all that a sweep needs, here or on every node of a cluster, and say what to do.

    With FILE, also at its pictures, its weights and its GPUs. Exit code 5 where something would
    stop a sweep.
    """
    from sweeps.doctor.examine import examine
    from sweeps.doctor.finding import WRONG
    from sweeps.doctor.question import Asked
    from sweeps.doctor.table import show
    from sweeps.errors import EnvironmentTrouble, UserError

    if insecure and address is None:
        raise UserError("--insecure: Ray on this machine always has a token; give --address too")
    plan = None
    if file is not None:
        from sweeps.asking import load_spec
        from sweeps.plan import make_plan

        plan = make_plan(load_spec(file))
    asked = Asked(storage.resolve(), plan, address, tracking_uri, insecure)
    findings = examine(asked)
    show(findings, as_json=as_json)
    sys.exit(EnvironmentTrouble.exit_code if any(f.level == WRONG for f in findings) else 0)
