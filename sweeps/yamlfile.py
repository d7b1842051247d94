"""Reads YAML into plain data that knows its line numbers, by the rules people expect of 1.2."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from yaml import events

from sweeps.errors import UserError

MAX_BYTES = 1_000_000
MAX_DEPTH = 50
MAX_NODES = 10_000
"""Counted after aliases are expanded, so that a few lines cannot stand for a billion."""

Where = tuple[str | int, ...]
"""The way to a value in a file: `("scientific", "loss.name", 2)`."""

# PyYAML alone follows YAML 1.1: it reads `1e-4` as a text, and `on` and `no` as booleans.
_WHOLE = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}


class Problem(NamedTuple):
    """One thing wrong with a file; line 0 and an empty key mean none in particular."""

    line: int
    key: str
    message: str


class SpecError(UserError):
    """A sweep file that cannot be run, with all of its problems, in the order of its lines.

    Args:
        file: As the user typed it; empty for a sweep that came from Python.
    """

    def __init__(self, problems: list[Problem], file: str = "") -> None:
        self.problems = sorted(set(problems))
        self.file = file
        super().__init__("\n".join(map(self._words, self.problems)))

    def _words(self, problem: Problem) -> str:
        line = str(problem.line) if problem.line else ""
        place = ":".join(filter(None, (self.file, line)))
        return ": ".join(filter(None, (place, problem.key, problem.message)))


@dataclass(frozen=True)
class Document:
    """What a file says, and where it says it.

    Args:
        file: As the user typed it.
        problems: What is wrong though the rest could be read, such as a key given twice.
    """

    file: str = ""
    text: str = ""
    value: Any = None
    lines: dict[Where, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def line_of(self, where: Where) -> int:
        """The line of a value, or of the nearest thing around it that has one."""
        while where and where not in self.lines:
            where = where[:-1]
        return self.lines.get(where, 0)


class Problems:
    """Collects what is wrong with a document, so that all of it is told at once."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.found = list(document.problems)

    def add(self, where: Where, key: str, message: str) -> None:
        """Notes a problem with the value at a place of the document."""
        self.found.append(Problem(self.document.line_of(where), key, message))

    def refuse(self) -> None:
        """Raises SpecError if there is any problem."""
        if self.found:
            raise SpecError(self.found, self.document.file)


def read_yaml(path: Path) -> Document:
    """A YAML file whose top is a mapping.

    Raises:
        SpecError: The file is missing, too large, or not one YAML document of plain data.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise SpecError(
            [Problem(0, "", (error.strerror or "cannot be read").lower())], str(path)
        ) from None
    if len(content) > MAX_BYTES:
        raise SpecError([Problem(0, "", f"larger than {MAX_BYTES:,} bytes")], str(path))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"not UTF-8 text (byte 0x{content[error.start]:02x})"
        raise SpecError([Problem(line, "", message)], str(path)) from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, file: str) -> Document:
    """A YAML text whose top is a mapping; see `read_yaml`."""
    builder = _Builder()
    try:
        value = builder.document(yaml.parse(text, Loader=yaml.SafeLoader))
    except _UnreadableError as fatal:
        raise SpecError([*builder.problems, fatal.problem], file) from None
    except yaml.YAMLError as error:
        raise SpecError([*builder.problems, _syntax(error, text)], file) from None
    return Document(file, text, value, builder.lines, tuple(builder.problems))


class _UnreadableError(Exception):
    """What makes the rest of the file unreadable."""

    def __init__(self, event: events.Event, message: str) -> None:
        self.problem = Problem(_line(event), "", message)


class _Builder:
    """Turns the parser's events into values, and notes the line of each."""

    def __init__(self) -> None:
        self.lines: dict[Where, int] = {}
        self.problems: list[Problem] = []
        self._nodes = 0
        self._anchors: dict[str, tuple[Any, int]] = {}  # value and its number of nodes
        self._open: set[str] = set()  # anchors whose value is still being read

    def document(self, stream: Iterator[events.Event]) -> dict[str, Any]:
        self._events = stream
        next(stream)  # start of stream
        start = next(stream)
        if isinstance(start, events.StreamEndEvent):
            raise _UnreadableError(start, "the file is empty")
        first = next(stream)
        value = self._value(first, (), 0)
        if not isinstance(value, dict):
            what = "a list" if isinstance(value, list) else "a single value"
            raise _UnreadableError(first, f"expected a mapping of sections, got {what}")
        next(stream)  # end of document
        after = next(stream)
        if isinstance(after, events.DocumentStartEvent):
            raise _UnreadableError(after, "a second document begins here; a sweep file is one")
        return value

    def _value(self, event: events.Event, where: Where, depth: int) -> Any:
        self.lines.setdefault(where, _line(event))
        if depth > MAX_DEPTH:
            raise _UnreadableError(event, f"nested more than {MAX_DEPTH} deep")
        self._count(event, 1)
        if isinstance(event, events.AliasEvent):
            return self._alias(event)
        assert isinstance(event, events.ScalarEvent | events.CollectionStartEvent)
        if event.tag is not None:
            raise _UnreadableError(
                event, f"tag {_short(event.tag)} is not allowed: write plain data"
            )
        before, anchor = self._nodes, event.anchor
        if anchor:
            self._open.add(anchor)
        if isinstance(event, events.MappingStartEvent):
            value: Any = self._mapping(where, depth)
        elif isinstance(event, events.SequenceStartEvent):
            value = self._list(where, depth)
        else:
            value = _scalar(event)
        if anchor:
            self._open.discard(anchor)
            self._anchors[anchor] = (value, self._nodes - before)
        return value

    def _mapping(self, where: Where, depth: int) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not isinstance(event := next(self._events), events.MappingEndEvent):
            if not isinstance(event, events.ScalarEvent) or event.tag is not None:
                raise _UnreadableError(event, "a key must be a text")
            self._count(event, 1)
            # A key is the text that stands there: `on`, `1e-4` and `null` too.
            key = event.value
            here = (*where, key)
            if twice := key in mapping:
                message = f"given twice (first on line {self.lines[here]})"
                self.problems.append(Problem(_line(event), ".".join(map(str, here)), message))
            else:
                self.lines[here] = _line(event)
            value = self._value(next(self._events), (*here, "second") if twice else here, depth + 1)
            mapping.setdefault(key, value)
        return mapping

    def _list(self, where: Where, depth: int) -> list[Any]:
        values: list[Any] = []
        while not isinstance(event := next(self._events), events.SequenceEndEvent):
            values.append(self._value(event, (*where, len(values)), depth + 1))
        return values

    def _alias(self, event: events.AliasEvent) -> Any:
        name = event.anchor
        if name in self._open:
            raise _UnreadableError(event, f"*{name} stands inside of what it stands for")
        if name not in self._anchors:
            raise _UnreadableError(
                event, f"*{name} stands for nothing: there is no &{name} above it"
            )
        value, nodes = self._anchors[name]
        self._count(event, nodes)
        return value

    def _count(self, event: events.Event, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise _UnreadableError(event, f"more than {MAX_NODES:,} values")


def _scalar(event: events.Event) -> Any:
    assert isinstance(event, events.ScalarEvent)
    text: str = event.value
    plain = event.implicit[0]  # neither quoted nor a block
    if not plain:
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _WHOLE.fullmatch(text):
        if len(text) > 300:  # more than any float holds, and in the end more than int() reads
            raise _UnreadableError(event, f"a number of {len(text)} digits")
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _line(event: events.Event) -> int:
    assert event.start_mark is not None
    return event.start_mark.line + 1


def _short(tag: str) -> str:
    tag = tag.replace("tag:yaml.org,2002:", "!!")
    return tag if len(tag) <= 60 else tag[:57] + "..."


def _syntax(error: yaml.YAMLError, text: str) -> Problem:
    """PyYAML's error in one line, and in words where its own mislead."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:  # a character that no YAML may have
        position = getattr(error, "position", 0)
        return Problem(
            text.count("\n", 0, position) + 1,
            "",
            f"character {text[position : position + 1]!r} is not allowed in YAML",
        )
    lines = text.splitlines() or [""]
    line = lines[min(mark.line, len(lines) - 1)]
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return Problem(mark.line + 1, "", "indented with a tab: use spaces")
    message = f"not YAML: {getattr(error, 'problem', None) or 'cannot be read'}"
    context = getattr(error, "context", None)
    opened = getattr(error, "context_mark", None)
    if context and opened is not None:
        message += f", {context} from line {opened.line + 1}"
    return Problem(mark.line + 1, "", f"{message} (column {mark.column + 1})")
