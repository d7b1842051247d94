"""`gansweep --help`: the commands in groups, each with the whole of its sentence."""

from __future__ import annotations

from collections.abc import Mapping

import click

GROUPS: Mapping[str, tuple[str, ...]] = {
    "Run a sweep": ("plan", "doctor", "run", "resume", "extend", "try"),
    "Look at it": ("list", "show", "compare", "ui"),
    "Use what it trained": ("sample", "evaluate", "export"),
    "Jobs of a cluster": ("submit", "status", "logs", "stop"),
    "Components": ("systems", "losses", "penalties", "models", "datasets", "metrics", "features"),
}
"""Commands in the order in which one needs them; those of no group come last."""


def write_commands(commands: Mapping[str, click.Command], formatter: click.HelpFormatter) -> None:
    """Writes the commands; click's own list cuts a sentence where the line ends."""
    named = {name for names in GROUPS.values() for name in names}
    groups = {**GROUPS, "More": tuple(name for name in commands if name not in named)}
    longest = max(map(len, commands))
    for heading, names in groups.items():
        rows = [(f"{n:<{longest}}", _sentence(commands[n])) for n in names if n in commands]
        with formatter.section(heading):
            formatter.write_dl(rows)


def _sentence(command: click.Command) -> str:
    """The first paragraph of a command's help, in one line."""
    return " ".join((command.help or "").split("\n\n")[0].split())
