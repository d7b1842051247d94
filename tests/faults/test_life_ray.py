"""What goes wrong in a sweep that runs through Ray; one session for all but the driver's death."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

import faults
from faults import act
from faults.short_trials import sweep_file
from sweeps import Options, handshake, resume, run, tracking
from sweeps.dispatch import Dispatcher
from sweeps.errors import EnvironmentTrouble
from sweeps.failures import FailedAlike
from sweeps.leaving import GCS_PATIENCE
from sweeps.results import Results

# MLflow 3.17 asks SQLAlchemy 2.1 for what that will drop; nothing of ours can help it.
pytestmark = [
    pytest.mark.slow,  # Each starts a sweep through Ray.
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
]


@pytest.fixture(scope="module")
def ray_session(cache: Path) -> Iterator[Any]:  # noqa: ARG001
    import ray

    from sweeps.cluster import connected

    with connected(None, verbose=False):
        yield ray


@pytest.mark.usefixtures("ray_session")
class TestThroughRay:
    def test_a_trial_that_hangs_is_killed_and_its_place_is_free_again(self, tmp_path: Path) -> None:
        script = {"0:2": f"mark-and-hang {tmp_path / 'hangs'}"}
        resources = {"trial_timeout": 60, "concurrent": 1}
        file = sweep_file(tmp_path / "hang", script, resources=resources)

        def clock() -> float:
            return 3601.0 if (tmp_path / "hangs").exists() else 0.0

        with patch("sweeps.sweep.Dispatcher", partial(Dispatcher, clock=clock)):
            results = run(file, Options(storage=tmp_path / "runs"))
        hung, other = results.trials.values()
        assert (hung.state, hung.epoch, other.state) == ("failed", 1, "completed")
        assert hung.reason.startswith("hung: no report for 60 minutes")
        assert len(hung.starts) == 1
        assert results.exit_code == 4
        with pytest.raises(ProcessLookupError):
            os.kill(int(hung.starts[0]["pid"]), 0)

    def test_a_trial_that_dies_for_good_says_why_and_what_it_printed_is_capped(
        self, tmp_path: Path, ray_session: Any
    ) -> None:
        script = {"0:1": "say 40", "0:2": "kill", "1:2": "oom"}
        file = sweep_file(tmp_path / "dies", script, resources={"retries": 0})
        results = run(file, Options(storage=tmp_path / "runs"))
        killed, greedy = results.trials.values()
        assert (killed.state, killed.epoch, len(killed.starts)) == ("failed", 1, 1)
        assert "killed or crashed without a word" in killed.reason
        assert (greedy.state, greedy.epoch, len(greedy.starts)) == ("failed", 1, 1)
        assert greedy.reason.startswith("out of memory (oom), batch 64: use a smaller batch")
        assert results.exit_code == 4
        logs = Path(ray_session._private.worker._global_node.get_logs_dir_path())
        printed = [f.stat().st_size for f in logs.glob("worker-*.out*")]
        assert max(printed) > 1 << 20, "it printed 40 MiB"
        assert sum(printed) <= (2 * 16 << 20) + (1 << 20)

    def test_all_that_fail_alike_end_the_sweep_early(self, tmp_path: Path) -> None:
        file = sweep_file(tmp_path / "alike", {"*:1": "raise planted"}, search={"trials_each": 20})
        with pytest.raises(FailedAlike, match="ValueError: planted"):
            run(file, Options(storage=tmp_path / "runs"))
        results = Results.read(tmp_path / "runs" / "alike")
        states = [r.state for r in results.trials.values()]
        assert 3 <= states.count("failed") <= 13
        assert states.count("waiting") + states.count("interrupted") >= 27

    @pytest.mark.slow
    def test_a_disk_that_is_full_for_the_driver_ends_in_order_and_is_resumed(
        self, tmp_path: Path
    ) -> None:
        file = sweep_file(tmp_path / "full", {})
        judge = Dispatcher.judge

        def full(self: Dispatcher, uid: str, epoch: int, *rest: Any, **named: Any) -> Any:
            if epoch == 2:
                raise OSError(errno.ENOSPC, "No space left on device", "journal/_driver.jsonl")
            return judge(self, uid, epoch, *rest, **named)

        with (
            patch.object(Dispatcher, "judge", full),
            pytest.raises(
                EnvironmentTrouble, match=r"No space left .* go on with `gansweep resume"
            ),
        ):
            run(file, Options(storage=tmp_path / "runs"))
        place = tmp_path / "runs" / "full"
        assert Results.read(place).state == "interrupted"
        results = resume(place)
        assert (results.state, results.exit_code) == ("finished", 0)
        assert [[p.epoch for p in r.points] for r in results.trials.values()] == [[1, 2, 3]] * 2

    def test_a_node_of_another_version_is_refused_before_it_trains(self, tmp_path: Path) -> None:
        file = sweep_file(tmp_path / "unlike", {})
        theirs = {**handshake.versions(), "torch": "1.0"}
        with (
            patch("sweeps.handshake.versions", lambda: theirs),
            pytest.raises(EnvironmentTrouble, match=r"has torch .* \(the driver has 1.0\)"),
        ):
            run(file, Options(storage=tmp_path / "runs"))
        results = Results.read(tmp_path / "runs" / "unlike")
        assert {(r.state, len(r.starts)) for r in results.trials.values()} == {("waiting", 0)}


class Child:
    """`gansweep run` in a session of its own, with MLflow away; its processes bear a mark."""

    def __init__(self, folder: Path, cache: Path, **environment: str) -> None:
        base = {"data": "digits", "model": "mlp", "latent": 8, "epochs": 99}
        file = sweep_file(folder / "q", {"*:*": "sleep 0.5"}, base=base)
        self.place = folder / "runs" / "q"
        self._mark = f"GANSWEEP_CHILD={folder}".encode()
        words = ["run", str(file), "--storage", str(folder / "runs")]
        with (folder / "stderr").open("w") as err:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "sweeps.cli",
                    *words,
                    "--tracking-uri",
                    "http://127.0.0.1:9",
                ],
                env={
                    **os.environ,
                    "GANSWEEP_CACHE": str(cache),
                    "GANSWEEP_CHILD": str(folder),
                    **environment,
                },
                stdout=subprocess.DEVNULL,
                stderr=err,
                start_new_session=True,
                # A shell that runs the tests in its background has it ignored.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        self._err = folder / "stderr"

    def trains(self) -> None:
        while self.process.poll() is None:
            if (self.place / "plan.json").is_file() and Results.read(self.place).epochs_done > 1:
                return
            time.sleep(0.1)
        raise AssertionError(self._err.read_text())

    def ended(self) -> tuple[int, str]:
        try:
            return self.process.wait(120), self._err.read_text()
        finally:
            for pid in self.left():
                os.kill(pid, signal.SIGKILL)

    def left(self, words: bytes = b"") -> list[int]:
        """The processes that come from it and live, the uploader aside."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                mine = self._mark in (entry / "environ").read_bytes().split(b"\0")
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if mine and words in command and b"sweeps.tracking" not in command:
                found.append(int(entry.name))
        return found


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=str)
def test_a_signal_ends_a_sweep_in_order(tmp_path: Path, cache: Path, number: int) -> None:
    child = Child(tmp_path, cache)
    child.trains()
    child.process.send_signal(number)
    code, err = child.ended()
    assert code == 128 + number, err
    assert "Traceback" not in err
    results = Results.read(child.place)
    assert (results.state, results.exit_code) == ("interrupted", 128 + number)
    for result in results.trials.values():
        assert [p.epoch for p in result.points] == list(range(1, result.epoch + 1))
        newest = child.place / "trials" / result.trial.uid / "checkpoints"
        assert (newest / f"epoch-{result.epoch:04d}.json").is_file()


@pytest.mark.slow
def test_a_second_ctrl_c_leaves_at_once_and_leaves_nothing_behind(
    tmp_path: Path, cache: Path
) -> None:
    child = Child(tmp_path, cache)
    child.trains()
    child.process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    child.process.send_signal(signal.SIGINT)
    assert child.process.wait(60) == 130
    until = time.monotonic() + 60
    while child.left() and time.monotonic() < until:
        time.sleep(0.1)
    words = [Path(f"/proc/{pid}/cmdline").read_bytes()[:200] for pid in child.left()]
    assert words == []
    assert f"go on with: gansweep resume {child.place}" in child.ended()[1]
    assert Results.read(child.place).state == "interrupted"


@pytest.mark.slow
def test_a_head_that_dies_is_told_with_the_command_that_goes_on(
    tmp_path: Path, cache: Path
) -> None:
    child = Child(tmp_path, cache, **{GCS_PATIENCE: "9"})
    child.trains()
    (head,) = child.left(b"gcs_server")
    os.kill(head, signal.SIGKILL)
    code, err = child.ended()
    assert code == 5, err
    assert f"the cluster's head is lost; go on with: gansweep resume {child.place}" in err
    assert Results.read(child.place).state == "interrupted"


@pytest.mark.slow
def test_a_trial_that_failed_is_tried_again_when_asked(tmp_path: Path) -> None:
    sweep = {"resources": {"retries": 0}}
    file = faults.scripted(tmp_path / "again", {(0, 3): act.fail("ValueError", "planted")}, **sweep)
    calm = faults.planned(faults.scripted(tmp_path / "calm", **sweep))
    faults.play(calm)
    storage, home = tmp_path / "runs", tmp_path / "home"
    with faults.cli("run", file, home=home, storage=storage) as command:
        command.assert_told(4)
    words = ("resume", file.stem, "--retry-failed")
    with faults.cli(*words, home=home, storage=storage) as command:
        command.assert_told(0)
    failed = Results.read(storage / file.stem).trials["000-hinge"]
    assert [start["from_epoch"] for start in failed.starts] == [0, 2]
    but = (faults.invariants.nothing_after_the_end,)  # A failure was its end, and was taken back.
    unsound = faults.unsound(
        storage / file.stem, calm, store=tracking.default_uri(storage), but=but
    )
    assert unsound == {}
