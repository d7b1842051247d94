"""This machine's copy of a sweep whose files lie in a bucket.

The bucket has what counts; the copy is there so that all other code can read and write files. What
is small is fetched when somebody begins to look (`pull`), journals whenever he looks again, piece
by piece; checkpoints and pictures when they are asked for (`here`). What is written here is sent at
once: journals record by record (`pieces`), a trial's folder when something in it has changed
(`mirror`).
"""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gancore.files import is_locked, is_temporary, looks, write_atomically, write_json
from sweeps.bucket.client import Bucket, Conflict, Entry
from sweeps.bucket.lease import LEASE, Lease
from sweeps.bucket.pieces import Pieces, Written, all_lines
from sweeps.bucket.plain import Folder
from sweeps.errors import EnvironmentTrouble

PLAN = "plan.json"
JOURNAL = "journal/"
SEALED = "sealed/"
LOCK = "lock"
DRIVER = "journal/_driver.jsonl"
KNOWN = "copy.json"
"""In a copy: the ETags of what it was made of, and the bytes of journals."""

KEEP_SECONDS = 1.0
_HEAVY = (".pt", ".pt2", ".png")
_TRIALS = "trials/"


class Copy(Folder):
    """See the module.

    Args:
        place: The sweep's folder here.
    """

    look_seconds = 1.0

    def __init__(self, bucket: Bucket, place: Path) -> None:
        self.place = place
        self._bucket = bucket
        self._prefix = f"{place.name}/"
        self._known: dict[str, str] = {}
        self._read: dict[str, tuple[str, int]] = {}
        self._sent: dict[str, tuple[int, int, int]] = {}
        self._lease = Lease(bucket, f"{self._prefix}{LEASE}")
        self._lock = threading.RLock()
        self._mine = False
        self._taken: Path | None = None
        with suppress(OSError, ValueError, TypeError, KeyError):
            said = json.loads((place / KNOWN).read_text(encoding="utf-8"))
            self._known = dict(said["files"])
            self._read = {name: (str(tag), int(size)) for name, (tag, size) in said["journals"]}

    def pull(self, *, whole: bool = True) -> None:
        if not self._mine and is_locked(self.place / LOCK):
            return  # Who runs the sweep on this machine keeps its copy up to date.
        with self._lock:
            there: dict[str, Entry] = {}
            for below in ("",) if whole else (PLAN, "plugins/", DRIVER):
                there |= self._list(below)
            if PLAN not in there:
                shutil.rmtree(self.place, ignore_errors=True)
                self._known, self._read = {}, {}
                return
            self._take_journals(there)
            small = [name for name in there if not name.startswith((JOURNAL, SEALED))]
            small = [name for name in small if not _heavy(name)]
            # That there is a sweep is seen last, when all of it is there.
            self._take(sorted(small, key=lambda name: name == PLAN), there)
            if whole:
                self._drop_unlisted("", there)
            journals = list(self._read.items())
            write_json(self.place / KNOWN, {"files": self._known, "journals": journals})

    def pull_journals(self, only: str | None = None) -> None:
        with self._lock:
            self._take_journals(self._list(f"{JOURNAL}{only}.jsonl" if only else JOURNAL))

    def here(self, path: Path) -> Path:
        name = self._name(path)
        with self._lock:
            found = self._bucket.head(self._prefix + name)
            there = {name: found[0]} if found else {}
            self._take(list(there), there)
            self._drop_unlisted(name, there)
        return path

    def fetch(self, folder: Path) -> Path:
        below = f"{self._name(folder)}/"
        with self._lock:
            there = self._list(below)
            self._take(list(there), there)
            self._drop_unlisted(below, there)
        return folder

    def take(self, folder: Path) -> Path:
        with self._lock:
            # Of a trial that was told to stop nobody else takes leave.
            for left in {folder, self._taken or folder}:
                self.drop(left)
            self._taken = folder
            there = self._list(f"{self._name(folder)}/")
            self._take([name for name in there if not name.endswith(".png")], there)
        return folder

    def push(self, *paths: Path) -> None:
        with self._lock:
            for file in [file for path in paths for file in _files(path)]:
                self._send(file)

    def create(self, path: Path) -> bool:
        name = self._name(path)
        try:
            self._known[name] = self._bucket.put(self._prefix + name, path.read_bytes(), over=None)
        except Conflict:
            self.here(path)
            return False
        return True

    def publish(self, draft: Path) -> bool:
        files = [file for file in _files(draft) if file != draft / LOCK]
        files.sort(key=lambda file: file == draft / PLAN)
        with self._lock:
            for file in files:
                key = self._prefix + file.relative_to(draft).as_posix()
                over = None if file == draft / PLAN else "*"
                try:
                    self._bucket.put(key, file.read_bytes(), over=over)
                except Conflict:
                    return False
        return True

    def mirror(self, folder: Path) -> None:
        with self._lock:
            files = {self._name(file): file for file in _files(folder)}
            # What says that something is there comes after it, and goes before it.
            for name in sorted(files, key=lambda name: (name.endswith(".json"), name)):
                self._send(files[name])
            self._delete(name for name in self._below(folder) if name not in files)

    def drop(self, folder: Path) -> None:
        with self._lock:
            shutil.rmtree(folder, ignore_errors=True)
            for name in self._below(folder):
                self._forget(name)

    def forget(self, folder: Path) -> None:
        with self._lock:
            gone = self._list(f"{self._name(folder)}/")
            self._delete(gone)

    def pieces(self, writer: str) -> Pieces:
        name = f"{JOURNAL}{writer}.jsonl"
        return Pieces(self._bucket, self._prefix + name, self._sealed(name))

    def is_held(self) -> bool:
        return self._lease.is_alive()

    @contextmanager
    def held(self) -> Iterator[None]:
        with self._lease.taken():
            self._mine = True
            over = threading.Event()
            keeper = threading.Thread(target=self._keep, args=(over,), daemon=True, name="bucket")
            try:
                self.pull()
                keeper.start()
                yield
            finally:
                over.set()
                if keeper.ident:
                    keeper.join(KEEP_SECONDS)
                self._mine = False

    def _keep(self, over: threading.Event) -> None:
        """Keeps the lease, as long as the sweep runs from here."""
        while not over.wait(KEEP_SECONDS):
            with suppress(EnvironmentTrouble):  # Who writes there finds out too, and says so.
                self._lease.renew()

    def _take_journals(self, there: dict[str, Entry]) -> None:
        """Brings journals up to date."""
        written_here = self._mine or is_locked(self.place / LOCK)
        for name in [name for name in there if name.startswith(JOURNAL)]:
            file = self.place / name
            size = file.stat().st_size if file.is_file() else 0
            etag, known = self._read.get(name, ("", 0))
            if (etag, known) == (there[name].etag, size) or (written_here and name == DRIVER):
                continue
            if found := self._bucket.get(self._prefix + name):
                # What was read is what it begins with: a journal only grows.
                old = file.read_bytes() if size and size == known else b""
                content = all_lines(self._bucket, Written.of(found[0]), self._sealed(name), old)
                write_atomically(file, content)
                self._read[name] = (found[1], len(content))

    def _sealed(self, name: str) -> str:
        return f"{self._prefix}{SEALED}{Path(name).stem}/"

    def _take(self, names: list[str], there: dict[str, Entry]) -> None:
        """Fetches those of some files that are not here as they are there."""
        wanted = [name for name in names if not self._has(name, there[name])]
        for start in range(0, len(wanted), 64):  # Checkpoints are large.
            part = wanted[start : start + 64]
            found = self._bucket.get_all([self._prefix + name for name in part])
            for name, content in zip(part, found, strict=True):
                if content is not None:
                    write_atomically(self.place / name, content[0])
                    self._known[name] = content[1]

    def _has(self, name: str, entry: Entry) -> bool:
        file = self.place / name
        if self._known.get(name) != entry.etag:
            return False
        return file.is_file() and file.stat().st_size == entry.size

    def _send(self, file: Path) -> None:
        name, now = self._name(file), looks(file)
        if self._sent.get(name) == now:
            return
        content = file.read_bytes()
        if self._known.get(name) != _etag(content):
            self._known[name] = self._bucket.put(self._prefix + name, content)
        self._sent[name] = now

    def _delete(self, names: Iterable[str]) -> None:
        gone = sorted(names, key=lambda name: (not name.endswith(".json"), name))
        self._bucket.delete(self._prefix + name for name in gone)
        for name in gone:
            self._forget(name)

    def _drop_unlisted(self, below: str, there: dict[str, Entry]) -> None:
        """Deletes here what came from the bucket, and is not there any more."""
        for name in [n for n in self._known if n.startswith(below) and n not in there]:
            (self.place / name).unlink(missing_ok=True)
            self._forget(name)

    def _forget(self, name: str) -> None:
        self._known.pop(name, None)
        self._sent.pop(name, None)

    def _below(self, folder: Path) -> list[str]:
        return [name for name in self._known if name.startswith(f"{self._name(folder)}/")]

    def _list(self, below: str) -> dict[str, Entry]:
        """What lies below, by name; of the lease nothing is kept here."""
        found = self._bucket.entries(self._prefix + below)
        named = {key.removeprefix(self._prefix): entry for key, entry in found.items()}
        named.pop(LEASE, None)
        return {name: entry for name, entry in named.items() if _is_inside(name)}

    def _name(self, path: Path) -> str:
        return path.relative_to(self.place).as_posix()


def _files(path: Path) -> list[Path]:
    """A file, or the files in a folder; none where there is nothing."""
    if path.is_file():
        return [path]
    found = (file for file in path.rglob("*") if file.is_file())
    return sorted(f for f in found if not is_temporary(f.name) and "__pycache__" not in f.parts)


def _is_inside(name: str) -> bool:
    """Whether a name leads to a file in the copy: whoever may write to the bucket chose it."""
    return all(part not in ("", ".", "..") for part in name.split("/"))


def _heavy(name: str) -> bool:
    """Whether a file is fetched only when it is asked for."""
    return name.startswith(_TRIALS) and name.endswith(_HEAVY)


def _etag(content: bytes) -> str:
    """As S3 makes it, but of what is encrypted with a key of one's own: that is sent once more."""
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
