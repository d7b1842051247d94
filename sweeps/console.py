"""The terminal: what sweeps are called is shown on it, and never steers it."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable
from contextlib import suppress

import rich.console
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment

from sweeps.signals import exit_code

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Escape sequences begin with one of these; the last two ranges turn the direction of writing."""


def shown(text: str) -> str:
    """A text with a mark in place of each character that a terminal would obey."""
    return _CONTROL.sub("\ufffd", text)


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
