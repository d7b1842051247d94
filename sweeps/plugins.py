"""Finds the user's own modules and their files without running them, and imports them."""

from __future__ import annotations

import ast
import importlib
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, PathFinder
from importlib.machinery import SourceFileLoader as Loader
from pathlib import Path
from types import CodeType

from gancore.catalogue import KINDS, Catalogue
from gancore.schema import Refused


def find(module: str, folder: Path) -> list[Path]:
    """The source files of a module, or all of a package: in `folder`, here, or on Python's path.

    Raises:
        Refused: There is no such module, or it is not Python source.
    """
    _spec(module, folder)  # `package.module` must exist, though the whole package is read
    root = root_of(module, folder)
    files = sorted(root.rglob("*.py")) if root.is_dir() else [root]
    for file in files:
        try:
            ast.parse(file.read_bytes(), filename=file.name)
        except (SyntaxError, ValueError) as error:
            line = f" on line {error.lineno}" if isinstance(error, SyntaxError) else ""
            raise Refused(
                f"{file.name} is not Python{line}: {getattr(error, 'msg', error)}"
            ) from None
    return files


def root_of(module: str, folder: Path) -> Path:
    """What must be copied for a module to be importable: its file, or its package's folder."""
    origin = Path(_spec(module.partition(".")[0], folder).origin or "")
    return origin.parent if origin.name == "__init__.py" else origin


def taken(own: Catalogue, merged: Catalogue) -> Iterator[str]:
    """What plug-ins name that gancore has named already: importing them would fail."""
    for kind, word in KINDS.items():
        for name, entry in own[kind].items():
            if entry.origin != merged[kind][name].origin:
                yield f"{merged[kind][name].origin} names a {word} {name!r}, which gancore has"


def run(modules: Sequence[str], folder: Path) -> None:
    """Imports modules, so that what they register is known in this process.

    From their folder nothing is read but sources: byte code that lies there may be of anything.

    Args:
        folder: Where they are looked for first: the sweep's own copy, or beside the sweep file.
    """
    if modules and str(folder) not in sys.path:
        sys.path_hooks.insert(0, _finder_below(folder))
        sys.path_importer_cache.pop(str(folder), None)
        sys.path.insert(0, str(folder))
    for name in modules:
        importlib.import_module(name)


class _FromSource(Loader):
    """Compiles a module each time, and neither reads nor writes byte code."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _finder_below(folder: Path) -> Callable[[str], FileFinder]:
    def finder(path: str) -> FileFinder:
        if not Path(path).is_relative_to(folder):
            raise ImportError
        return FileFinder(path, (_FromSource, SOURCE_SUFFIXES))

    return finder


def _spec(module: str, folder: Path) -> ModuleSpec:
    # `importlib.util.find_spec` would import the parents of a dotted name; this runs nothing.
    importlib.invalidate_caches()
    search: Sequence[str] | None = [str(folder), str(Path.cwd()), *sys.path]
    spec: ModuleSpec | None = None
    name = ""
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        spec = PathFinder.find_spec(name, search) if search is not None else None
        if spec is None:
            raise Refused(f"no module {module!r} in {folder}, the current folder, or Python's path")
        search = spec.submodule_search_locations
    if spec is None or not (spec.origin or "").endswith(".py"):
        raise Refused(f"{module!r} is not a module of Python source")
    return spec


def copy(roots: Iterable[Path], place: Path) -> None:
    """The user's modules travel with the sweep: every worker, and every later day, sees them."""
    for path in roots:
        target = place / "plugins" / path.name
        if target.exists():
            continue  # Of a sweep that is extended.
        target.parent.mkdir(exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(path, target)
