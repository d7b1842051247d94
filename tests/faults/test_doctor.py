"""`gansweep doctor`: each planted fault is found, with its remedy in one line (bar 6)."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import faults
from faults import act
from sweeps import door, preflight, tracking
from sweeps.cli import main
from sweeps.doctor import examine
from sweeps.doctor.checks import CHECKS
from sweeps.doctor.facts import Evidence, Facts, Machine, Storage, Torch
from sweeps.doctor.finding import OK, WARNING, WRONG, Finding
from sweeps.doctor.look import look
from sweeps.doctor.meeting import attend, heard, meeting
from sweeps.doctor.question import Question
from sweeps.doctor.token import Token, judge
from sweeps.errors import EnvironmentTrouble
from sweeps.options import BEGUN
from sweeps.results import Results
from sweeps.tracking.visit import newest_schema

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")

GB = 10**9
FACTS = Facts(
    time=0,
    versions={
        "python": "3.11",
        "gansweep": "0.1.0",
        "torch": "2.13.0",
        "ray": "2.60.0",
        "mlflow": "3.17.2",
    },
    storage=Storage(sees=True, free=900 * GB),
    cache="/root/.cache/gansweep",
    cache_free=900 * GB,
    memory_free=8 * GB,
    open_files=65536,
)
A, B = (Machine(f"node {name}", FACTS) for name in "ab")
WELL = Evidence("/shared/runs", Machine("this machine", FACTS), (A, B))

Change = Callable[[Machine], Machine]


def with_facts(**changes: Any) -> Change:
    return lambda machine: replace(machine, facts=replace(machine.facts, **changes))


def with_storage(**changes: Any) -> Change:
    return lambda m: with_facts(storage=replace(m.facts.storage, **changes))(m)


def judged(evidence: Evidence) -> list[Finding]:
    return [finding for check in CHECKS for finding in check(evidence)]


def test_where_all_is_well_every_line_is_green() -> None:
    found = judged(WELL)
    assert {finding.level for finding in found} == {OK}
    assert not any(finding.remedy for finding in found)
    assert {"versions", "GPUs", "storage", "space", "clock", "limits"} == {f.check for f in found}


PLANTED: dict[str, tuple[Change, str, str, str]] = {
    "version skew": (
        with_facts(versions={**FACTS.versions, "torch": "2.12.0"}),
        "versions",
        "node b has torch 2.12.0 (the driver has 2.13.0)",
        "install the same there",
    ),
    "a node that has no gansweep": (
        lambda m: replace(m, facts=None, silence="ModuleNotFoundError: No module named 'sweeps'"),
        "nodes",
        "node b: ModuleNotFoundError: No module named 'sweeps'",
        "install there what the driver has",
    ),
    "GPU that PyTorch cannot use": (
        lambda m: replace(with_facts(torch=Torch(0, "2.13.0+cpu"))(m), gpus=4),
        "GPUs",
        "node b counts as 4 GPUs for Ray, of which PyTorch 2.13.0+cpu can use 0",
        "install a PyTorch that fits its driver",
    ),
    "unshared storage": (
        with_storage(sees=False),
        "storage",
        "node b does not see /shared/runs",
        "give --storage a folder that every node sees",
    ),
    "read-only storage": (
        with_storage(refused="Read-only file system"),
        "storage",
        "node b cannot write /shared/runs (Read-only file system)",
        "mount it there for writing",
    ),
    "storage that shows what others write too late": (
        lambda m: replace(m, heard=False),
        "storage",
        "node b writes /shared/runs unseen",
        "the same everywhere",
    ),
    "full disk": (
        with_facts(cache_free=20_000_000),
        "space",
        "node b has 20.0 MB left in /root/.cache/gansweep",
        "`du -sh /root/.cache/gansweep/*`",
    ),
    "clock off by minutes": (
        lambda m: replace(m, late=-310.0),
        "clock",
        "node b is 5 minutes behind this machine's clock",
        "`timedatectl set-ntp true`",
    ),
}

WARNED: dict[str, tuple[Change, str, str, str]] = {
    "locks that are not shared": (
        with_storage(lock="not seen"),
        "storage",
        "node b has locks of its own in /shared/runs",
        "`nolock`",
    ),
    "disk that will be full": (
        with_storage(free=2 * GB),
        "space",
        "the storage has 2.0 GB left in /shared/runs",
        "`du -sh /shared/runs/*`",
    ),
    "MLflow of another version": (
        with_facts(versions={**FACTS.versions, "mlflow": "2.9"}),
        "versions",
        "node b has mlflow 2.9 (the driver has 3.17.2)",
        "no trial uses it",
    ),
    "few open files": (
        with_facts(open_files=256),
        "limits",
        "node b may open 256 files",
        "`ulimit -n 65536`",
    ),
    "small /dev/shm": (
        with_facts(memory_free=64_000_000),
        "limits",
        "node b has 64.0 MB in /dev/shm",
        "`--shm-size=1g`",
    ),
    "clock off by seconds": (
        lambda m: replace(m, late=5.0),
        "clock",
        "node b is 5 s ahead of this machine's clock",
        "`timedatectl set-ntp true`",
    ),
}


@pytest.mark.parametrize(
    ("level", "fault"), [*((WRONG, f) for f in PLANTED), *((WARNING, f) for f in WARNED)]
)
def test_a_planted_fault_is_found_on_its_node_with_its_remedy(level: str, fault: str) -> None:
    change, check, what, remedy = (PLANTED | WARNED)[fault]
    found = [f for f in judged(replace(WELL, trains=(A, change(B)))) if f.level != OK]
    assert [(f.check, f.level) for f in found] == [(check, level)]
    assert found[0].found.startswith(what)
    assert remedy in found[0].remedy
    assert "\n" not in found[0].line


def test_what_is_wrong_on_many_nodes_is_one_line() -> None:
    hidden = with_storage(sees=False)
    crowd = tuple(replace(hidden(A), name=f"node {number}") for number in range(100))
    found = [f for f in judged(replace(WELL, trains=crowd)) if f.level == WRONG]
    assert [f.found for f in found] == [
        "node 0, node 1, node 2 and 97 more: each does not see /shared/runs"
    ]


@pytest.fixture
def inception(tmp_path: Path) -> Path:
    """A sweep of one's own pictures that are not here, scored by weights that are others."""
    (tmp_path / "weights.pth").write_bytes(b"others")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "1.png").touch()
    base = {
        "data": {"name": "folder", "path": str(tmp_path / "here"), "resolution": 32},
        "epochs": 1,
    }
    content = {
        "base": base,
        "scientific": {"loss.name": ["hinge"]},
        "search": {"trials_each": 1},
        "objective": {
            "features": "inception",
            "inception_weights": str(tmp_path / "weights.pth"),
            "samples": 10,
        },
    }
    file = tmp_path / "q.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def told(*words: str | Path, code: int) -> list[dict[str, str]]:
    """What the command finds, as machines read it; each remedy is one line."""
    done = CliRunner().invoke(main, ["doctor", *map(str, words), "--json"])
    assert done.exit_code == code, done.output
    found = json.loads(done.stdout)
    assert found["ok"] == (code == 0)
    assert not any("\n" in f["found"] + f["remedy"] for f in found["findings"])
    return [f for f in found["findings"] if f["level"] != OK]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without a token."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in (door.MODE, door.TOKEN, door.TOKEN_PATH):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


@pytest.mark.usefixtures("home")
def test_a_machine_that_is_well_is_left_as_it_was(tmp_path: Path) -> None:
    storage = tmp_path / "deep" / "runs"
    assert [f for f in told("--storage", storage, code=0) if f["check"] != "space"] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == []
    done = CliRunner().invoke(main, ["doctor", "--storage", str(storage)], env={"COLUMNS": "80"})
    lines = done.stdout.splitlines()
    assert max(len(line) for line in lines if str(tmp_path) not in line) <= 80
    assert lines[0].split()[:2] == ["ok", "token"]
    assert not storage.exists()


@pytest.mark.usefixtures("home")
def test_pictures_and_weights_of_the_sweep_are_looked_at(tmp_path: Path, inception: Path) -> None:
    words = (inception, "--storage", tmp_path / "runs")
    (weights,) = [f for f in told(*words, code=5) if f["check"] == "weights"]
    assert "is not the published Inception: its sha256 begins" in weights["found"]
    assert weights["remedy"].startswith("put the published file there")
    (tmp_path / "weights.pth").unlink()
    (tmp_path / "here" / "1.png").unlink()
    found = {f["check"]: f for f in told(*words, code=5)}
    assert "lacks inception: there is no file" in found["weights"]["found"]
    assert "lacks folder" in found["pictures"]["found"]
    assert "has no pictures" in found["pictures"]["found"]
    assert found["pictures"]["remedy"].startswith("put them there")


@pytest.mark.usefixtures("home")
def test_a_gpu_that_is_asked_for_and_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "gpus", lambda: 0)
    file = faults.scripted(tmp_path / "s", resources={"gpu": 1})
    (room,) = told(file, "--storage", tmp_path / "runs", code=5)
    assert room["found"] == "a trial asks for 1 and this machine has 0"
    assert "--address" in room["remedy"]


@pytest.mark.usefixtures("home")
def test_a_storage_that_takes_nothing(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    found = {f["check"]: f for f in told("--storage", tmp_path / "runs" / "x", code=5)}
    assert "cannot be written" in found["storage"]["found"]
    assert found["storage"]["remedy"] == "give --storage another folder"


def test_a_lock_is_seen_by_whoever_meets_there_and_nothing_stays(tmp_path: Path) -> None:
    with meeting(tmp_path / "runs") as place:
        seen = attend(str(place), "b")
        assert (seen.sees, seen.refused, seen.lock) == (True, "", "seen")
        assert heard(str(place), "b")
        assert not heard(str(place), "c")
        assert not attend(str(tmp_path / "elsewhere" / place.name), "b").sees
        os.unlink(place / "lock")
        (place / "lock").touch()  # Another file: nobody holds its lock.
        assert attend(str(place), "b").lock == "not seen"
    assert not (tmp_path / "runs").exists()


TOKENS = {
    "mode": (Token(Path("/h/t"), mode="disabled"), WRONG, "let anyone run code", "`unset"),
    "none": (Token(Path("/h/t")), WRONG, "there is none in /h/t", "`ray get-auth-token`"),
    "open": (Token(Path("/h/t"), rights=0o644), WARNING, "(mode 0644)", "`chmod 600 /h/t`"),
    "theirs": (Token(Path("/h/t"), rights=0o666, own=False), WRONG, "somebody else's", "`chmod"),
}


@pytest.mark.parametrize("fault", TOKENS)
def test_a_token_that_is_missing_or_for_all_to_read(fault: str) -> None:
    token, level, what, remedy = TOKENS[fault]
    (found,) = judge(token, remote=True, insecure=False)
    assert found.level == level
    assert what in found.found
    assert remedy in found.remedy


def test_an_mlflow_that_is_away_or_of_another_version(tmp_path: Path) -> None:
    away = tracking.visit("http://somebody:secret@127.0.0.1:9", tmp_path)
    assert "nobody answers at http://somebody@127.0.0.1:9" in away.found
    assert "`mlflow server`" in away.remedy
    file = tmp_path / "mlflow.db"
    (newest,) = newest_schema()
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        database.execute("INSERT INTO alembic_version VALUES (?)", [newest])
    before = file.read_bytes()
    assert tracking.visit(None, tmp_path).remedy == ""
    assert file.read_bytes() == before
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '0a8213491aaa'")
    old = tracking.visit(None, tmp_path)
    assert "has tables of version 0a8213491aaa, MLflow" in old.found
    assert "`mlflow db upgrade" in old.remedy
    file.write_bytes(b"no database at all" * 100)
    assert "is damaged" in tracking.visit(None, tmp_path).found
    assert not tracking.visit("ftp://there", tmp_path).usable


@pytest.mark.slow
def test_a_server_that_answers_takes_what_is_written(server: str, tmp_path: Path) -> None:
    from mlflow.store.db.utils import _get_latest_schema_revision

    assert newest_schema() == {_get_latest_schema_revision()}
    answer = tracking.visit(server, tmp_path)
    assert answer.remedy == "", answer
    assert "takes what is written, MLflow 3." in answer.found


@pytest.mark.usefixtures("home")
def test_nobody_at_an_address_is_a_line_of_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(door.TOKEN, "of-a-test" * 4)
    words = ("--address", "127.0.0.1:9", "--storage", tmp_path / "runs")
    cluster, nodes = [f for f in told(*words, code=5) if f["check"] in ("cluster", "nodes")]
    assert nodes["found"] == "not asked: there is no way in"
    assert cluster["found"] == "cannot reach the Ray cluster at 127.0.0.1:9"
    assert "`ray start --head`" in cluster["remedy"]


def test_before_a_sweep_only_what_is_wrong_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Results.read(faults.planned(faults.scripted(tmp_path))).plan
    warned = replace(with_storage(lock="not seen", free=2 * GB)(B), late=5.0)
    monkeypatch.setattr(examine, "_ask", lambda *_, **__: replace(WELL, trains=(A, warned)))
    examine.before_sweep(plan, tmp_path)
    skewed = PLANTED["version skew"][0](B)
    monkeypatch.setattr(examine, "_ask", lambda *_, **__: replace(WELL, trains=(A, skewed)))
    with pytest.raises(EnvironmentTrouble) as raised:
        examine.before_sweep(plan, tmp_path)
    assert str(raised.value) == (
        "node b has torch 2.12.0 (the driver has 2.13.0): install the same there"
    )


def test_what_a_node_says_survives_a_version_that_says_more_or_less(tmp_path: Path) -> None:
    from dataclasses import asdict

    with meeting(tmp_path) as place:
        said = asdict(look(Question(str(place), data=({"name": "digits"},)), "b"))
    facts = Facts.of({**said, "moon": "full"})
    assert facts.storage.sees
    assert facts.pictures[0].name == "digits"
    said.pop("pictures")
    assert Facts.of(said).pictures == ()


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="hides a folder from a node, as root alone can")
def test_a_real_cluster_with_three_faults_of_its_own(tmp_path: Path) -> None:
    """Version skew, unshared storage and a GPU that is none; a sweep there begins no trial."""
    storage = tmp_path / "runs"
    storage.mkdir()
    old = tmp_path / "old" / "gansweep-0.0.9.dist-info"
    old.mkdir(parents=True)
    (old / "METADATA").write_text("Metadata-Version: 2.1\nName: gansweep\nVersion: 0.0.9\n")
    path = f"{old.parent}{os.pathsep}{faults.commands.ROOT}"
    ill = faults.Node(
        1, words=("--num-gpus", "1"), environment={"PYTHONPATH": path}, without=storage
    )
    file = faults.scripted(tmp_path / "s", {("*", "*"): act.sleep(0.1)})
    with faults.nodes([1, ill]) as cluster:
        environment = {**cluster.environment, "COLUMNS": "80"}
        where = (file, "--address", cluster.address)
        options = {"storage": storage, "environment": environment}
        with faults.cli("doctor", *where, home=tmp_path / "one", **options) as command:
            command.assert_told(5, 180)
            out, err = command.end()
        with faults.cli("run", *where, home=tmp_path / "two", **options) as command:
            command.assert_told(5, 180)
            begun, refused = command.end()
        wrong = {**options, "environment": {**environment, door.TOKEN: "wrong" * 8}}
        with faults.cli("doctor", *where, home=tmp_path / "three", **wrong) as command:
            command.assert_told(5, 180)
            shut, _ = command.end()
    print(out, file=sys.stderr)
    assert err == ""
    assert max(len(line) for line in out.splitlines() if str(tmp_path) not in line) <= 80
    words = " ".join(out.split())
    assert "has gansweep 0.0.9" in words
    assert "> install the same there" in words
    assert f"does not see {storage}" in words
    assert "> give --storage a folder that every node sees" in words
    assert "counts as 1 GPU for Ray, of which PyTorch" in words
    assert "3 wrong, which would stop a sweep" in words
    assert "does not see" in refused
    assert "install the same there" in refused
    assert "gansweep resume" in refused
    assert BEGUN not in begun
    results = Results.read(storage / file.stem)
    assert results.state == "interrupted"
    assert not any(result.starts for result in results.trials.values())
    assert "has another token than RAY_AUTH_TOKEN" in " ".join(shut.split())
