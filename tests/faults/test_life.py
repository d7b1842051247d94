"""What a driver checks before it trains, how failures are told, odd surroundings; without Ray."""

from __future__ import annotations

import errno
import hashlib
import inspect
import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from played_sweep import SWEEP, place_of

from sweeps import (
    Options,
    SweepSpec,
    cluster,
    handshake,
    make_plan,
    preflight,
    run,
)
from sweeps.errors import EnvironmentTrouble, UserError
from sweeps.failures import (
    NODE_LOST,
    environment_trouble,
    is_infrastructure,
    reason_of,
    reason_of_death,
)
from sweeps.leaving import resume_command
from sweeps.plan import Plan
from sweeps.results import Results, TrialResult
from sweeps.settings import Resources
from sweeps.trial import run_trial

SIGKILLED = (
    "The actor died unexpectedly before finishing this task.\n\tpid: 71\nThe actor is dead because "
    "its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: Worker "
    "unexpectedly exits with a connection error code 2. End of file. Some common causes include: "
    "(1) the process was killed by the OOM killer due to high memory usage, (2) ...\n"
)
NODE_DIED = (
    "The actor died unexpectedly before finishing this task.\n"
    "The actor died because its node has died. Node Id: 7f1b0a2e00c0\n"
)


class TestStart:
    def test_a_storage_that_takes_no_files_is_told_before_anything_starts(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("in the way")
        for storage in (tmp_path / "file", tmp_path / "file" / "runs", Path("/proc/gansweep")):
            with pytest.raises(EnvironmentTrouble, match=f"storage {storage} cannot be written"):
                run(SWEEP, Options(storage=storage))

        def no_space(*_arguments: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with patch("os.fsync", no_space), pytest.raises(EnvironmentTrouble, match="No space left"):
            run(SWEEP, Options(storage=tmp_path / "full"))
        assert list((tmp_path / "full").iterdir()) == []

    @pytest.mark.parametrize(
        ("resources", "words"),
        [
            ({"cpu": 100_000}, r"resources\.cpu: a trial asks for 100000 and this machine has \d"),
            ({"gpu": 64}, r"resources\.gpu: a trial asks for 64 and this machine has \d"),
            ({"memory_gb": 1e6}, r"resources\.memory_gb: a trial asks for 1e\+06 and this mach"),
        ],
    )
    def test_more_than_this_machine_has_leaves_no_trace(
        self, tmp_path: Path, resources: dict[str, float], words: str
    ) -> None:
        with pytest.raises(UserError, match=words):
            run({**SWEEP, "resources": resources}, Options(storage=tmp_path))
        assert not (tmp_path / "scripted").exists()

    def test_a_trial_must_fit_one_node_and_not_all_of_them_together(self) -> None:
        small = {"CPU": 4.0, "memory": 8e9}
        gpu = {"CPU": 8.0, "GPU": 1.0, "memory": 8e9}
        many = {"CPU": 16.0, "memory": 8e9}
        cluster.refuse_misfit(Resources(cpu=8, gpu=1), [small, gpu], "the largest node")
        for asked, words in (
            (Resources(cpu=9), r"resources\.cpu: .* asks for 9 and the largest node has 8"),
            (Resources(gpu=2), r"resources\.gpu: .* asks for 2 and the largest node has 1"),
            (Resources(memory_gb=16), r"memory_gb: .* asks for 16 and the largest node has 8"),
            (Resources(cpu=16, gpu=1), r"no node has all of cpu 16, gpu 1;"),
        ):
            nodes = [small, gpu, many] if asked.cpu == 16 else [small, gpu]
            with pytest.raises(UserError, match=words):
                cluster.refuse_misfit(asked, nodes, "the largest node")

    @pytest.mark.parametrize("made", [False, True])
    def test_pictures_that_are_not_there_are_told_as_typed_by_run_and_plan(
        self, tmp_path: Path, made: bool
    ) -> None:
        folder = tmp_path / "my pictures"
        if made:
            (folder / "deep").mkdir(parents=True)
            (folder / "deep" / "notes.txt").write_text("no picture")
        words = "has no pictures" if made else f"there is no folder '{folder}'"
        data = {"name": "folder", "path": str(folder), "resolution": 8}
        objective = {"samples": 64, "features": "inception"}
        spec = {**SWEEP, "base": {**SWEEP["base"], "data": data}, "objective": objective}
        with pytest.raises(UserError, match=f"data.path: .*{words}"):
            run(spec, Options(storage=tmp_path / "runs"))
        assert not (tmp_path / "runs" / "scripted").exists()
        file = tmp_path / "q.yaml"
        file.write_text(SweepSpec.of(spec).text)
        done = gansweep("plan", str(file))
        assert done.returncode == 2
        assert "trials in 2 arms" in done.stdout
        assert words in done.stderr
        assert "Traceback" not in done.stderr
        (folder / "deep").mkdir(parents=True, exist_ok=True)
        (folder / "deep" / "one.PNG").write_bytes(b"")
        assert preflight.troubles(make_plan(SweepSpec.of(spec))) == []

    def test_weights_that_are_missing_or_others_are_told_with_place_and_hash(
        self, tmp_path: Path
    ) -> None:
        file = tmp_path / "weights.pth"
        objective = {"samples": 500, "features": "inception", "inception_weights": str(file)}
        spec = {**SWEEP, "objective": objective}
        with pytest.raises(EnvironmentTrouble, match=f"there is no file '{file}'"):
            run(spec, Options(storage=tmp_path / "runs"))
        file.write_bytes(b"others")
        digest = hashlib.sha256(b"others").hexdigest()[:8]
        with pytest.raises(EnvironmentTrouble, match=f"sha256 begins {digest}, theirs 6726825d"):
            run(spec, Options(storage=tmp_path / "runs"))
        assert not (tmp_path / "runs" / "scripted").exists()

    def test_checks_at_the_start_import_nothing_heavy(self, tmp_path: Path) -> None:
        code = (
            "import sys; from pathlib import Path\n"
            "from sweeps import SweepSpec, preflight\n"
            "from sweeps.sweep import run, Options\n"
            "try: run(Path(sys.argv[1]), Options(storage=Path('/proc/none')))\n"
            "except Exception as error: print(error)\n"
            "print({'ray', 'torch', 'mlflow'} & {*sys.modules})"
        )
        file = tmp_path / "q.yaml"
        file.write_text(SweepSpec.of(SWEEP).text)
        done = subprocess.run(
            [sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True
        )
        assert "cannot be written" in done.stdout
        assert done.stdout.endswith("set()\n")


class TestHandshake:
    def test_a_node_that_does_not_see_the_sweep_is_named(self, tmp_path: Path) -> None:
        why = handshake.refusal(tmp_path, handshake.versions())
        assert why.startswith(f"node {os.uname().nodename} does not see {tmp_path}")
        assert handshake.refusal(place_of(tmp_path), handshake.versions()) == ""

    @pytest.mark.parametrize(
        ("name", "theirs", "fits"),
        [
            ("python", "3.9", False),
            ("torch", "1.0", False),
            ("torch", f"{handshake.versions()['torch'].partition('+')[0]}+cu999", True),
            ("gansweep", "0.0.1+abc", False),
            ("gansweep", handshake.versions()["gansweep"].partition("+")[0], True),
            ("gansweep", f"{handshake.versions()['gansweep'].partition('+')[0]}+0000", False),
        ],
    )
    def test_other_versions_are_refused_with_both(
        self, tmp_path: Path, name: str, theirs: str, fits: bool
    ) -> None:
        here = {**handshake.versions(), "gansweep": "0.2.0+abc1234"}
        theirs = theirs.replace(handshake.versions()["gansweep"].partition("+")[0], "0.2.0")
        place = place_of(tmp_path)
        with patch("sweeps.handshake.versions", lambda: here):
            why = handshake.refusal(place, {**here, name: theirs})
        assert (why == "") == fits
        if not fits:
            assert f"{name} {here[name]} (the driver has {theirs})" in why


class TestReasons:
    def test_out_of_memory_names_the_batch_whoever_noticed(self) -> None:
        import torch

        told = reason_of(torch.OutOfMemoryError("Tried to allocate 2.00 GiB"), 64)
        assert told.startswith("out of memory (oom), batch 64: use a smaller batch or model (Tried")
        assert "(oom), batch 8" in reason_of(MemoryError(), 8)
        told = reason_of_death("OutOfMemoryError: Task was killed due to ...", 32)
        assert told.startswith("out of memory of its node (oom), batch 32: ")
        told = reason_of_death(SIGKILLED, 16)
        assert told.endswith("the kernel kills so what takes too much memory, batch 16")
        assert reason_of(ValueError("planted\nmore")) == "ValueError: planted"
        assert reason_of_death("") == "the worker died"

    def test_a_node_is_no_trials_fault(self) -> None:
        from ray.exceptions import ActorUnavailableError, RayActorError

        assert is_infrastructure(RayActorError(error_msg=NODE_DIED))
        assert is_infrastructure(ActorUnavailableError("rpc failed", None))
        assert not is_infrastructure(RayActorError(error_msg=SIGKILLED))

    def test_what_tune_does_with_a_workers_end_is_what_we_want(self) -> None:
        """Rests on private names of Ray: at an upgrade this test says whether they still hold."""
        from ray.air.execution._internal.actor_manager import RayActorManager
        from ray.exceptions import OutOfMemoryError, RayActorError
        from ray.tune.experiment import Trial

        seen: list[Any] = []

        def note(_self: object, **named: Any) -> None:
            seen.append(named["exception"])

        with patch.object(RayActorManager, "_actor_task_failed", note):
            cluster.survive_out_of_memory()
            manager: Any = RayActorManager.__new__(RayActorManager)
            for error in (
                OutOfMemoryError("low on memory"),
                RayActorError(error_msg=NODE_DIED),
                RayActorError(error_msg=SIGKILLED),
                RayActorError(error_msg="died unexpectedly", preempted=True),  # A drained node's.
            ):
                manager._actor_task_failed(tracked_actor_task=None, exception=error)
        assert [type(e) for e in seen] == [RayActorError] * 4
        assert "OutOfMemoryError: low on memory" in str(seen[0])
        assert [e.preempted for e in seen] == [False, True, False, True]
        assert [reason_of_death(str(e)) == NODE_LOST for e in seen] == [False, True, False, True]
        trial: Any = Trial("__fake", stub=True, max_failures=1)
        with patch.object(Trial, "local_path", None):
            trial.handle_error(seen[1])
            assert trial.num_failures == 0
            trial.handle_error(seen[2])
        assert trial.num_failures == 1
        assert trial.should_recover()

    def test_rays_last_words_can_be_kept_from_the_screen(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Rests on a private name of Ray: at an upgrade this test says whether it still holds."""
        from ray._private import worker

        assert "print_to_stdstream(" in inspect.getsource(worker.listen_error_messages)
        with patch.object(worker, "print_to_stdstream", print):
            cluster._hush()
            told = {"lines": ["a page"], "pid": "raylet", "is_err": False}
            worker.print_to_stdstream(told, ignore_prefix=False)
        assert capsys.readouterr() == ("", "")

    def test_every_trouble_of_the_environment_is_one_line_with_the_command_that_goes_on(
        self, tmp_path: Path
    ) -> None:
        from ray.exceptions import RaySystemError

        place = tmp_path / "my runs" / "q"
        for error in (
            OSError(errno.ESTALE, "Stale file handle", "/mnt/x"),
            ConnectionRefusedError("no"),
            RaySystemError("gone\nTraceback"),
            EnvironmentTrouble("no pictures"),
        ):
            told = environment_trouble(error, place)
            assert told is not None
            assert told.exit_code == 5
            assert "\n" not in str(told)
            assert str(told).endswith(f"gansweep resume '{place}'`")
        assert environment_trouble(KeyError("ours"), place) is None
        assert resume_command(Path.cwd() / "runs" / "q") == "gansweep resume q"


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.lists(
            st.sampled_from([math.nan, math.inf, -math.inf, 1.0, 2.0, 3.0]), min_size=0, max_size=3
        ),
        min_size=1,
        max_size=6,
    ),
    st.randoms(use_true_random=False),
    st.sampled_from(["min", "max"]),
)
def test_the_best_is_the_best_in_whatever_order_trials_stand(
    curves: list[list[float]], chance: Any, goal: str
) -> None:
    plan = make_plan(SweepSpec.of(SWEEP))

    def result(curve: list[float]) -> TrialResult:
        found = TrialResult(plan.trials[0], "fid", goal)
        for epoch, value in enumerate(curve, 1):
            found.add({"kind": "epoch", "epoch": epoch, "time_ms": 0, "values": {"fid": value}})
        return found

    results = [result(curve) for curve in curves]
    finite = [v for curve in curves for v in curve if math.isfinite(v)]
    chance.shuffle(results)
    ranked = sorted(results, key=lambda r: r.rank_key)
    expected = (min if goal == "min" else max)(finite, default=None)
    assert ranked[0].best == expected
    with_score = [r.best is not None for r in ranked]
    assert with_score == sorted(with_score, reverse=True)


def gansweep(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sweeps.cli", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


class TestOddSurroundings:
    @pytest.mark.parametrize(
        "environment",
        [
            {"HOME": ""},
            {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"},
            {"COLUMNS": "20"},
            {"TERM": "dumb", "COLUMNS": "1"},
        ],
        ids=str,
    )
    def test_output_is_plain_and_no_traceback(
        self, tmp_path: Path, environment: dict[str, str]
    ) -> None:
        place = place_of(tmp_path)
        for words in (("plan", str(place / "sweep.yaml")), ("list", "--storage", str(tmp_path))):
            done = gansweep(*words, **environment)
            assert done.returncode == 0, done.stderr
            assert done.stderr == ""
            assert "\x1b" not in done.stdout

    @pytest.mark.parametrize("redirection", [">/dev/full", ">&-", "| true"])
    def test_output_that_nobody_takes_is_no_traceback(
        self, tmp_path: Path, redirection: str
    ) -> None:
        place_of(tmp_path)
        command = f"{sys.executable} -m sweeps.cli list --storage {tmp_path} {redirection}"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr
        if redirection == ">/dev/full":
            assert done.returncode == 5
            assert done.stderr.strip() == "error: [Errno 28] No space left on device"


def test_a_plan_from_before_the_timeout_is_read(tmp_path: Path) -> None:
    place = place_of(tmp_path)
    file = place / "plan.json"
    plan = json.loads(file.read_text())
    assert plan["resources"].pop("trial_timeout") is None
    del plan["format"], plan["sha256"]  # It is from before these too.
    file.write_text(json.dumps(plan))
    assert Plan.read(place).resources.trial_timeout is None


class TestOneTrial:
    def test_too_large_a_batch_fails_its_trial_alone(self, tmp_path: Path) -> None:
        place = place_of(tmp_path)
        trial = Plan.read(place).trials[0]
        large = replace(trial, config={**trial.config, "batch": 1501})
        plan = replace(Plan.read(place), trials=(large,))
        (said,) = run_trial(place, plan, trial.uid, device="cpu")
        assert (said.ended, said.unable) == (True, "")
        result = Results.read(place).trials[trial.uid]
        assert result.state == "failed"
        assert "fewer than" in result.reason
        assert "1501" in result.reason

    def test_a_metric_that_breaks_fails_its_trial_alone(self, tmp_path: Path) -> None:
        place = place_of(tmp_path)
        plan = Plan.read(place)
        uid = plan.trials[0].uid
        with patch("gancore.metrics.frechet.frechet_distance", side_effect=ValueError("planted")):
            (said,) = run_trial(place, plan, uid, device="cpu")
        assert (said.ended, said.unable) == (True, "")
        result = Results.read(place).trials[uid]
        assert (result.state, result.reason) == ("failed", "ValueError: planted")
        assert "Traceback" in (place / "trials" / uid / "error.txt").read_text()
