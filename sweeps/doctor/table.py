"""The doctor's findings as people read them, a line each and its remedy below, and for machines."""

from __future__ import annotations

import json
import os
import re
import textwrap
from collections.abc import Sequence
from dataclasses import asdict

from rich.text import Text

from sweeps.console import Console
from sweeps.doctor.finding import OK, WARNING, WRONG, Finding, Level

_STYLES: dict[Level, str] = {OK: "green", WARNING: "yellow", WRONG: "bold red"}
_GAP = 2
_UNBROKEN = "\N{NO-BREAK SPACE}"


def show(findings: Sequence[Finding], *, as_json: bool) -> None:
    """Prints what was found, and in a last line how much of it is wrong."""
    wrong = sum(finding.level == WRONG for finding in findings)
    warned = sum(finding.level == WARNING for finding in findings)
    if as_json:
        content = {"ok": not wrong, "findings": [asdict(finding) for finding in findings]}
        print(json.dumps(content, indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False)
    # Where nobody looks, a line stays one, to be searched for.
    width = console.width if console.is_terminal or "COLUMNS" in os.environ else 10_000
    levels = max(len(finding.level) for finding in findings) + _GAP
    checks = max(len(finding.check) for finding in findings) + _GAP
    for finding in findings:
        style = _STYLES[finding.level]
        head = Text(finding.level.ljust(levels), style=style)
        head.append(finding.check.ljust(checks), style="default")
        lines = _wrapped(finding.found, width - levels - checks)
        if finding.remedy:
            first, *rest = _wrapped(finding.remedy, width - levels - checks - _GAP)
            lines += [f"> {first}", *(f"  {line}" for line in rest)]
        for number, line in enumerate(lines):
            start = head if number == 0 else Text(" " * (levels + checks))
            console.print(start + Text(line, style="default"), soft_wrap=True)
    console.print()
    console.print(Text(_sum(wrong, warned), style=_STYLES[_worst(wrong, warned)]), soft_wrap=True)


def _wrapped(text: str, width: int) -> list[str]:
    """A text in lines that break no command, which stands in backticks, and no `ray 2.60`."""
    text = re.sub(r"(?<=[a-z]) (?=\d)", _UNBROKEN, text)
    parts = text.split("`")
    parts[1::2] = [part.replace(" ", _UNBROKEN) for part in parts[1::2]]
    lines = textwrap.wrap(
        "`".join(parts), max(width, 30), break_long_words=False, break_on_hyphens=False
    )
    return [line.replace(_UNBROKEN, " ") for line in lines]


def _sum(wrong: int, warned: int) -> str:
    warnings = f"{warned} warning{'s' * (warned != 1)}"
    if wrong:
        return f"{wrong} wrong, which would stop a sweep" + (f"; {warnings}" if warned else "")
    return f"a sweep can run; {warnings}" if warned else "all is well"


def _worst(wrong: int, warned: int) -> Level:
    return WRONG if wrong else WARNING if warned else OK
