"""A sweep in a bucket outlives its driver, its machines and its network, and nothing is lost."""

from __future__ import annotations

import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import buckets
import pytest

import faults
from sweeps import bucket, tracking
from sweeps.bucket import access, client, lease
from sweeps.bucket.client import Bucket
from sweeps.errors import EnvironmentTrouble
from sweeps.results import Results

# MLflow 3.17 asks SQLAlchemy 2.1 for what that will drop; nothing of ours can help it.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")

CHANGES: dict[str, Any] = {
    "search": {"trials_each": 2},
    "schedule": {"variant": "promotion", "grace": 1, "eta": 2},
    "confirm": {"top": 1, "seeds": 1},
    "epochs": 3,
    "resources": {"concurrent": 1},
}
REQUESTS = ("put", "get", "head", "entries", "delete")
STEP = 53
"""Of so many requests one is struck by the quick test; the slow one strikes at each."""


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[buckets.Server]:
    with buckets.served() as server:
        yield server


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return faults.scripted(tmp_path_factory.mktemp("file"), None, **CHANGES)


@pytest.fixture(scope="module")
def undisturbed(file: Path) -> Path:
    place = faults.planned(file)
    faults.play(place)
    return place


def storage_on(machine: Path, name: str) -> Path:
    """The folder that stands for a storage on a machine, as a process there finds it."""
    access.of.cache_clear()
    access.bucket_of.cache_clear()
    with patch.dict("os.environ", GANSWEEP_CACHE=str(machine)):
        return bucket.folder_of(f"s3://{buckets.NAME}/{name}")


def play_on(machine: Path, name: str, *, again: bool = False) -> Results:
    """Plays the sweep there to its end.

    Args:
        again: After this process has played dead, which its lease cannot know.
    """
    with (
        patch.dict("os.environ", GANSWEEP_CACHE=str(machine)),
        patch.object(lease, "STALE_SECONDS", -1 if again else lease.STALE_SECONDS),
    ):
        place = storage_on(machine, name) / "scripted"
        bucket.of(place).pull()
        return faults.play(place)


class Striker:
    """Ends the process at the n-th request: before the server has heard of it, or just after."""

    def __init__(self, at: int, *, after: bool) -> None:
        self.left, self.after = at, after

    def __call__(self, real: Any) -> Any:
        def ask(*given: Any, **named: Any) -> Any:
            self.left -= 1
            if self.left == 0 and not self.after:
                raise Killed
            answer = real(*given, **named)
            if self.left == 0:
                raise Killed
            return answer

        return ask

    def patched(self) -> Any:
        changed = {name: self(getattr(Bucket, name)) for name in REQUESTS}
        return patch.multiple(Bucket, **changed)


def assert_all_there(
    tmp_path: Path, name: str, undisturbed: Path, store: str | None = None
) -> None:
    """What the bucket has is the whole sweep, as if nothing had happened; MLflow has it too."""
    place = buckets.downloaded(f"s3://{buckets.NAME}/{name}/scripted", tmp_path / "there")
    faults.assert_sound(place, undisturbed, store=store)


def test_a_sweep_in_a_bucket_is_the_one_in_a_folder(
    file: Path, tmp_path: Path, undisturbed: Path
) -> None:
    faults.planned(file, storage_on(tmp_path / "one", "plain"))
    play_on(tmp_path / "one", "plain")
    assert_all_there(tmp_path, "plain", undisturbed)


def killed_at(request: int, *, after: bool, file: Path, tmp_path: Path, undisturbed: Path) -> bool:
    """A sweep whose only machine is gone at a request, for good, and goes on elsewhere; whether it
    made so many.
    """
    name = f"killed-{request}-{after}"
    faults.planned(file, storage_on(tmp_path / "one", name))
    striker = Striker(request, after=after)
    with striker.patched(), suppress(Killed):
        play_on(tmp_path / "one", name)
    play_on(tmp_path / "two", name, again=True)
    assert_all_there(tmp_path, name, undisturbed)
    return striker.left <= 0


def test_killed_at_some_requests_it_goes_on_on_another_machine(
    file: Path, tmp_path: Path, undisturbed: Path
) -> None:
    request = STEP
    while killed_at(
        request,
        after=bool(request % 2),
        file=file,
        tmp_path=tmp_path / str(request),
        undisturbed=undisturbed,
    ):
        request += STEP
    assert request > 100  # It did make requests.


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True])
def test_killed_at_every_request_it_goes_on_on_another_machine(
    file: Path, tmp_path: Path, undisturbed: Path, *, after: bool
) -> None:
    request = 1
    while killed_at(
        request,
        after=after,
        file=file,
        tmp_path=tmp_path / str(request),
        undisturbed=undisturbed,
    ):
        request += 1


def test_a_bucket_that_is_away_for_a_while_is_waited_for(
    file: Path, tmp_path: Path, undisturbed: Path, server: buckets.Server
) -> None:
    faults.planned(file, storage_on(tmp_path / "one", "away"))
    asked: list[float] = []
    real = Bucket.put

    def put(*given: Any, **named: Any) -> str:
        asked.append(time.monotonic())
        if len(asked) == 20:
            server.stop()
            threading.Timer(1.0, server.start_again).start()
        return real(*given, **named)

    with patch.object(Bucket, "put", put):
        play_on(tmp_path / "one", "away")
    assert len(asked) > 40
    assert_all_there(tmp_path, "away", undisturbed)


def test_a_bucket_that_stays_away_ends_the_trial_and_not_what_it_did(
    file: Path,
    tmp_path: Path,
    undisturbed: Path,
    server: buckets.Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    faults.planned(file, storage_on(tmp_path / "one", "gone"))
    monkeypatch.setattr(client, "PATIENCE_SECONDS", 0.0)
    count = 0
    real = Bucket.put

    def put(*given: Any, **named: Any) -> str:
        nonlocal count
        count += 1
        if count == 20:
            server.stop()
        return real(*given, **named)

    with patch.object(Bucket, "put", put), pytest.raises(EnvironmentTrouble, match="not answer"):
        play_on(tmp_path / "one", "gone")
    server.start_again()
    play_on(tmp_path / "one", "gone", again=True)
    assert_all_there(tmp_path, "gone", undisturbed)


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "sweeps.cli", *map(str, words)]


@pytest.mark.slow
def test_killed_as_a_user_runs_it_and_resumed_on_another_machine(
    file: Path, tmp_path: Path, undisturbed: Path, server: buckets.Server
) -> None:
    """Real processes; the first machine's disk is never seen again."""
    storage = f"s3://{buckets.NAME}/cli"
    places = [storage_on(tmp_path / cache, "cli") / "scripted" for cache in ("one", "two")]
    own = [
        {**server.environment, "GANSWEEP_CACHE": str(tmp_path / cache)} for cache in ("one", "two")
    ]
    words = command("run", file, "--storage", storage)
    with faults.started(words, home=tmp_path / "a", place=places[0], environment=own[0]) as first:
        first.wait_until(lambda results: results.epochs_done >= 4)
        first.signal(signal.SIGKILL)
    shutil.rmtree(tmp_path / "one")
    words = command("resume", "scripted", "--trust", "--storage", storage)
    with faults.started(words, home=tmp_path / "b", place=places[1], environment=own[1]) as second:
        second.assert_told(0)
        second.assert_nothing_left(but=faults.commands.AGENTS)
    assert_all_there(tmp_path, "cli", undisturbed, tracking.default_uri(places[1].parent))


def trains(results: Results) -> list[int]:
    """The processes that have reported of a trial that has not ended, and that live."""
    pids = [int(r.starts[-1]["pid"]) for r in results.trials.values() if r.starts and not r.ended]
    return [pid for pid in pids if faults.commands.parent(pid)]


@pytest.mark.slow
def test_nodes_that_share_nothing_but_a_bucket(tmp_path: Path, server: buckets.Server) -> None:
    """Head and two raylets with disks of their own; the driver is killed, and then a node."""
    storage = f"s3://{buckets.NAME}/nodes"
    file = faults.scripted(tmp_path / "file", None, **{**CHANGES, "resources": {}})
    place = storage_on(tmp_path / "driver", "nodes") / "scripted"
    machines = [
        faults.Node(
            environment={**server.environment, "GANSWEEP_CACHE": str(tmp_path / f"node{number}")}
        )
        for number in range(2)
    ]
    with faults.nodes(machines) as cluster:
        own = {**cluster.environment, **server.environment}
        own["GANSWEEP_CACHE"] = str(tmp_path / "driver")
        for name in ("HOME", "PYTHONPATH"):
            own.pop(name, None)
        where = ("--storage", storage, "--address", cluster.address)
        words = command("run", file, *where)
        with faults.started(words, home=tmp_path / "a", place=place, environment=own) as first:
            first.wait_until(lambda results: results.epochs_done >= 3)
            first.signal(signal.SIGKILL)
            first.process.wait()
        words = command("resume", "scripted", "--trust", *where)
        with faults.started(words, home=tmp_path / "b", place=place, environment=own) as second:
            running = second.wait_until(trains)
            cluster.kill_under(trains(running)[0])
            second.assert_told(0)
    found = buckets.downloaded(f"{storage}/scripted", tmp_path / "there")
    faults.assert_sound(found, store=tracking.default_uri(place.parent))
    assert not list((tmp_path / "driver").glob("buckets/*/trials/scripted"))
    assert len(list(tmp_path.glob("node*/buckets/*/trials/scripted"))) == 2
