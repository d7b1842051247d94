"""MLflow is told exactly what the journal says, once, whatever happens on the way."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from PIL import Image
from written_sweep import (
    COMPLETED,
    DIVERGED,
    FAILED,
    LEFT,
    PASSPORT,
    STOPPED,
    SWEEP,
    WAITING,
    client_of,
    drive,
    everything,
    journalled,
    points_of,
    runs_of,
    tell,
    write_sweep,
)

from sweeps import SweepSpec, journal, make_plan, tracking
from sweeps.folder import owned
from sweeps.journal import Journal
from sweeps.report import write_report
from sweeps.results import Results
from sweeps.tracking import memory
from sweeps.tracking.uploader import Uploader

# MLflow 3.17 asks SQLAlchemy 2.1 for what that will drop; nothing of ours can help it.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")


def test_every_point_of_every_trial_is_there_and_nothing_else(sweep: Path) -> None:
    tracking.sync(sweep, tracking.default_uri(sweep.parent))
    client = client_of(sweep)
    runs = runs_of(client)
    assert runs.keys() == {"digits", COMPLETED, STOPPED, DIVERGED, LEFT, FAILED}
    for uid in (COMPLETED, STOPPED, DIVERGED, LEFT, FAILED):
        assert points_of(client, runs[uid]) == journalled(sweep, uid)
    assert len(points_of(client, runs[COMPLETED])) == 12
    # The last score of one that diverged is no number; its best, by which the table sorts, is.
    assert math.isnan(runs[DIVERGED].data.metrics["fid500"])
    assert runs[DIVERGED].data.metrics["best/fid500"] == 8.5
    assert runs[DIVERGED].data.tags["gansweep.infinite"] == "loss/generator@x=-inf at epoch 2"


def test_children_are_nested_and_say_what_became_of_them(sweep: Path) -> None:
    tracking.sync(sweep, tracking.default_uri(sweep.parent))
    runs = runs_of(client_of(sweep))
    parent = runs.pop("digits")
    assert {run.data.tags["mlflow.parentRunId"] for run in runs.values()} == {parent.info.run_id}
    assert {name: run.info.status for name, run in runs.items()} == {
        COMPLETED: "FINISHED",
        STOPPED: "FINISHED",
        DIVERGED: "FINISHED",
        LEFT: "KILLED",
        FAILED: "FAILED",
    }
    assert {name: run.data.tags["gansweep.state"] for name, run in runs.items()} == {
        COMPLETED: "completed",
        STOPPED: "stopped",
        DIVERGED: "diverged",
        LEFT: "interrupted",
        FAILED: "failed",
    }
    first = runs[COMPLETED]
    records = journal.read(sweep, COMPLETED)
    assert first.info.start_time == records[0]["time_ms"]
    assert first.info.end_time == records[-1]["time_ms"]
    expected = {
        "gansweep.sweep": "digits",
        "gansweep.arm": "hinge",
        "gansweep.draw": "0",
        "gansweep.phase": "explore",
        "gansweep.verdict": "healthy",
        "gansweep.stop_reason": "all 3 epochs",
        "gansweep.best_epoch": "3",
        "gansweep.node": "node7",
        "gansweep.device": "cpu",
        "gansweep.code_version": "0.1+abc",
        "gansweep.passport_digest": "d16e57",
        "mlflow.source.name": "gansweep",
    }
    assert expected.items() <= first.data.tags.items()
    assert json.loads(first.data.tags["gansweep.passport"]) == PASSPORT
    assert runs[STOPPED].data.tags["gansweep.stop_reason"] == "asha: rung 2"


def test_parameters_are_the_whole_run_in_plain_decimals(sweep: Path) -> None:
    tracking.sync(sweep, tracking.default_uri(sweep.parent))
    runs = runs_of(client_of(sweep))
    plan = Results.read(sweep).plan
    params = runs[COMPLETED].data.params
    assert params["loss.name"] == "hinge"
    assert params["latent"] == "16"
    assert params["deterministic"] == "false"
    rate = plan.trial(COMPLETED).varied["generator.lr"]
    assert "e" not in params["generator.lr"]
    assert float(params["generator.lr"]) == rate < 1e-4
    assert runs["digits"].data.params["space.loss.name"] == "hinge, minimax"
    assert runs["digits"].data.params["objective"] == "fid500"


def test_the_sweeps_own_run_tells_question_outcome_and_what_time_bought(sweep: Path) -> None:
    tracking.sync(sweep, tracking.default_uri(sweep.parent))
    client = client_of(sweep)
    parent = runs_of(client)["digits"]
    assert parent.info.status == "KILLED"
    assert parent.data.tags["gansweep.best_trial"] == COMPLETED
    assert parent.data.tags["gansweep.trials"].startswith("1 completed, 1 diverged, 1 failed")
    files = {a.path for a in client.list_artifacts(parent.info.run_id)}
    assert files == {"sweep.yaml", "plan.json", "results.csv"}
    best = client.get_metric_history(parent.info.run_id, "best/hinge")
    assert sorted((m.value for m in best), reverse=True) == [9.0, 5.0, 0.1 + 0.2]
    assert parent.data.metrics == {"best/hinge": 0.1 + 0.2, "best/minimax": 4.0}


def test_the_report_comes_with_its_pictures(sweep: Path) -> None:
    write_report([Results.read(sweep)], sweep / "report")
    tracking.sync(sweep, tracking.default_uri(sweep.parent))
    client = client_of(sweep)
    run = runs_of(client)["digits"].info.run_id
    files = {a.path for a in client.list_artifacts(run, "report")}
    assert {"report/index.html", "report/league.tex"} <= files
    drawn = {a.path for a in client.list_artifacts(run, "report/pictures")}
    assert drawn == {"report/pictures/curves.png", "report/pictures/verdicts.png"}
    sent = client.download_artifacts(run, "report/pictures/curves.png")
    assert Path(sent).read_bytes() == (sweep / "report/pictures/curves.png").read_bytes()


def test_nothing_is_sent_twice_whoever_sends_it(sweep: Path) -> None:
    """A second pass, a second process, a lost memory and a moved folder all add nothing."""
    uri = tracking.default_uri(sweep.parent)
    uploader = Uploader(sweep, uri)
    assert uploader.pass_once() is None
    before = everything(sweep.parent)
    assert len(before["runs"]) == 6
    assert len(before["metrics"]) == 8 * 4 + 2 * 3  # epochs and values; arms and their bests
    assert uploader.pass_once() is None
    assert Uploader(sweep, uri).pass_once() is None
    assert everything(sweep.parent) == before
    (sweep / "tracking.json").unlink()
    assert uploader.pass_once() is None
    assert Uploader(sweep, uri).pass_once() is None
    (sweep / "tracking.json").write_text("[damaged")
    assert Uploader(sweep, uri).pass_once() is None
    assert everything(sweep.parent) == before
    moved = sweep.parent.parent / "elsewhere"
    moved.mkdir()
    shutil.copytree(sweep, moved / "digits")
    assert Uploader(moved / "digits", uri).pass_once() is None
    after = everything(sweep.parent)
    for table in ("runs", "metrics", "params", "experiments"):
        assert after[table] == before[table]


class Unreliable:
    """A client whose answer is lost after some number of calls: done, but nobody knows."""

    def __init__(self, client: Any, calls: int) -> None:
        self.client = client
        self.calls = calls

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            answer = getattr(self.client, name)(*args, **options)
            self.calls -= 1
            if self.calls < 0:
                raise ConnectionError("the answer was lost")
            return answer

        return call


def test_cut_off_after_any_call_the_next_uploader_makes_it_whole(sweep: Path) -> None:
    uri = tracking.default_uri(sweep.parent)
    client = client_of(sweep)
    calls = 0
    while True:
        uploader = Uploader(sweep, uri)
        vars(uploader._store)["client"] = Unreliable(client, calls)
        trouble = uploader.pass_once()
        if trouble is None:
            break
        assert "answer was lost" in trouble.message
        if calls % 3 == 0:  # ... and now and then what it remembered is lost too.
            (sweep / "tracking.json").unlink(missing_ok=True)
        calls += 1
    assert calls > 12
    runs = runs_of(client)
    assert len(runs) == 6
    for uid in (COMPLETED, STOPPED, DIVERGED, LEFT, FAILED):
        assert points_of(client, runs[uid]) == journalled(sweep, uid)


def test_what_was_sent_is_written_down_seldom_but_also_when_the_store_goes_away(
    sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a trial, all trials' lines anew, would grow with their number squared."""
    written = []
    keep = memory.write_json
    monkeypatch.setattr(memory, "SAVE_SECONDS", math.inf)
    monkeypatch.setattr(memory, "write_json", lambda *told: (written.append(told), keep(*told)))
    uploader = Uploader(sweep, tracking.default_uri(sweep.parent))
    vars(uploader._store)["client"] = Unreliable(client_of(sweep), 18)
    assert uploader.pass_once() is not None
    (sent,) = json.loads((sweep / "tracking.json").read_text()).values()
    assert (sent[COMPLETED]["epoch"], sent[STOPPED]["epoch"]) == (3, 2)
    assert len(written) == 2  # The first, and when the store went away.


def test_two_uploaders_at_once_make_one_set_of_runs(sweep: Path) -> None:
    uploaders = [Uploader(sweep, tracking.default_uri(sweep.parent)) for _ in range(3)]
    threads = [Thread(target=uploader.pass_once) for uploader in uploaders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs_of(client_of(sweep))) == 6


def test_a_run_in_a_journal_is_followed_line_by_line(storage: Path) -> None:
    place = storage / "digits"
    place.mkdir()
    make_plan(SweepSpec.of(SWEEP)).write(place)
    (place / "sweep.yaml").write_text("base: {data: digits}\n")
    uploader = Uploader(place, tracking.default_uri(storage))
    assert uploader.pass_once() is None  # Nothing ran yet: MLflow hears nothing.
    client = client_of(place)
    assert client.get_experiment_by_name("gansweep") is None
    with owned(place):
        drive(place, "sweep", state="running", pid=1, code_version="0.1")
        tell(place, COMPLETED, [9.0])
        # The next epoch is half written when the uploader looks.
        path = journal.journal_folder(place) / f"{COMPLETED}.jsonl"
        whole = path.read_bytes()
        with Journal(place, COMPLETED) as log:
            log.append("epoch", trial=COMPLETED, attempt=1, epoch=2, values={"fid500": 3.0})
        full = path.read_bytes()
        for content, points in ((full[:-9], 4), (full, 6)):
            path.write_bytes(content)
            assert uploader.pass_once() is None
            run = runs_of(client)[COMPLETED]
            assert run.info.status == "RUNNING"
            assert len(points_of(client, run)) == points
        assert len(full) > len(whole)
        assert runs_of(client)["digits"].info.status == "RUNNING"
    # The driver died without a word: its lock is free, so nobody is running this.
    assert uploader.pass_once() is None
    assert {run.info.status for run in runs_of(client).values()} == {"KILLED"}


def test_a_resumed_trial_goes_on_in_the_run_that_it_had(sweep: Path) -> None:
    uri = tracking.default_uri(sweep.parent)
    tracking.sync(sweep, uri)
    client = client_of(sweep)
    earlier = runs_of(client)[LEFT]
    drive(sweep, "sweep", state="running")
    healthy = {"state": "completed", "verdict": "healthy", "reason": "all 3 epochs"}
    tell(sweep, LEFT, [3.0, 2.0], first=2, **healthy)
    tell(sweep, WAITING, [6.0, 6.0, 6.0], **healthy)
    with owned(sweep):
        assert Uploader(sweep, uri).pass_once() is None
        assert runs_of(client)["digits"].info.status == "RUNNING"
    drive(sweep, "sweep", state="finished")
    tracking.sync(sweep, uri)
    runs = runs_of(client)
    assert runs[LEFT].info.run_id == earlier.info.run_id
    assert runs[LEFT].info.status == runs["digits"].info.status == "FINISHED"
    assert points_of(client, runs[LEFT]) == journalled(sweep, LEFT)
    assert runs[LEFT].data.tags["gansweep.attempts"] == "2"
    assert runs["digits"].data.metrics["best/minimax"] == 2.0


def test_pictures_have_the_names_that_mlflow_itself_gives(sweep: Path) -> None:
    import re

    tracking.sync(sweep, tracking.default_uri(sweep.parent))
    client = client_of(sweep)
    run = runs_of(client)[STOPPED]
    ours = sorted(a.path for a in client.list_artifacts(run.info.run_id, "images"))
    other = client.create_run(run.info.experiment_id)
    stamp = journal.read(sweep, STOPPED)[1]["time_ms"]
    picture = Image.open(sweep / "trials" / STOPPED / "samples" / "epoch-0001.png")
    client.log_image(other.info.run_id, picture, key="samples", step=1, timestamp=stamp)
    picture.close()
    theirs = sorted(a.path for a in client.list_artifacts(other.info.run_id, "images"))

    def anonymous(paths: list[str]) -> list[str]:
        unique = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
        assert all(re.search(unique, path) for path in paths)
        return [re.sub(unique, "UUID", path) for path in paths]

    assert anonymous([path for path in ours if "+step+1+" in path]) == anonymous(theirs)
    assert len(ours) == 4
    logged = client.get_run(other.info.run_id).data.tags["mlflow.loggedImages"]
    assert run.data.tags["mlflow.loggedImages"] == logged
    small = next(path for path in ours if path.endswith(".webp"))
    with Image.open(client.download_artifacts(run.info.run_id, small)) as thumbnail:
        assert thumbnail.size == (1024, 512)


def test_the_best_generator_of_each_arm_loads_without_pickle_for_any_batch(
    sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from torch import nn

    from gancore.systems import Product

    class Generator(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(
                nn.Linear(16, 64),
                nn.Unflatten(1, (4, 4, 4)),
                nn.BatchNorm2d(4),
                nn.ConvTranspose2d(4, 1, 4, 2, 1),
                nn.Tanh(),
            )

        def forward(self, latents: torch.Tensor) -> torch.Tensor:
            pictures: torch.Tensor = self.layers(latents)
            return pictures

    torch.manual_seed(0)
    generator = Generator().eval().requires_grad_(False)
    asked: list[Path] = []

    class Trained:
        def product(self) -> Product:
            return Product(
                kind="generator", network=generator, inputs={"latents": torch.zeros(2, 16)}
            )

    def load(path: Path) -> Trained:
        asked.append(path)
        return Trained()

    monkeypatch.setattr("gancore.training.checkpoint.load_system", load)
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    drive(sweep, "sweep", state="finished")
    uri = tracking.default_uri(sweep.parent)
    tracking.sync(sweep, uri)
    (sweep / "tracking.json").unlink()
    tracking.sync(sweep, uri)
    assert asked == [
        sweep / "trials" / COMPLETED / "checkpoints" / "epoch-0003.pt",
        sweep / "trials" / LEFT / "checkpoints" / "epoch-0001.pt",
    ]
    import mlflow

    client = client_of(sweep)
    run = runs_of(client)[COMPLETED]
    saved = {a.path for a in client.list_artifacts(run.info.run_id, "checkpoint")}
    assert saved == {"checkpoint/epoch-0003.pt", "checkpoint/epoch-0003.json"}
    (link,) = run.outputs.model_outputs
    assert link.step == 3
    model = client.get_logged_model(link.model_id)
    assert (model.status, model.source_run_id) == ("READY", run.info.run_id)
    monkeypatch.setattr(mlflow, "set_tracking_uri", mlflow.set_tracking_uri)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    try:
        loaded = mlflow.pytorch.load_model(f"models:/{link.model_id}")
    finally:
        mlflow.set_tracking_uri(before)
    latents = torch.randn(5, 16)
    assert torch.equal(loaded(latents), generator(latents))
    assert points_of(client, run) == journalled(sweep, COMPLETED)


def test_a_checkpoint_that_cannot_become_a_model_is_kept_and_said(sweep: Path) -> None:
    drive(sweep, "sweep", state="finished")
    tracking.sync(sweep, tracking.default_uri(sweep.parent))
    client = client_of(sweep)
    run = runs_of(client)[COMPLETED]
    assert "epoch-0003.json" in run.data.tags["gansweep.model_missing"]
    path = client.download_artifacts(run.info.run_id, "checkpoint/epoch-0003.pt")
    assert Path(path).read_bytes() == b"weights"
    assert not run.outputs.model_outputs


def test_a_network_that_would_load_for_one_batch_only_becomes_no_model(
    sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from gancore.systems import Product

    class Fixed(torch.nn.Module):
        def forward(self, latents: torch.Tensor) -> torch.Tensor:
            return latents.view(len(latents), 4, 4)  # A trace takes a length for a constant.

    class Trained:
        def product(self) -> Product:
            inputs = {"latents": torch.zeros(2, 16)}
            return Product(kind="generator", network=Fixed(), inputs=inputs)

    monkeypatch.setattr("gancore.training.checkpoint.load_system", lambda _: Trained())
    drive(sweep, "sweep", state="finished")
    tracking.sync(sweep, tracking.default_uri(sweep.parent))
    run = runs_of(client_of(sweep))[COMPLETED]
    assert "batch" in run.data.tags["gansweep.model_missing"]
    assert not run.outputs.model_outputs


def test_a_run_that_was_deleted_in_mlflow_is_made_anew(sweep: Path) -> None:
    uri = tracking.default_uri(sweep.parent)
    tracking.sync(sweep, uri)
    client = client_of(sweep)
    client.delete_run(runs_of(client)[STOPPED].info.run_id)
    tracking.sync(sweep, uri)
    assert points_of(client, runs_of(client)[STOPPED]) == journalled(sweep, STOPPED)
    client.delete_run(runs_of(client)["digits"].info.run_id)
    tracking.sync(sweep, uri)
    runs = runs_of(client)
    assert runs[STOPPED].data.tags["mlflow.parentRunId"] == runs["digits"].info.run_id
    assert len(runs) == 6


def test_a_run_that_vanishes_under_a_running_uploader_is_made_anew(sweep: Path) -> None:
    uploader = Uploader(sweep, tracking.default_uri(sweep.parent))
    assert uploader.pass_once() is None
    client = client_of(sweep)
    client.delete_run(runs_of(client)[LEFT].info.run_id)
    tell(sweep, LEFT, [3.0], first=2)
    trouble = uploader.pass_once()
    assert trouble is not None
    assert not trouble.lasting
    assert uploader.pass_once() is None
    assert points_of(client, runs_of(client)[LEFT]) == journalled(sweep, LEFT)


def test_memory_lost_under_a_running_uploader_makes_no_second_run(sweep: Path) -> None:
    uploader = Uploader(sweep, tracking.default_uri(sweep.parent))
    assert uploader.pass_once() is None
    (sweep / "tracking.json").unlink()
    tell(sweep, LEFT, [3.0], first=2)
    assert uploader.pass_once() is None
    client = client_of(sweep)
    runs = runs_of(client)
    assert len(runs) == 6
    assert points_of(client, runs[LEFT]) == journalled(sweep, LEFT)


def test_a_plan_that_grew_longer_leaves_parameters_as_they_were(sweep: Path) -> None:
    uri = tracking.default_uri(sweep.parent)
    tracking.sync(sweep, uri)
    longer = {**SWEEP, "base": {**SWEEP["base"], "epochs": 9}}
    make_plan(SweepSpec.of(longer)).write(sweep)
    (sweep / "tracking.json").unlink()
    tracking.sync(sweep, uri)  # MLflow refuses a parameter that changes.
    assert runs_of(client_of(sweep))[COMPLETED].data.params["epochs"] == "3"


def test_sweeps_of_one_store_do_not_meet(storage: Path) -> None:
    first, second = (write_sweep(storage / name) for name in ("digits", "again"))
    uri = tracking.default_uri(storage)
    tracking.sync(first, uri)
    tracking.sync(second, uri)
    client = client_of(first)
    runs = client.search_runs([client.get_experiment_by_name("gansweep").experiment_id])
    assert len(runs) == 12
    names = {run.info.run_id: run.info.run_name for run in runs}
    by_parent = [names.get(run.data.tags.get("mlflow.parentRunId", "")) for run in runs]
    assert by_parent.count("digits") == by_parent.count("again") == 5


def test_points_that_do_not_count_go_with_their_run(sweep: Path) -> None:
    """A trial was begun anew and came out otherwise: MLflow has what counts, and nothing else."""
    uri = tracking.default_uri(sweep.parent)
    uploader = Uploader(sweep, uri)
    assert uploader.pass_once() is None
    with Journal(sweep, LEFT) as log:
        start = next(r for r in journal.read(sweep, LEFT) if r["kind"] == "start")
        again = {key: start[key] for key in ("trial", "node", "device", "versions", "passport")}
        log.append("start", attempt=2, passport_digest="d16e57", **again)
        log.append("void", trial=LEFT, attempt=2, epoch=1, reason="fid500 is 3.0 and was 4.0")
        values = {"fid500": 3.0, "loss/generator@x": 1.0, "kimg": 1 / 7}
        log.append("epoch", trial=LEFT, attempt=2, epoch=1, values=values)
    assert uploader.pass_once() is None
    tracking.sync(sweep, uri)
    client = client_of(sweep)
    sent = points_of(client, runs_of(client)[LEFT])
    told = [value for key, *_, value in sent if not key.startswith("best/")]
    assert sorted(told) == sorted(map(repr, values.values()))
