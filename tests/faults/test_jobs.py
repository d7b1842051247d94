"""Sweeps as jobs of a cluster: what travels, who is let in, and a laptop that is closed (bar 1)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from commanded import gansweep
from scripted_sweep import script_sweep
from written_sweep import client_at, runs_of

import faults
from faults import act
from faults.commands import ROOT
from faults.job_head import Head, job_head
from faults.job_server import Server, listed
from sweeps import door, journal, make_plan, tracking
from sweeps.asking import load_spec
from sweeps.jobs import needs, packing
from sweeps.jobs.submitting import _next_id, prepared
from sweeps.results import Results
from sweeps.tracking import process
from sweeps.version import code_version

PLUGIN = '''
from dataclasses import dataclass
from gancore.losses import losses
import torch.nn.functional as F


@losses.register("logistic")
@dataclass(frozen=True, kw_only=True)
class Logistic:
    """Where it comes from."""

    def discriminator(self, real, fake):
        return F.softplus(-real) + F.softplus(fake)

    def generator(self, _real, fake):
        return F.softplus(-fake)
'''


def sweep_file(folder: Path, more: str = "", data: str = "digits") -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / "my q.yaml"
    file.write_text(f"""
name: question
base: {{data: {data}, model: mlp, epochs: 9}}
scientific:
  loss.name: [hinge, minimax]
search: {{trials_each: 2}}
objective: {{samples: 64}}
{more}
""")
    return file


def packed(file: Path, target: Path, storage: str = "/shared/runs") -> Path:
    """A sweep file where a job would find it."""
    spec = load_spec(file)
    found = packing.pack(file, spec, make_plan(spec), storage)
    target.mkdir()
    found.write(target)
    return target / found.sweep


def test_a_pack_is_the_code_and_the_sweep_and_knows_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "code_version", lambda: "9.8+1a2b3c4-dirty")
    file = sweep_file(tmp_path / "here")
    (tmp_path / "here" / "data.npz").write_bytes(b"0" * 1000)
    made = packed(file, tmp_path / "job")
    assert make_plan(load_spec(made)).digest == make_plan(load_spec(file)).digest
    top = {path.name for path in (tmp_path / "job").iterdir()}
    assert top == {"gancore", "sweeps", "given", "start.sh", "requirements.txt"}
    assert [p.name for p in (tmp_path / "job" / "given").iterdir()] == [file.name]
    assert not list((tmp_path / "job").rglob("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-c", "import sweeps.version as v; print(v.__file__, v.code_version())"],
        env={"PATH": ""},  # No git.
        cwd=tmp_path / "job",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [str(tmp_path / "job/sweeps/version.py"), "9.8+1a2b3c4-dirty"]


def test_plug_ins_and_curves_travel_and_junk_does_not(tmp_path: Path) -> None:
    """They lie to the sweep file as they did, also those that lie above it."""
    script_sweep(tmp_path / "study" / "runs" / "old", losses=("hinge",), each=16, epochs=9)
    more = "plugins: [own]\nschedule: {calibrate: ../runs/old}"
    own = tmp_path / "study" / "files" / "own"
    for name in ("__init__.py", "table.json", "runs/more.py", ".git/config", "env/pyvenv.cfg",
                 "env/lib.so", "__pycache__/a.pyc", "runs/b.pt", ".gitignore"):  # fmt: skip
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / name).write_text(PLUGIN if name == "__init__.py" else "")
    file = sweep_file(tmp_path / "study" / "files", more)
    file.write_text(file.read_text().replace("minimax", "logistic"))
    made = packed(file, tmp_path / "job")
    spec = load_spec(made)
    assert make_plan(spec).digest == make_plan(load_spec(file)).digest
    sent = {str(p.relative_to(made.parent)) for p in made.parent.rglob("*") if p.is_file()}
    assert sent == {file.name, "own/__init__.py", "own/table.json", "own/runs/more.py"}
    old = {p.relative_to(made.parents[1] / "runs" / "old").parts[0]
           for p in (made.parents[1] / "runs" / "old").rglob("*")}  # fmt: skip
    assert old == {"plan.json", "journal"}


@pytest.mark.parametrize(
    ("more", "data", "words", "told"),
    [
        ("", "{name: mnist, root: here}", (), "data.root: 'here' is a path from this folder"),
        (
            "schedule: {calibrate: HERE/curves.csv}",
            "digits",
            (),
            "curves.csv' is a path of this machine",
        ),
        ("", "digits", ("--storage", "runs"), "--storage: 'runs' would be in a job's own folder"),
        ("", "digits", ("--storage",), "--storage: say in which folder"),
        ("", "digits", ("--storage", "s3://UP/runs"), "--storage: 's3://UP/runs' names no bucket"),
        ("", "digits", ("--name", "../up"), "cannot name a sweep"),
        ("", "digits", ("--tracking-uri", "https://me:pass@host"), "'https://me@host' came with"),
    ],
)
def test_what_a_cluster_would_not_find_is_refused_here(
    tmp_path: Path, more: str, data: str, words: tuple[str, ...], told: str
) -> None:
    rows = [f"{t},{s},{s}" for t in "abc" for s in range(9)]
    (tmp_path / "curves.csv").write_text("\n".join(["trial,step,score", *rows]))
    file = sweep_file(tmp_path, more.replace("HERE", str(tmp_path)), data)
    words = () if words == ("--storage",) else ("--storage", "/shared/runs", *words)
    code, out = gansweep("submit", file, *words)
    assert code == 2
    assert told in out
    assert "pass@" not in out


def test_data_are_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "__init__.py").write_text(PLUGIN)
    (own / "pictures.npz").write_bytes(b"0" * 3_000_000)
    file = sweep_file(tmp_path, "plugins: [own]")
    most = packed(file, tmp_path / "job").parents[1]
    sent = sum(path.stat().st_size for path in most.rglob("*") if path.is_file())
    monkeypatch.setattr(packing, "MOST_BYTES", sent)
    packed(file, tmp_path / "just so")
    monkeypatch.setattr(packing, "MOST_BYTES", sent - 1)
    code, out = gansweep("submit", file, "--storage", "/shared/runs")
    assert code == 2
    assert f"{own / 'pictures.npz'} has 3 MB, and a job carries at most" in out


def test_a_bucket_is_a_storage_that_every_node_sees(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"name": None, "tracking_uri": None, "insecure": False}
    ready = prepared(sweep_file(tmp_path), storage="s3://bucket/my runs/", **asked)
    assert ready.storage == "s3://bucket/my runs"
    assert "--storage 's3://bucket/my runs'" in ready.entrypoint


def test_jobs_are_numbered_by_sweep() -> None:
    assert _next_id("q", []) == "q-1"
    assert _next_id("q", ["q-1", "q-9", "q-10", "q-2-7", "raysubmit_7", "other-99"]) == "q-11"


def test_what_the_head_lacks_is_named() -> None:
    found = needs.lacking(
        ["click>=8.1", "no-such-package>=1", "click>=999", 'nor-this; extra == "dev"']
    )
    missing, old = found
    assert missing == "no-such-package is missing"
    assert old.startswith("click is ")
    assert old.endswith(", not >=999")


def test_an_uploader_outlives_what_its_whole_job_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray sends SIGTERM to every process of a job that is stopped; the driver is not done yet."""
    numbers = (signal.SIGTERM, process.ENOUGH)
    before = [signal.getsignal(number) for number in numbers]
    try:
        process._hear(os.getppid())
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(process.ENOUGH)
        monkeypatch.setattr(os, "getppid", lambda: 1)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def test_a_door_that_is_open_shut_or_no_door(job_server: Server) -> None:
    """E1 of jobs: one line that says what to do, and exit code 5."""
    assert gansweep("status")[0] == 0
    job_server.wants = "another"
    code, out = gansweep("status")
    assert (code, "has another token than RAY_AUTH_TOKEN" in out) == (5, True)
    code, out = gansweep("status", "--insecure")
    assert (code, "asks for a token: leave --insecure away" in out) == (5, True)
    job_server.wants = None
    os.environ.pop(door.MODE)
    code, out = gansweep("status")
    assert (code, "asks nobody for a token" in out) == (5, True)
    assert gansweep("status", "--insecure")[0] == 0
    os.environ.pop(door.MODE)
    job_server.page = True
    code, out = gansweep("status")
    assert (code, "is not Ray's job server" in out) == (5, True)


@pytest.mark.usefixtures("job_server")
def test_nobody_answers_and_the_way_is_told() -> None:
    code, out = gansweep("status", "--address", "127.0.0.1:9")
    assert code == 5
    assert "no job server answers at http://127.0.0.1:9" in out
    assert "ray[default]" in out
    assert len(out.splitlines()) == 1
    code, out = gansweep("status", "--address", "auto")
    assert (code, "is not where a job server listens" in out) == (2, True)


def test_jobs_are_told_in_words_and_one_sweep_runs_once(job_server: Server, tmp_path: Path) -> None:
    job_server.jobs = (
        listed(1, "FAILED", 4, end_time=1_700_000_060_001),
        listed(2, "FAILED", message="first\nno room for the working directory"),
        listed(3, "STOPPED"),
        {**listed(7, "RUNNING"), "metadata": {}, "submission_id": "not-ours"},
        listed(4, "RUNNING"),
    )
    code, out = gansweep("status")
    assert code == 0
    assert "not-ours" not in out
    assert "finished (exit code 4)" in out
    jobs = {job["id"]: job for job in json.loads(gansweep("status", "--json")[1])}
    assert [job["exit_code"] for job in jobs.values()] == [4, 5, 143, None]
    assert jobs["question-1"]["ended"] - jobs["question-1"]["submitted"] == 60
    assert jobs["question-2"]["reason"] == "no room for the working directory"
    newest = json.loads(gansweep("status", "question", "--json")[1])
    assert (newest["id"], newest["state"], newest["says"]) == ("question-4", "running", "error: no")
    code, out = gansweep("stop", "nothing")
    assert (code, "no job 'nothing'" in out) == (2, True)
    file = sweep_file(tmp_path)
    code, out = gansweep("submit", file, "--storage", "/shared/runs")
    assert code == 3
    assert "sweep 'question' is being run by job question-4" in out


class Laptop:
    """Commands against a head, from a home of their own."""

    def __init__(self, head: Head, home: Path, storage: Path) -> None:
        self.head = head
        self.home = home
        self.storage = storage

    def command(self, *words: object) -> list[str]:
        return [sys.executable, "-m", "sweeps.cli", *map(str, words)]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, **self.head.environment, "PYTHONPATH": str(ROOT)}

    def do(self, *words: object) -> tuple[int, str, str]:
        done = subprocess.run(
            self.command(*words),
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout, done.stderr

    def submitting(self, file: Path) -> AbstractContextManager[faults.Cli]:
        """`gansweep submit` in the background."""
        return faults.started(
            self.command("submit", file, "--storage", self.storage),
            home=self.home,
            place=self.storage / file.stem,
            environment=self.head.environment,
        )


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    pytest.importorskip("aiohttp_cors", reason="no `ray[default]`: pip install -e '.[cluster]'")
    with job_head(cpus=2) as running:
        yield running


def slow(folder: Path, seconds: float, **changes: Any) -> Path:
    """A sweep whose plug-in notes which copy of this package it runs in."""
    file = faults.scripted(folder, {("*", "*"): act.sleep(seconds)}, **changes)
    with (folder / "scripted_trials" / "__init__.py").open("a") as plugin:
        noted = f"Path({str(folder / 'ran')!r}).write_text(sweeps.__file__)"
        plugin.write(f"\n\nimport sweeps\nfrom pathlib import Path\n{noted}\n")
    return file


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
def test_a_job_survives_the_laptop(tmp_path: Path, head: Head) -> None:
    """Bar 1: submitted with a token, killed here, looked at again, and in MLflow."""
    laptop = Laptop(head, tmp_path / "home", tmp_path / "runs")
    file = slow(tmp_path / "it", 0.5, epochs=16)
    with laptop.submitting(file) as command:
        command.wait_until(lambda r: any(t.epoch >= 2 for t in r.trials.values()))
        command.signal(signal.SIGKILL)
    assert json.loads(laptop.do("status", "scripted", "--json")[1])["state"] == "running"
    code, _, err = laptop.do("submit", file, "--storage", laptop.storage)
    assert (code, "is being run by job scripted-1" in err) == (3, True)
    with subprocess.Popen(
        laptop.command("logs", "scripted"), env=laptop.environment, stdout=-1, stderr=-1
    ) as reading:
        assert reading.stdout is not None
        assert reading.stderr is not None
        assert reading.stdout.readline()
        reading.stdout.close()
        said = reading.stderr.read()
    assert (reading.returncode, said) == (128 + signal.SIGPIPE, b"")
    code, out, _ = laptop.do("logs", "scripted")
    assert code == 0
    assert "16 of 32 epochs" not in out
    assert "32 of 32 epochs trained" in out
    assert "job_manager" not in out
    assert "scripted-1  scripted  finished" in laptop.do("status")[1]
    place = laptop.storage / "scripted"
    ran = Path((tmp_path / "it" / "ran").read_text())
    assert "working_dir_files" in ran.parts, "the code that was sent is what ran"
    states = [r for r in journal.read(place, journal.DRIVER) if r["kind"] == "sweep"]
    assert states[0]["code_version"] == code_version()
    calm = faults.planned(faults.scripted(tmp_path / "calm", epochs=16))
    faults.play(calm)
    faults.assert_sound(place, calm, store=tracking.default_uri(laptop.storage))
    for words in ((), ("--detach",)):
        code, out, err = laptop.do("submit", file, "--storage", laptop.storage, *words)
        assert (code, out) == (3, ""), "as `gansweep run` of a sweep that is finished"
        assert "it is finished, and this file asks for the same" in err
    assert "scripted-3  scripted  refused (exit code 3)" in laptop.do("status")[1]
    assert json.loads(laptop.do("status", "scripted", "--json")[1])["id"] == "scripted-1"
    code, out, err = laptop.do("submit", file, "--storage", "/proc/no", "--detach")
    assert (code, out, "the storage /proc/no cannot be written" in err) == (5, "", True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
def test_a_job_is_stopped_in_order_and_goes_on(tmp_path: Path, head: Head) -> None:
    laptop = Laptop(head, tmp_path / "home", tmp_path / "runs")
    file = slow(tmp_path / "it", 0.5, epochs=40, name="halted")
    with laptop.submitting(file) as command:
        command.place = laptop.storage / "halted"
        command.wait_until(lambda r: any(t.epoch >= 2 for t in r.trials.values()))
        command.signal(signal.SIGINT)  # Whoever looks away ends nothing.
        command.assert_told(130)
        assert "job halted-1 goes on" in command.end()[1]
    code, out, _ = laptop.do("stop", "halted")
    assert (code, "halted-1: interrupted (exit code 143)" in out) == (0, True)
    results = Results.read(laptop.storage / "halted")
    assert (results.state, results.exit_code) == ("interrupted", 143)
    client = client_at(tracking.default_uri(laptop.storage))
    told = {run.info.status for run in runs_of(client).values()}
    assert "RUNNING" not in told, "MLflow has heard of it"
    assert laptop.do("logs", "halted")[0] == 143
    code, out, err = laptop.do("submit", file, "--storage", laptop.storage, "--detach")
    assert (code, out) == (0, "halted-2\n")
    assert "no trial" not in err, "it has begun"
    assert laptop.do("logs", "halted-2")[0] == 0
    assert Results.read(laptop.storage / "halted").state == "finished"
