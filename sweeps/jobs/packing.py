"""What travels with a sweep to a cluster: its file, what that names, and this very code.

A job's working directory is made of exactly what the sweep needs:

    start.sh            finds the Python that Ray runs there, and hands over to the command line
    requirements.txt    what that Python must have
    gancore/, sweeps/   this package as it is here
    given/              the sweep file, its plug-ins and recorded curves, lying as they do here

The package always travels, whether or not the cluster has one: it is a megabyte, which Ray keeps by
its hash, and what was tried here is what runs there, on every node, with nothing to install after
an edit. Since no git is there, `sweeps/code_version.txt` says which version it is. PyTorch, Ray and
the other dependencies are the cluster's own. Pictures and results never travel: they lie where all
nodes see them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

from sweeps import folder
from sweeps.errors import UserError
from sweeps.jobs.needs import REQUIREMENTS
from sweeps.plan import Plan
from sweeps.preflight import FOLDERS
from sweeps.spec import SweepSpec, plugin_files
from sweeps.version import PACKED, code_version

MOST_BYTES = 100_000_000
"""Ray takes five times as much, and would have it copied to every node."""

START = "start.sh"
GIVEN = Path("given")
PACKAGES = ("gancore", "sweeps")

_JUNK = ("__pycache__", "runs", "mlruns", "venv")


@dataclass(frozen=True)
class Pack:
    """A job's working directory, before it is written.

    Args:
        files: What each file is made of, by its path in there.
        sweep: The sweep file's path in there.
    """

    files: Mapping[Path, Path | bytes]
    sweep: Path

    def write(self, target: Path) -> None:
        """Makes the working directory in an empty folder."""
        for path, content in self.files.items():
            file = target / path
            file.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                file.write_bytes(content)
            else:
                shutil.copyfile(content, file)

    @property
    def size(self) -> int:
        """In bytes, before Ray compresses it."""
        return sum(map(_size, self.files.values()))


def pack(file: Path, spec: SweepSpec, plan: Plan, storage: str) -> Pack:
    """Gathers what a sweep needs elsewhere.

    Args:
        file: The sweep file.
        storage: Of the sweeps there; what lies below it need not travel.

    Raises:
        UserError: It names files that would not be found there, or too much would travel.
    """
    if unknown := list(_relative(plan)):
        raise UserError("\n".join(unknown))
    here = Path(os.path.abspath(file.parent))
    curves = _curves(spec, here, storage)
    root = Path(os.path.commonpath([here, curves])) if curves else here
    home = GIVEN / here.relative_to(root)
    files: dict[Path, Path | bytes] = dict(_package())
    files[home / file.name] = spec.text.encode()
    for plugin in spec.plugin_roots():
        files.update(_tree(plugin, home / plugin.name))
        # What counts as its source is part of what the sweep is, wherever it lies.
        own = [source for source in plugin_files(spec) if source.is_relative_to(plugin)]
        files.update({home / plugin.name / it.relative_to(plugin): it for it in own})
    if curves:
        files.update(_tree(curves, GIVEN / curves.relative_to(root)))
    found = Pack(files, home / file.name)
    _refuse_large(found)
    return found


def _package() -> Iterator[tuple[Path, Path | bytes]]:
    own = Path(__file__).resolve().parents[2]
    for name in PACKAGES:
        yield from _tree(own / name, Path(name))
    yield Path(PACKAGES[-1], PACKED), code_version().encode()
    yield Path(START), Path(__file__).with_name(START)
    yield Path(REQUIREMENTS), "\n".join(_requirements()).encode()


def _requirements() -> Iterator[str]:
    """What this package needs to run; nothing is known of one that was never installed."""
    with suppress(PackageNotFoundError):
        yield from requires("gansweep") or ()


def _tree(source: Path, target: Path) -> Iterator[tuple[Path, Path]]:
    """The files of a folder, or a single one, without what is hidden or can be made again.

    Of a sweep only what it says of its curves.
    """
    if source.is_file():
        yield target, source
        return
    parts = [source / "plan.json", source / "journal"] if folder.is_sweep(source) else None
    for path in parts or sorted(source.iterdir()):
        if path.is_dir() and not _junk(path):
            yield from _tree(path, target / path.name)
        elif path.is_file() and not path.name.startswith(".") and path.suffix != ".pyc":
            yield target / path.name, path


def _junk(path: Path) -> bool:
    """Whether a folder is nobody's source: a cache, results, a virtual environment, or hidden."""
    hidden = path.name.startswith(".")
    return hidden or path.name in _JUNK or (path / "pyvenv.cfg").exists() or path.is_symlink()


def _curves(spec: SweepSpec, here: Path, storage: str) -> Path | None:
    """The recorded curves that must travel.

    Raises:
        UserError: They are named by a path that only this machine knows.
    """
    named = spec.schedule.calibrate
    if named is None or Path(named).is_relative_to(storage):
        return None
    if Path(named).is_absolute():
        raise UserError(
            f"schedule.calibrate: {named!r} is a path of this machine: name it from the sweep "
            f"file's folder, and it travels with the job, or put it below {storage}"
        )
    return Path(os.path.normpath(here / named))


def _relative(plan: Plan) -> Iterator[str]:
    """What trials would look for in a folder that is not this one."""
    named: list[tuple[str, str, str]] = [("data", option, "data") for option in (*FOLDERS, "root")]
    named.append(("evaluation", "inception_weights", "objective"))
    for section, option, key in named:
        values: set[Any] = {(t.config.get(section) or {}).get(option) for t in plan.trials}
        for value in sorted(v for v in values if isinstance(v, str)):
            if not os.path.isabs(value) and not value.startswith("~"):
                yield (
                    f"{key}.{option}: {value!r} is a path from this folder, and pictures do not "
                    "travel with a job: give the whole path by which every node sees it"
                )


def _refuse_large(found: Pack) -> None:
    if found.size <= MOST_BYTES:
        return
    path, content = max(found.files.items(), key=lambda item: _size(item[1]))
    name = content if isinstance(content, Path) else path
    raise UserError(
        f"{name} has {_size(content) / 1e6:.0f} MB, and a job carries at most "
        f"{MOST_BYTES / 1e6:.0f} in all: code travels, data lie where every node sees them"
    )


def _size(content: Path | bytes) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size
