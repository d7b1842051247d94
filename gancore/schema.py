"""What an option may be: its type, its range, and the words that refuse a wrong value.

The annotation of a keyword-only parameter is its schema. `Option.of` reads it, `Option.parse`
checks a value that came from a file; nothing here imports PyTorch, so a sweep file is refused
before any heavy package is loaded.
"""

from __future__ import annotations

import difflib
import math
import types
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

MISSING: Any = object()
"""The default of an option that has none."""


@dataclass(frozen=True)
class Range:
    """The interval that a number must lie in; an open end excludes its bound."""

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.low_open else value >= self.low
        below = value < self.high if self.high_open else value <= self.high
        return above and below

    def __str__(self) -> str:
        bounds = []
        if self.low > -math.inf:
            bounds.append(f"{'>' if self.low_open else '>='} {self.low:g}")
        if self.high < math.inf:
            bounds.append(f"{'<' if self.high_open else '<='} {self.high:g}")
        return " and ".join(bounds)


Positive = Annotated[float, Range(low=0, low_open=True)]
NonNegative = Annotated[float, Range(low=0)]
Fraction = Annotated[float, Range(low=0, high=1)]
Share = Annotated[float, Range(low=0, high=1, high_open=True)]
Momentum = Share
Count = Annotated[int, Range(low=1)]
Whole = Annotated[int, Range(low=0)]
Resolution = Literal[4, 8, 16, 32, 64, 128, 256, 512, 1024]
Counts = dict[int, Count]
"""A table such as `{4: 64, 8: 32}`: a count for each of some resolutions."""

Lengths = dict[int, Positive]
"""A table of numbers above 0 for each of some resolutions."""


class Refused(ValueError):
    """A value that an option does not take; the message is meant for the person who wrote it."""


@dataclass(frozen=True)
class Option:
    """One hyper-parameter: what it may be and what it is when nobody says.

    Args:
        kind: The Python type of a value.
        choices: The allowed values, where there is a fixed list.
        optional: Whether None is a value.
        entries: What the values of a table may be.
        default: `MISSING` where the option must be given.
    """

    name: str
    kind: type = object
    range: Range = Range()
    choices: tuple[Any, ...] = ()
    optional: bool = False
    default: Any = MISSING
    help: str = ""
    entries: Option | None = None

    @classmethod
    def of(cls, name: str, annotation: Any, default: Any = MISSING, help: str = "") -> Option:
        """Reads an annotation such as `float`, `Positive`, `Literal["a", "b"]` or `int | None`."""
        optional = False
        if get_origin(annotation) in (Union, types.UnionType):
            members = [a for a in get_args(annotation) if a is not types.NoneType]
            optional, annotation = len(members) < len(get_args(annotation)), members[0]
        bounds = Range()
        if get_origin(annotation) is Annotated:
            annotation, *notes = get_args(annotation)
            bounds = next((n for n in notes if isinstance(n, Range)), bounds)
        if get_origin(annotation) is dict:
            entries = cls.of(name, get_args(annotation)[1])
            return cls(name, dict, optional=optional, default=default, help=help, entries=entries)
        choices: tuple[Any, ...] = ()
        if get_origin(annotation) is Literal:
            choices = get_args(annotation)
            annotation = type(choices[0])
        return cls(name, annotation, bounds, choices, optional, default, help)

    @property
    def takes(self) -> str:
        """What the option takes, in words: `a number > 0`, `one of: batch, layer`."""
        if self.choices:
            return "one of: " + ", ".join(map(str, self.choices))
        if self.entries:
            return f"a table {{resolution: {self.entries.takes}}}"
        words = {float: "a number", int: "a whole number", bool: "true or false", str: "a text"}
        return f"{words.get(self.kind, self.kind.__name__)} {self.range}".strip()

    def parse(self, value: Any) -> Any:
        """The value as this option's type.

        Raises:
            Refused: The value is of another type, outside the range, or not one of the choices.
        """
        if value is None and self.optional:
            return None
        # bool is a subclass of int: without the second test `true` would pass for 1.
        fits = isinstance(value, (int, float) if self.kind is float else self.kind)
        fits = fits and not (isinstance(value, bool) and self.kind in (int, float))
        if self.choices:
            if not fits or value not in self.choices:  # 1.0 == 1, but is not what is meant.
                raise Refused(unknown("value", value, self.choices))
            return value
        if fits and self.entries:
            return {_whole(key): self.entries.parse(entry) for key, entry in value.items()}
        if not fits:
            raise Refused(f"expected {self.takes}, got {show(value)}")
        if self.kind in (int, float) and not (math.isfinite(value) and value in self.range):
            raise Refused(f"expected {self.takes}, got {show(value)}")
        return float(value) if self.kind is float else value


def _whole(key: Any) -> int:
    """The key of a table; JSON makes a text of it."""
    if isinstance(key, bool) or not str(key).isdecimal() or int(key) < 1:
        raise Refused(f"expected a whole number >= 1 as the key of a table, got {show(key)}")
    return int(key)


def show(value: Any) -> str:
    """A value as its owner wrote it in a file, short enough for one line."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def unknown(what: str, given: Any, known: Iterable[Any]) -> str:
    """`unknown loss 'hing' (did you mean 'hinge'?)`, or the list where nothing is near."""
    names = [str(k) for k in known]
    near = _nearest(str(given), tuple(names))
    hint = f"did you mean {near!r}?" if near else "known: " + ", ".join(sorted(names))
    return f"unknown {what} {show(given)} ({hint})"


@cache
def _nearest(given: str, names: tuple[str, ...]) -> str | None:
    # Ten thousand trials may have the same slip in them, and the search for it is slow.
    return next(iter(difflib.get_close_matches(given, names, n=1, cutoff=0.6)), None)
