"""What components there are and what each one takes, read from source without running it.

Importing PyTorch takes seconds; refusing a misspelt option must not. Since the signature is the
schema (see `registry.py`), the syntax tree of a file tells all that a sweep file can get wrong,
of gancore's own components and of a user's plug-in alike, and no plug-in code runs on the way.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from gancore import schema
from gancore.registry import LIVE
from gancore.schema import MISSING, Option, unknown

KINDS = {
    "systems": "system",
    "losses": "loss",
    "penalties": "penalty",
    "models": "model",
    "datasets": "data set",
    "metrics": "metric",
    "features": "feature network",
}
"""Each registry by the name of its variable, with the word for one of its members."""

REGISTERED = "registered in this process"
"""The origin of a component that no source file of ours has: a plug-in's, or a notebook's."""

_FOLDERS = ("losses", "models", "systems", "data", "metrics")


@dataclass(frozen=True)
class Entry:
    """One registered component.

    Args:
        options: Its hyper-parameters by name.
        facts: Its constant class attributes (`ClassVar`), such as a data set's `size`.
        summary: The first paragraph of its docstring, with its source.
    """

    kind: str
    name: str
    options: dict[str, Option] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    summary: str = ""
    origin: str = ""


class Catalogue:
    """Entries by kind and name."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._tables: dict[str, dict[str, Entry]] = {kind: {} for kind in KINDS}
        for entry in entries:
            self._tables[entry.kind][entry.name] = entry

    def __getitem__(self, kind: str) -> dict[str, Entry]:
        return self._tables[kind]

    def refusal(self, kind: str, name: Any) -> str:
        """Why a name means nothing, and what was meant: by its other names, or by its spelling."""
        for entry in self[kind].values():
            if name in entry.facts.get("also", ()):
                return f"unknown {KINDS[kind]} {name!r} (it is called {entry.name!r} here)"
        return unknown(KINDS[kind], name, self[kind])

    @classmethod
    def read_source(cls, plugins: Iterable[Path] = ()) -> Catalogue:
        """gancore's components and those of plug-in files.

        Raises:
            SyntaxError: A plug-in is not Python.
        """
        return cls([*_own(), *(entry for file in plugins for entry in _entries(file))])

    @classmethod
    def read(cls, plugins: Iterable[Path] = ()) -> Catalogue:
        """The same with what else this process has registered.

        Raises:
            SyntaxError: A plug-in is not Python.
        """
        catalogue = cls.read_source(plugins)
        for entry in _registered():
            catalogue[entry.kind].setdefault(entry.name, entry)
        return catalogue


@cache
def _own() -> tuple[Entry, ...]:
    """gancore's components, read once a process: a worker asks for every trial."""
    here = Path(__file__).parent
    files = [file for name in _FOLDERS for file in sorted((here / name).glob("*.py"))]
    return tuple(entry for file in files for entry in _entries(file))


def _registered() -> Iterator[Entry]:
    """The components of this process's tables; none where PyTorch has not been loaded."""
    kinds = {word: kind for kind, word in KINDS.items()}
    for table in LIVE:
        for name in table.names() if table.kind in kinds else ():
            doc = " ".join((table.get(name).__doc__ or "").split("\n\n")[0].split())
            options, facts = table.options(name), table.facts(name)
            yield Entry(kinds[table.kind], name, options, facts, doc, REGISTERED)


def _entries(file: Path) -> Iterator[Entry]:
    tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
    for node in tree.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            match decorator:
                # `@losses.register("hinge")` or `@gancore.losses.register("hinge")`
                case ast.Call(
                    func=ast.Attribute(
                        value=ast.Name(id=kind) | ast.Attribute(attr=kind), attr="register"
                    ),
                    args=[ast.Constant(value=str(name))],
                ) if kind in KINDS:
                    yield _entry(kind, name, node, f"{file.name}:{node.lineno}")


def _entry(kind: str, name: str, node: ast.ClassDef | ast.FunctionDef, origin: str) -> Entry:
    doc = ast.get_docstring(node) or ""
    helps = argument_help(doc)
    options, facts = {}, {}
    for key, annotation, default in _parameters(node):
        options[key] = Option.of(
            key, _annotation(annotation), _literal(default), helps.get(key, "")
        )
    if isinstance(node, ast.ClassDef):
        for item in node.body:
            match item:
                case ast.AnnAssign(
                    target=ast.Name(id=key),
                    annotation=ast.Subscript(value=ast.Name(id="ClassVar")),
                    value=ast.expr() as value,
                ):
                    facts[key] = _literal(value)
    summary = " ".join(doc.split("\n\n")[0].split())
    return Entry(kind, name, options, facts, summary, origin)


def _parameters(
    node: ast.ClassDef | ast.FunctionDef,
) -> Iterator[tuple[str, ast.expr | None, ast.expr | None]]:
    """Keyword-only parameters of a function or `__init__`, or else the fields of a dataclass."""
    function: ast.FunctionDef | None = node if isinstance(node, ast.FunctionDef) else None
    if isinstance(node, ast.ClassDef):
        functions = (item for item in node.body if isinstance(item, ast.FunctionDef))
        function = next((f for f in functions if f.name == "__init__"), None)
        if function is None:
            for item in node.body:
                match item:
                    case ast.AnnAssign(annotation=ast.Subscript(value=ast.Name(id="ClassVar"))):
                        continue
                    case ast.AnnAssign(target=ast.Name(id=key)):
                        yield key, item.annotation, item.value
            return
    if function is not None:
        arguments = function.args
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
            yield argument.arg, argument.annotation, default


def _annotation(node: ast.expr | None) -> Any:
    """The annotation itself, for the forms that an option may have."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            builtin = {"float": float, "int": int, "bool": bool, "str": str}.get(name)
            return builtin or getattr(schema, name, object)
        case ast.Constant(value=None):
            return None
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _annotation(left) | _annotation(right)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=ast.Tuple(elts=values)):
            return Literal[tuple(_literal(v) for v in values)]
        case ast.Subscript(value=ast.Name(id="Literal"), slice=value):
            return Literal[_literal(value)]
    return object


def _literal(node: ast.expr | None) -> Any:
    if node is None:
        return MISSING
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)


def argument_help(doc: str) -> dict[str, str]:
    """The `Args:` section of a docstring: name to sentence."""
    section = re.search(r"^Args:\n((?:[ ]+.*\n?|\n)*)", doc, re.MULTILINE)
    helps: dict[str, str] = {}
    name = ""
    for line in (section.group(1) if section else "").splitlines():
        if found := re.match(r"^ {4}(\w+): (.*)", line):
            name = found.group(1)
            helps[name] = found.group(2)
        elif name and line.strip():
            helps[name] += " " + line.strip()
    return helps
