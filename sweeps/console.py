"""The terminal: what sweeps are called is shown on it, and never steers it."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import rich.console
from rich.console import ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.text import Text

from sweeps.signals import exit_code

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Escape sequences begin with one of these; the last two ranges turn the direction of writing."""


def shown(text: str) -> str:
    """A text with a mark in place of each character that a terminal would obey."""
    return _CONTROL.sub("\ufffd", text)


@dataclass(frozen=True)
class Label:
    """Arms in a table: where there is no room for them, broken after commas."""

    text: str

    def __rich_measure__(self, _: rich.console.Console, options: ConsoleOptions) -> Measurement:
        narrow = max(map(len, self._parts), default=0)
        return Measurement(narrow, len(self.text)).with_maximum(options.max_width)

    def __rich_console__(self, _: rich.console.Console, options: ConsoleOptions) -> RenderResult:
        lines = [""]
        for part in self._parts:
            if lines[-1] and len(lines[-1] + part) > options.max_width:
                lines.append("")
            lines[-1] += part if lines[-1] else part.lstrip()
        yield Text("\n".join(lines), overflow="fold")

    @property
    def _parts(self) -> list[str]:
        return re.findall(r"[^,]+,?|,", self.text)


class Console(rich.console.Console):
    """Rich's console for texts of other people; its own colours stay."""

    def on_broken_pipe(self) -> None:
        """Ends as SIGPIPE would have: Rich's own exit code, 1, is that of a bug."""
        with suppress(SystemExit):
            super().on_broken_pipe()
        raise SystemExit(exit_code(signal.SIGPIPE))

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            safe = segment.text if segment.control else shown(segment.text)
            yield segment if safe == segment.text else Segment(safe, segment.style)
