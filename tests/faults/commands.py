"""The command line as a child in a session of its own, with an environment of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from sweeps.results import Results

ROOT = Path(__file__).parents[2]
MARK = "GANSWEEP_FAULTS_MARK"
AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")
"""Of Ray's processes, those that live on for a minute when the driver is killed (Ray 2.60)."""

KEPT = ("PATH", "GANSWEEP_CACHE", "TMPDIR", "RAY_TMPDIR")


class Cli:
    """A running `gansweep`.

    Args:
        place: The folder of the sweep that it runs.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], mark: str, home: Path, place: Path
    ) -> None:
        self.process = process
        self.place = place
        self._mark = f"{MARK}={mark}".encode()
        self._home = home
        self._seen: dict[int, str] = {}
        self._result: tuple[str, str] | None = None

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_until(self, predicate: Callable[[Results], object], seconds: float = 120) -> Results:
        """Waits until something holds of the sweep's results.

        Raises:
            AssertionError: The process ended before, or it took too long; with what it said.
        """
        until = time.monotonic() + seconds
        while True:
            self._note()
            ended = self.process.poll() is not None
            if (self.place / "plan.json").is_file() and predicate(results := self.results):
                return results
            if ended or time.monotonic() > until:
                why = "it has ended" if ended else f"{seconds:g} s are over"
                out, err = self.end(0) if ended else ("", "")
                raise AssertionError(f"{why}, and that does not hold\n{out}\n{err}")
            time.sleep(0.05)

    @property
    def results(self) -> Results:
        return Results.read(self.place)

    @property
    def code(self) -> int | None:
        return self.process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the driver alone."""
        self._note()
        self.process.send_signal(number)

    def kill_worker(self, uid: str) -> int:
        """SIGKILL to the process that the trial's newest attempt says it runs in."""
        pid = int(self.results.trials[uid].starts[-1]["pid"])
        self._note()
        os.kill(pid, signal.SIGKILL)
        return pid

    def uploader(self) -> int | None:
        """The pid of the process that tells MLflow, or None."""
        for pid in self._own():
            words = _read(pid, "cmdline").split(b"\0")
            if b"sweeps.tracking" in words and str(self.place).encode() in words:
                return pid
        return None

    def end(self, seconds: float = 120) -> tuple[str, str]:
        """Waits for its end; what it said on stdout and on stderr."""
        if self._result is None:
            until = time.monotonic() + seconds
            while self.process.poll() is None and time.monotonic() < until:
                self._note()
                time.sleep(0.1)
            try:
                self.process.wait(0.1)
            except subprocess.TimeoutExpired:
                raise AssertionError(f"still running after {seconds:g} s") from None
            said = (self._home / "stdout", self._home / "stderr")
            self._result = (said[0].read_text(), said[1].read_text())
        return self._result

    def assert_told(self, code: int, seconds: float = 120) -> None:
        """I8: it ends with this exit code, and with no traceback."""
        out, err = self.end(seconds)
        assert self.code == code, f"exit code {self.code}, not {code}\n{out}\n{err}"
        assert "Traceback" not in err, err

    def left(self) -> dict[int, str]:
        """The processes that it started, or that those started, and that still live."""
        self._note()
        return {pid: _words(pid) for pid in self._own()}

    def assert_nothing_left(self, seconds: float = 10, but: tuple[str, ...] = ()) -> None:
        """No process of it is left, at the latest after so long.

        Args:
            but: How the command lines begin of those that may stay, such as `AGENTS`.
        """
        until = time.monotonic() + seconds
        while True:
            left = {pid: words for pid, words in self.left().items() if not words.startswith(but)}
            if not left or time.monotonic() > until:
                break
            time.sleep(0.1)
        assert not left, f"still there after {seconds:g} s: {left}"

    def clear(self) -> None:
        """Ends what is left of it, each by its pid."""
        for pid in self._own():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()

    def _own(self) -> list[int]:
        """Its process and all that come from it, those included that have left its session."""
        own = set()
        for pid, born in _processes().items():
            marked = self._mark in _read(pid, "environ").split(b"\0")
            if marked or pid == self.pid or self._seen.get(pid) == born:
                own.add(pid)
        return sorted(own)

    def _note(self) -> None:
        """Remembers its descendants now: some overwrite the environment that marks them."""
        parents = {pid: parent(pid) for pid in _processes()}
        now = {self.pid, *self._own()}
        grown = True
        while grown:
            more = {pid for pid, parent in parents.items() if parent in now} - now
            now |= more
            grown = bool(more)
        born = _processes()
        self._seen |= {pid: born[pid] for pid in now if pid in born}


@contextmanager
def cli(
    *words: str | Path,
    home: Path,
    storage: Path,
    name: str = "scripted",
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[Cli]:
    """`gansweep WORDS --storage STORAGE` as a child; what is left of it at the end is killed.

    Args:
        home: Becomes its HOME, and holds what it says; a folder of this child alone.
        name: Of the sweep that `wait_until` looks at.
        environment: Beside PATH and the caches.
        cwd: None takes `home`.
    """
    command = [sys.executable, "-m", "sweeps.cli", *map(str, words), "--storage", str(storage)]
    with started(command, home=home, place=storage / name, environment=environment, cwd=cwd) as it:
        yield it


@contextmanager
def started(
    command: Sequence[str],
    *,
    home: Path,
    place: Path,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[Cli]:
    """Any command as such a child: see `cli`."""
    home.mkdir(parents=True, exist_ok=True)
    mark = uuid.uuid4().hex
    own = {key: os.environ[key] for key in KEPT if key in os.environ}
    own |= {"HOME": str(home), "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", MARK: mark}
    own |= {"OMP_NUM_THREADS": "1", **(environment or {})}
    with (home / "stdout").open("w") as out, (home / "stderr").open("w") as err:
        process = subprocess.Popen(
            command,
            env=own,
            cwd=cwd or home,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    running = Cli(process, mark, home, place)
    try:
        yield running
    finally:
        running.clear()


def _processes() -> dict[int, str]:
    """Every process that is not a zombie, with the time at which it was born."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _fields(int(entry.name))) and fields[0] not in "ZX":
            found[int(entry.name)] = fields[19]
    return found


def parent(pid: int) -> int:
    """The process that started another; 0 of one that is gone."""
    fields = _fields(pid)
    return int(fields[1]) if fields else 0


def _fields(pid: int) -> list[str]:
    """The fields of `/proc/PID/stat` after the name: state, parent, ..., start time."""
    return _read(pid, "stat").decode(errors="replace").rpartition(")")[2].split()


def _read(pid: int, file: str) -> bytes:
    try:
        return (Path("/proc") / str(pid) / file).read_bytes()
    except OSError:
        return b""


def _words(pid: int) -> str:
    return _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace")[:120]
