"""MLflow gets every point once, whatever happens to its database, by accident or by hand."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st
from written_sweep import (
    COMPLETED,
    LEFT,
    STOPPED,
    client_of,
    drive,
    everything,
    tell,
)

from faults.told_once import HEALTHY, assert_told_once, runs_of
from sweeps import cli, tracking
from sweeps.folder import owned
from sweeps.tracking.description import LONGEST_KEY, legal
from sweeps.tracking.store import Store, StoreReplaced
from sweeps.tracking.uploader import Uploader

# MLflow 3.17 asks SQLAlchemy 2.1 for what that will drop; nothing of ours can help it.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")


def run_sync(place: Path, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli.main, ["sync", str(place), *words])
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.exit_code, done.stderr


def query(place: Path, statement: str) -> None:
    database = sqlite3.connect(place.parent / "mlflow.db")
    with database:
        assert database.execute(statement).rowcount > 0, "nothing was damaged"
    database.close()


KEYS = st.one_of(st.text(max_size=300), st.text("<>@,=:/._ a\n0", max_size=8))


def test_a_locked_database_is_waited_for(sweep: Path) -> None:
    uri = tracking.default_uri(sweep.parent)
    uploader = Uploader(sweep, uri)
    assert uploader.pass_once() is None
    tell(sweep, LEFT, [3.0], first=2)
    other = sqlite3.connect(sweep.parent / "mlflow.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    said: list[object] = []
    passing = Thread(target=lambda: said.append(uploader.pass_once()))
    passing.start()
    time.sleep(1)
    assert said == []
    other.execute("ROLLBACK")
    other.close()
    passing.join()
    assert said == [None]
    assert_told_once(client_of(sweep), sweep)


@pytest.mark.parametrize("words", [(), ("--rebuild",)])
def test_a_database_of_another_mlflow_is_left_alone(sweep: Path, words: tuple[str, ...]) -> None:
    file = sweep.parent / "mlflow.db"
    database = sqlite3.connect(file)
    with database:
        database.execute("update alembic_version set version_num = 'deadbeef0000'")
    database.close()
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    code, said = run_sync(sweep, *words)
    assert code == 5
    assert said.count("\n") == 1
    assert "deadbeef0000" in said
    assert "mlflow db upgrade" in said
    assert hashlib.sha256(file.read_bytes()).hexdigest() == before


@pytest.mark.parametrize("share", [0.0001, 0.3, 0.9])
def test_a_truncated_database_is_left_alone_and_made_anew_from_the_journal(
    sweep: Path, share: float
) -> None:
    tracking.sync(sweep, tracking.default_uri(sweep.parent))
    # Elsewhere, since MLflow keeps its connections for as long as this process lives.
    storage = sweep.parent.rename(sweep.parent.with_name("damaged"))
    file, place = storage / "mlflow.db", storage / "digits"
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    code, said = run_sync(place, "--rebuild")
    assert code == 5, said
    assert said.count("\n") == 1
    assert "damaged" in said
    assert "gansweep sync --rebuild" in said
    assert file.read_bytes() == content[: int(share * len(content))]
    file.unlink()
    storage = storage.rename(storage.with_name("mended"))
    assert run_sync(storage / "digits", "--rebuild") == (0, "")
    assert_told_once(client_of(storage / "digits"), storage / "digits")


def test_a_database_that_is_deleted_while_we_write_is_noticed(sweep: Path) -> None:
    uploader = Uploader(sweep, tracking.default_uri(sweep.parent))
    assert uploader.pass_once() is None
    (sweep.parent / "mlflow.db").unlink()
    with pytest.raises(StoreReplaced, match="deleted"):
        uploader.pass_once()


def test_rebuild_sends_what_mlflow_lacks_and_nothing_else(
    sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = tracking.default_uri(sweep.parent)
    tracking.sync(sweep, uri)
    client, before = client_of(sweep), everything(sweep.parent)
    run = runs_of(client, sweep)[COMPLETED].info.run_id
    lost = f"run_uuid = '{run}' and ((step = 2 and key = 'fid500') or (step = 3 and key = 'kimg'))"
    query(sweep, f"delete from metrics where {lost}")
    query(sweep, f"delete from tags where run_uuid = '{run}' and key = 'gansweep.verdict'")
    pictures = sorted((sweep.parent / "mlartifacts").rglob("*.png"))
    pictures[0].unlink()
    pictures[1].write_bytes(pictures[1].read_bytes()[:100])
    # What is remembered says that all is well.
    tracking.sync(sweep, uri)
    assert everything(sweep.parent) != before
    uploader = Uploader(sweep, uri, rebuild=True)
    sent: list[Any] = []
    log, upload = uploader._store.log, uploader._store.client.log_artifacts
    monkeypatch.setattr(
        uploader._store, "log", lambda run, **told: (sent.append((run, told)), log(run, **told))
    )
    uploaded: list[str] = []
    monkeypatch.setattr(
        uploader._store.client,
        "log_artifacts",
        lambda run, source, target: (
            uploaded.extend(p.name for p in Path(source).iterdir() if target == "images"),
            upload(run, source, target),
        ),
    )
    assert uploader.pass_once() is None
    after = everything(sweep.parent)
    assert after == before
    points = [v for owner, told in sent if owner == run for v in told.get("values", ())]
    assert sorted((v.key, v.step) for v in points) == [("fid500", 2), ("kimg", 3)]
    assert sorted(uploaded) == sorted(p.name for p in pictures[:2])


def test_what_is_remembered_may_lie_or_be_of_another_shape(sweep: Path) -> None:
    uri = tracking.default_uri(sweep.parent)
    tracking.sync(sweep, uri)
    before = everything(sweep.parent)
    rows = json.loads((sweep / "tracking.json").read_text())
    (store,) = rows
    for content in ([1, 2], {store: {"x": {"run": "1", "of_later": 2}}}, {store: [3]}, "text"):
        (sweep / "tracking.json").write_text(json.dumps(content))
        tracking.sync(sweep, uri)
    assert everything(sweep.parent) == before
    tell(sweep, LEFT, [3.0], first=2)
    rows[store][LEFT]["epoch"] = 2
    (sweep / "tracking.json").write_text(json.dumps(rows))
    tracking.sync(sweep, uri)
    with pytest.raises(AssertionError):
        assert_told_once(client_of(sweep), sweep)
    tracking.sync(sweep, uri, rebuild=True)
    assert_told_once(client_of(sweep), sweep)


def test_runs_that_were_ended_renamed_or_deleted_by_hand(sweep: Path) -> None:
    uri = tracking.default_uri(sweep.parent)
    drive(sweep, "sweep", state="running")
    with owned(sweep):
        uploader = Uploader(sweep, uri)
        assert uploader.pass_once() is None
        client = client_of(sweep)
        runs = {uid: run.info.run_id for uid, run in runs_of(client, sweep).items()}
        client.set_terminated(runs[LEFT], "FAILED")
        client.set_terminated(runs["sweep"], "FINISHED")
        client.update_run(runs[COMPLETED], status="RUNNING", name="the good one")
        client.delete_run(runs[STOPPED])
        tell(sweep, LEFT, [3.0, 2.0], first=2, **HEALTHY)
        tell(sweep, STOPPED, [], first=3)  # A reason to speak of it.
        trouble = uploader.pass_once()
        assert trouble is not None
        assert trouble.healed
        assert uploader.pass_once() is None
    drive(sweep, "sweep", state="interrupted")
    tracking.sync(sweep, uri)
    assert_told_once(client, sweep)
    now = runs_of(client, sweep)
    assert now[LEFT].info.status == now[COMPLETED].info.status == "FINISHED"
    assert now["sweep"].info.status == "KILLED"
    assert now[COMPLETED].info.run_name == "the good one"
    kept = {uid for uid, run in now.items() if run.info.run_id == runs[uid]}
    assert kept == runs.keys() - {STOPPED}


def test_an_experiment_that_was_deleted_by_hand_comes_back_with_its_runs(sweep: Path) -> None:
    drive(sweep, "sweep", state="running")
    with owned(sweep):
        uploader = Uploader(sweep, tracking.default_uri(sweep.parent))
        assert uploader.pass_once() is None
        client = client_of(sweep)
        runs = {uid: run.info.run_id for uid, run in runs_of(client, sweep).items()}
        client.delete_experiment(client.get_experiment_by_name("gansweep").experiment_id)
        tell(sweep, LEFT, [3.0], first=2)
        assert uploader.pass_once() is not None
        assert uploader.pass_once() is None
    assert_told_once(client, sweep)
    assert {uid: run.info.run_id for uid, run in runs_of(client, sweep).items()} == runs


@given(KEYS, KEYS)
@example("a<b", "a>b")
@example("a,b", "a b")
@example("a=b", "a:b")
@example("a" * 251, "a" * 252)
@example("fid@50k", legal("fid@50k"))
@example("", ".")
@example("a//b", "a/b")
@example("gansweep", "gansweep\n")
def test_no_two_metrics_meet_and_mlflow_takes_each(one: str, other: str) -> None:
    from mlflow.utils.validation import _validate_metric_name

    assert (legal(one) == legal(other)) == (one == other)
    for key in (one, other):
        _validate_metric_name(legal(key))
        assert len(legal(key)) <= LONGEST_KEY


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("fid50k", "fid50k"),
        ("eval/inception/fid10k", "eval/inception/fid10k"),
        ("best/hinge,r1,weight=10.0", "best/hinge r1 weight:10.0"),
    ],
)
def test_names_stay_readable(key: str, told: str) -> None:
    assert legal(key) == told


def test_no_folder_of_the_quoted_name_is_left_beside_the_storage(tmp_path: Path) -> None:
    """C14: MLflow makes one, and forgets it."""
    storage = tmp_path / "my runs" / "50% done"
    assert Store(tracking.default_uri(storage), storage).client.search_experiments()
    assert [path.name for path in tmp_path.iterdir()] == ["my runs"]
    assert [path.name for path in storage.parent.iterdir()] == ["50% done"]
    own = tmp_path / "my%20runs" / "50%25%20done" / "mine"
    own.mkdir(parents=True)
    assert Store(tracking.default_uri(storage), storage).client.search_experiments()
    assert own.is_dir()
