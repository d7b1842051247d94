"""Whole sweeps through Ray, small: bad trials, broken trials, plug-ins, interruption."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from sweeps import Options, journal, resume, run
from sweeps.errors import Busy, EnvironmentTrouble, Unwritable, UserError
from sweeps.results import Results

BASE: dict[str, Any] = {
    "data": "digits",
    "model": {"name": "mlp", "width": 16},
    "latent": 8,
    "batch": 128,
    "epochs": 3,
}


def sweep(**changes: Any) -> dict[str, Any]:
    return {
        "name": "small",
        "base": BASE,
        "scientific": {"loss.name": ["nonsaturating", "hinge"]},
        "nuisance": {"generator.lr": {"log_uniform": [1e-4, 1e-3]}},
        "search": {"trials_each": 2},
        "objective": {"samples": 64},
        **changes,
    }


@pytest.fixture(scope="module")
def ray_session(cache: Path) -> Any:  # noqa: ARG001
    """One local cluster for all sweeps of this module; a sweep joins what is there."""
    import ray

    from sweeps.cluster import connected

    with connected(None, verbose=False):
        yield ray


@pytest.mark.usefixtures("ray_session")
class TestThroughRay:
    def test_a_diverging_trial_ends_at_its_first_evaluation_and_disturbs_nobody(
        self, tmp_path: Path
    ) -> None:
        spec = sweep(
            base={**BASE, "epochs": 4, "generator": {"lr": 1e-3}},
            scientific={"discriminator.lr": [1e-3, 10.0]},
            nuisance={"generator.beta1": [0.5]},
        )
        results = run(spec, Options(storage=tmp_path))
        assert results.state == "finished"
        assert results.exit_code == 0
        bad = [r for r in results.trials.values() if r.trial.varied["discriminator.lr"] == 10]
        assert [(r.state, r.verdict, r.epoch) for r in bad] == [("diverged", "diverged", 1)] * 2
        good = [r for r in results.trials.values() if r not in bad]
        assert all(r.verdict == "healthy" for r in good)
        assert results.leaderboard[0][1][0].best is not None

    @pytest.mark.slow
    @pytest.mark.parametrize("method", ["sobol", "tpe"])
    def test_what_waited_is_promoted_and_the_best_confirmed(
        self, tmp_path: Path, method: str
    ) -> None:
        spec = sweep(
            search={"method": method, "trials_each": 4},
            schedule={"variant": "promotion", "grace": 1, "eta": 2},
            confirm={"top": 1, "seeds": 2},
        )
        results = run(spec, Options(storage=tmp_path))
        assert (results.state, results.exit_code) == ("finished", 0)
        for trials in results.of_phase("explore").values():
            # Two of four pass rung 1, one of the two passes rung 2.
            assert sorted(r.epoch for r in trials) == [1, 1, 2, 3]
            assert sorted(r.state for r in trials) == ["completed", *["stopped"] * 3]
        again = results.of_phase("confirm")
        assert {arm: [r.epoch for r in rs] for arm, rs in again.items()} == {
            "nonsaturating": [3, 3],
            "hinge": [3, 3],
        }
        # Whoever waited went on where it was: no epoch was trained twice.
        promoted = next(r for rs in results.of_phase("explore").values() for r in rs if r.epoch > 1)
        assert [p.epoch for p in promoted.points] == [*range(1, promoted.epoch + 1)]
        assert (results.folder / "report" / "index.html").is_file()
        assert Results.read(results.folder).confirmed == results.confirmed

    @pytest.mark.slow
    def test_a_full_disk_ends_the_sweep_and_no_trial(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is full for a trial, then for the driver, then it is not."""
        (tmp_path / "full").touch()
        (tmp_path / "my_disk.py").write_text(
            "import errno, os\n"
            "from dataclasses import dataclass\n"
            "from gancore.losses import losses\n"
            "@losses.register('on_disk')\n"
            "@dataclass(frozen=True, kw_only=True)\n"
            "class OnDisk:\n"
            "    '''Needs the disk.'''\n"
            "    def discriminator(self, real, fake):\n"
            f"        if os.path.exists({str(tmp_path / 'full')!r}):\n"
            "            raise OSError(errno.ENOSPC, 'No space left on device')\n"
            "        return (fake - real).tanh()\n"
            "    def generator(self, _real, fake):\n"
            "        return -fake.tanh()\n"
        )
        file = tmp_path / "mine.yaml"
        one = {"scientific": {"loss.name": ["on_disk"]}, "search": {"trials_each": 1}}
        content = sweep(plugins=["my_disk"], **one)
        file.write_text(yaml.safe_dump(content))
        with pytest.raises(EnvironmentTrouble, match="no space is left on") as told:
            run(file, Options(storage=tmp_path / "runs"))
        assert told.value.exit_code == 5
        place = tmp_path / "runs" / "small"
        assert not any(r.ended for r in Results.read(place).trials.values())

        (tmp_path / "full").unlink()
        with monkeypatch.context() as patched:

            def full(*_: Any, **__: Any) -> Any:
                raise Unwritable("no space is left on /mnt")

            patched.setattr("sweeps.dispatch.Dispatcher.judge", full)
            with pytest.raises(Unwritable, match="no space is left on /mnt"):
                resume(place)

        results = resume(place)
        assert (results.state, results.exit_code) == ("finished", 0)
        for result in results.trials.values():
            assert [p.epoch for p in result.points] == [1, 2, 3]

    def test_a_plugin_beside_the_file_is_usable_on_every_worker(self, tmp_path: Path) -> None:
        (tmp_path / "my_losses.py").write_text(
            "from dataclasses import dataclass\n"
            "from gancore.losses import losses\n"
            "from gancore.schema import Positive\n"
            "@losses.register('scaled')\n"
            "@dataclass(frozen=True, kw_only=True)\n"
            "class Scaled:\n"
            "    '''Hinge without the hinge, scaled.'''\n"
            "    scale: Positive = 1.0\n"
            "    def discriminator(self, real, fake):\n"
            "        return self.scale * (fake - real).tanh()\n"
            "    def generator(self, _real, fake):\n"
            "        return -self.scale * fake.tanh()\n"
        )
        file = tmp_path / "mine.yaml"
        spec = sweep(
            plugins=["my_losses"],
            scientific={"loss.name": ["scaled", "hinge"]},
            nuisance={"loss.scale": {"uniform": [0.5, 2], "when": {"loss.name": "scaled"}}},
        )
        file.write_text(yaml.safe_dump({k: v for k, v in spec.items() if k != "name"}))
        results = run(file, Options(storage=tmp_path / "runs"))
        assert [r.state for r in results.trials.values()].count("failed") == 0
        assert {r.trial.arm for r in results.trials.values() if r.best} == {"scaled", "hinge"}
        # The module travels with the sweep, so that it can be resumed without the original.
        assert (tmp_path / "runs" / "mine" / "plugins" / "my_losses.py").is_file()

    def test_a_trial_that_breaks_fails_alone_with_its_reason(self, tmp_path: Path) -> None:
        (tmp_path / "broken.py").write_text(
            "from dataclasses import dataclass\n"
            "from gancore.losses import losses\n"
            "@losses.register('broken')\n"
            "@dataclass(frozen=True, kw_only=True)\n"
            "class Broken:\n"
            "    '''Raises.'''\n"
            "    def discriminator(self, real, fake):\n"
            "        raise ValueError('planted')\n"
        )
        file = tmp_path / "breaks.yaml"
        spec = sweep(plugins=["broken"], scientific={"loss.name": ["broken", "hinge"]})
        file.write_text(yaml.safe_dump({k: v for k, v in spec.items() if k != "name"}))
        results = run(file, Options(storage=tmp_path / "runs"))
        assert results.exit_code == 4
        failed = [r for r in results.trials.values() if r.state == "failed"]
        assert {r.trial.arm for r in failed} == {"broken"}
        assert all(r.reason == "ValueError: planted" for r in failed)
        error = results.folder / "trials" / failed[0].trial.uid / "error.txt"
        assert "Traceback" in error.read_text()

    def test_a_second_sweep_of_the_name_is_refused_and_nothing_is_touched(
        self, tmp_path: Path
    ) -> None:
        spec = sweep(search={"trials_each": 1}, schedule="none")
        results = run(spec, Options(storage=tmp_path))
        before = (results.folder / "plan.json").stat().st_mtime_ns
        with pytest.raises(Busy, match="resume small"):
            run(spec, Options(storage=tmp_path))
        assert (results.folder / "plan.json").stat().st_mtime_ns == before
        again = resume(results.folder)
        assert again.state == "finished"
        assert again.epochs_done == again.epochs_planned == 6

    def test_pictures_that_are_not_here_end_the_sweep_in_one_line(self, tmp_path: Path) -> None:
        """Every trial would fail alike: the first to notice speaks for all, and none is spent.

        What can be seen from outside is seen before: these are none only for who reads them.
        """
        spec = sweep(base={**BASE, "data": {"name": "folder", "path": str(tmp_path / "empty")}})
        (tmp_path / "empty").mkdir()
        for name in ("one", "two", "three", "four"):
            (tmp_path / "empty" / f"{name}.png").write_bytes(b"no picture")
        spec["base"]["data"]["resolution"] = 8
        spec["objective"] = {"samples": 64, "features": "inception"}
        with pytest.raises(EnvironmentTrouble, match="cannot be used") as caught:
            run(spec, Options(storage=tmp_path))
        assert "\n" not in str(caught.value)
        results = Results.read(tmp_path / "small")
        assert {r.state for r in results.trials.values()} == {"waiting"}

    def test_more_than_the_machine_has_is_refused_at_once(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"resources\.gpu: a trial asks for 64"):
            run(sweep(resources={"gpu": 64}), Options(storage=tmp_path))


def test_killed_and_resumed_it_ends_as_if_nothing_had_happened(tmp_path: Path, cache: Path) -> None:
    # A population: its trials wait for one another and take each other's state over.
    spec = sweep(
        base={**BASE, "epochs": 4},
        search={"method": "pbt", "trials_each": 2},
        schedule={"grace": 2, "eta": 2},
    )
    file = tmp_path / "q.yaml"
    file.write_text(yaml.safe_dump({k: v for k, v in spec.items() if k != "name"}))
    environment = {**os.environ, "GANSWEEP_CACHE": str(cache)}

    def command(storage: str, *words: str) -> list[str]:
        return [sys.executable, "-m", "sweeps.cli", *words, "--storage", str(tmp_path / storage)]

    subprocess.run(
        command("calm", "run", str(file)),
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=300,
    )
    process = subprocess.Popen(
        command("killed", "run", str(file)),
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    place = tmp_path / "killed" / "q"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if place.exists() and len(journal.writers(place)) > 1 and Results.read(place).epochs_done:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert Results.read(place).epochs_done < 16
    done = subprocess.run(
        command("killed", "resume", "q"),
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr

    calm, killed = Results.read(tmp_path / "calm" / "q"), Results.read(place)
    assert sorted(calm.trials) == sorted(killed.trials)
    assert sum(r.trial.begins > 0 for r in calm.trials.values()) == 2
    for uid, result in calm.trials.items():
        curve, other = result.points, killed.trials[uid]
        assert other.trial == result.trial
        assert [p.epoch for p in other.points] == [p.epoch for p in curve]
        assert [p.values["fid64"] for p in other.points] == [p.values["fid64"] for p in curve]
        assert other.state == result.state in ("completed", "stopped")
