"""Brings MLflow up to what a sweep's journal says, as often as it is asked.

It does not replay events: it compares what the results are with what MLflow has been told, and
sends the difference. So it may die, lag behind or start over at any point.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from sweeps import bucket, folder, journal, plugins
from sweeps.errors import EnvironmentTrouble
from sweeps.results import Results, TrialResult
from sweeps.tracking import description, images, models, notes
from sweeps.tracking.address import check_uri, redacted
from sweeps.tracking.description import EVALUATED, EVALUATIONS, SWEEP_ID, TRIAL, Value
from sweeps.tracking.memory import Memory, Sent
from sweeps.tracking.store import (
    PARENT,
    REFUSED_WAIT_SECONDS,
    Failure,
    RunGone,
    Store,
    Trouble,
    failures,
)

FILES = ("sweep.yaml", "plan.json", "results.csv")


class Uploader:
    """Tells one tracking store of one sweep: a parent run, and a child run a trial.

    Args:
        sweep: The sweep's folder.
        uri: The tracking store.
        rebuild: Takes nothing for sent, whatever is remembered: what MLflow has is compared.

    Raises:
        UserError: The address cannot be a tracking store's.
    """

    def __init__(self, sweep: Path, uri: str, *, rebuild: bool = False) -> None:
        check_uri(uri)
        self.sweep = sweep
        self._copy = bucket.of(sweep)
        self.results = Results.read(sweep)
        self._uri = uri
        self._store = Store(uri, sweep.parent)
        self._memory = Memory(sweep, redacted(uri))
        self._known: dict[str, Any] | None = None
        self._just_asked = False
        self._rebuild = rebuild
        self._tags: dict[str, str] = {}

    def over(self) -> bool:
        """Whether nobody is running the sweep now; its last words may still be unread."""
        ended = self.results.state not in ("planned", "running")
        try:
            return ended or not folder.is_owned(self.sweep)
        except EnvironmentTrouble:
            return True  # Then nothing can be told of it either.

    def pass_once(self) -> Trouble | None:
        """Sends what MLflow lacks; returns what kept it from getting everything.

        Raises:
            StoreReplaced: The database is another one now, and wants another process.
        """
        # Asked first: who wrote the journal has then written all that is read next.
        over = self.over()
        try:
            self.results.refresh()
        except EnvironmentTrouble as error:  # The bucket is away: the next pass asks again.
            return Trouble(str(error))
        sweep_id = journal.sweep_id(self.sweep)
        if sweep_id is None:
            return None
        try:
            self._store.check_same()
            with failures(self._uri):
                self._bring_up_to_date(sweep_id, over)
        except Failure as failure:
            return self._expired(failure.trouble)
        except RunGone as gone:
            self._known = None  # It is looked for, and made anew, in the next pass.
            self._store.forget_experiment()
            return Trouble(str(gone), healed=True)
        self._store.check_same()
        return None

    def _expired(self, trouble: Trouble) -> Trouble:
        """Who was let in before may be again: a token runs out, and is renewed."""
        if not (trouble.refused and self._memory.runs):
            return trouble
        wait = max(trouble.wait_seconds, REFUSED_WAIT_SECONDS)
        return replace(trouble, lasting=False, wait_seconds=wait)

    def _bring_up_to_date(self, sweep_id: str, over: bool) -> None:
        state = "interrupted" if over and self.results.state == "running" else self.results.state
        tags = description.sweep_tags(self.results, state)
        if self._known is not None and tags == self._tags and not self._behind(over):
            return
        with self._memory.locked():
            self._forget_what_is_gone(sweep_id)
            parent = self._parent(sweep_id)
            pages = notes.Pages(self._store.experiment_id, sweep_id, self._memory.runs)
            try:
                for result in self._behind(over):
                    self._send_trial(pages, result, _state(result, over))
                self._send_sweep(pages, parent, state, tags)
            finally:
                self._memory.save()
        self._tags = tags

    def _behind(self, over: bool) -> list[TrialResult]:
        """The trials of which MLflow has not heard the latest."""
        found = []
        # While others run a sweep, who evaluates sends it himself: one look at the end will do.
        look = over or self._known is None
        for uid, result in self.results.trials.items():
            if not result.starts and not result.ended:
                continue
            now = (result.epoch, _state(result, over), len(result.starts))
            sent = self._memory.runs.get(uid)
            told = sent and (sent.epoch, sent.state, sent.attempts)
            retired = over and result.trial.phase == "retired"  # Its run may say otherwise.
            later = look and sent and sent.evaluations != self._evaluations(uid)
            if now != told or later or retired:
                found.append(result)
        return found

    def _forget_what_is_gone(self, sweep_id: str) -> None:
        """At first, and after a run was found missing: only what MLflow really has is known."""
        self._just_asked = self._known is None
        if self._known is None:
            # Should two have been made of one in spite of all, the older is the one to go on with.
            runs = self._store.find_runs({SWEEP_ID: sweep_id})[::-1]
            self._known = {run.data.tags.get(TRIAL, journal.DRIVER): run for run in runs}
            ids = {run.info.run_id for run in runs}
            kept = self._memory.runs.items()
            self._memory.runs = {owner: sent for owner, sent in kept if sent.run in ids}
            if self._rebuild:
                self._memory.runs = {o: Sent(run.info.run_id) for o, run in self._known.items()}
            for owner, sent in self._memory.runs.items():
                # Ended by hand, or set running again: it is told once more.
                told = description.STATUS.get(sent.state, "RUNNING")
                if owner in self._known and self._known[owner].info.status != told:
                    sent.state = ""

    def _parent(self, sweep_id: str) -> Sent:
        sent = self._memory.runs.get(journal.DRIVER)
        if sent is None:
            self._memory.runs.clear()  # Its children must be told of it, should they be there.
            params = description.sweep_params(self.results.plan)
            began = self.results.began_ms or 0
            sent = self._run(sweep_id, journal.DRIVER, self.sweep.name, began, params)
            self._send_files(sent.run)
        return sent

    def _run(
        self,
        sweep_id: str,
        owner: str,
        name: str,
        start_ms: int,
        params: dict[str, str],
    ) -> Sent:
        """The run of a trial or of the sweep: the one that is there, or else a new one."""
        identity = description.identity(sweep_id, owner)
        run = (self._known or {}).get(owner)
        if run is None and not self._just_asked:
            run = next(iter(self._store.find_runs(identity)), None)
        if run is None:
            run = self._store.make_run(name, start_ms, identity)
        # A parameter never changes in MLflow: one that is there already is let be.
        self._store.log(
            run.info.run_id,
            params={k: v for k, v in params.items() if k not in run.data.params},
        )
        # Not saved yet: should we die before, it is found again by its tags.
        sent = self._memory.runs[owner] = Sent(run.info.run_id)
        return sent

    def _send_trial(self, pages: notes.Pages, result: TrialResult, state: str) -> None:
        trial, parent = result.trial, pages.runs[journal.DRIVER].run
        records = journal.read(self.sweep, trial.uid)
        sent = self._memory.runs.get(trial.uid)
        if sent and sent.voids != len(result.voids):
            # A point of MLflow's stays for ever; what does not count goes with its run.
            self._store.client.delete_run(sent.run)
            self._known = {u: run for u, run in (self._known or {}).items() if u != trial.uid}
            sent = None
        start_ms = (records[0]["time_ms"] if records else self.results.began_ms) or 0
        if sent is None:
            params = description.trial_params(trial.config)
            sent = self._run(pages.sweep, trial.uid, trial.uid, start_ms, params)
            sent.voids = len(result.voids)
        points = [p for p in result.points if p.epoch > sent.epoch]
        values = description.trial_values(points)
        values += description.best_values(result, sent.epoch)
        values = self._lacking(trial.uid, values)
        tags = {PARENT: parent, **description.trial_tags(result, state, self.sweep.name)}
        tags[description.RESOURCES] = str(self.results.plan.needs(trial))
        tags[notes.TAG] = notes.of_trial(self.results, result, state, pages)
        with tempfile.TemporaryDirectory() as scratch:
            # The untrained generator's grid comes first: MLflow's slider starts at step 0.
            first = [] if sent.epoch else [(0, start_ms)]
            for epoch, time_ms in [*first, *((p.epoch, p.time_ms) for p in points)]:
                grid = self._copy.here(images.grid_of(self._trial_folder(trial.uid), epoch))
                if grid.is_file():
                    owner = f"{pages.sweep}/{trial.uid}"
                    images.stage(grid, Path(scratch), owner=owner, epoch=epoch, time_ms=time_ms)
            self._drop_what_is_there(sent.run, Path(scratch))
            if any(Path(scratch).iterdir()):
                self._store.client.log_artifacts(sent.run, scratch, images.FOLDER)
                tags["mlflow.loggedImages"] = "True"
        self._store.log(sent.run, values=values, tags=tags)
        if state != sent.state:
            last_ms = records[-1]["time_ms"] if records else self.results.began_ms
            self._store.set_state(sent.run, state, last_ms or 0)
        sent.epoch, sent.state, sent.attempts = result.epoch, state, len(result.starts)
        self._send_evaluations(sent, result)
        self._memory.save_now_and_then()

    def _lacking(self, owner: str, values: list[Value]) -> list[Value]:
        """The points that a run does not have; all, unless what MLflow has is compared."""
        run = (self._known or {}).get(owner)
        if not self._rebuild or run is None:
            return values
        there = self._store.points(run)
        return [v for v in values if (v.key, v.step, v.time_ms, repr(v.value)) not in there]

    def _drop_what_is_there(self, run: str, staged: Path) -> None:
        """Of staged pictures, those that MLflow has whole, where what it has is compared."""
        there = self._store.files(run, images.FOLDER) if self._rebuild else {}
        for path in staged.iterdir():
            if there.get(path.name) == path.stat().st_size:
                path.unlink()

    def _send_evaluations(self, sent: Sent, result: TrialResult) -> None:
        """What `gansweep evaluate` has found of a trial's checkpoints: files and numbers."""
        uid, features = result.trial.uid, result.trial.config["evaluation"]["features"]
        there = self._evaluations(uid)
        for name in [
            name for name, digest in there.items() if digest != sent.evaluations.get(name)
        ]:
            path = self._trial_folder(uid) / EVALUATIONS / name
            try:
                facts = json.loads(path.read_text(encoding="utf-8"))
                values = description.evaluation_values(facts, features)
                intervals = description.evaluation_tags(facts, features)
            except (ValueError, KeyError):  # Damaged, or not ours: no reason to send nothing else.
                continue
            self._store.client.log_artifact(sent.run, str(path), EVALUATIONS)
            names = ", ".join(other.removesuffix(".json") for other in there)
            self._store.log(sent.run, values=values, tags={EVALUATED: names, **intervals})
        sent.evaluations = there

    def _evaluations(self, uid: str) -> dict[str, str]:
        """The evaluations of a trial's checkpoints, with a digest of each."""
        files = sorted((self._trial_folder(uid) / EVALUATIONS).glob("*.json"))
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    def _send_sweep(
        self, pages: notes.Pages, parent: Sent, state: str, tags: dict[str, str]
    ) -> None:
        values = []
        if state not in ("planned", "running", parent.state):
            # Only now: while trials report out of order, the best so far may still change.
            values = list(description.best_so_far(self.results))
            values += description.confirmed_means(self.results)
            self.results.write_csv()
            self._send_files(parent.run)
        if state == "finished":
            for _, trials in self.results.leaderboard:
                if trials[0].best is not None:
                    self._send_model(trials[0])
        note = notes.of_sweep(self.results, state, pages)
        self._store.log(parent.run, values=values, tags={**tags, notes.TAG: note})
        if state != parent.state:
            driver = journal.read(self.sweep, journal.DRIVER)
            last = [driver[-1]["time_ms"]]
            last += [r.points[-1].time_ms for r in self.results.trials.values() if r.points]
            self._store.set_state(parent.run, state, max(last))
        parent.state = state

    def _send_files(self, run: str) -> None:
        for name in FILES:
            if (self.sweep / name).is_file():
                self._store.client.log_artifact(run, str(self.sweep / name))
        report = self.sweep / folder.REPORT
        if report.is_dir():
            self._store.client.log_artifacts(run, str(report), folder.REPORT)

    def _send_model(self, result: TrialResult) -> None:
        """The best checkpoint of a trial and, loadable without this package, its generator."""
        run, epoch = self._memory.runs[result.trial.uid].run, result.best_epoch or 0
        folder = self._trial_folder(result.trial.uid) / "checkpoints"
        checkpoint = self._copy.here(folder / f"epoch-{epoch:04d}.pt")
        client, tag = self._store.client, {"gansweep.model": f"epoch {epoch}"}
        if client.get_run(run).data.tags.items() >= tag.items() or not checkpoint.is_file():
            return
        for path in (checkpoint, checkpoint.with_suffix(".json")):
            client.log_artifact(run, str(path), "checkpoint")
        plugins.run(self.results.plan.plugins, self.sweep / "plugins")
        try:
            if not models.has_model(client, run, epoch):
                models.log_product(client, run, checkpoint, epoch)
        except models.NotExportable as error:
            # Weights and configuration are there, in the checkpoint; say why they are alone.
            tag["gansweep.model_missing"] = str(error)[:500]
        self._store.log(run, tags=tag)

    def _trial_folder(self, uid: str) -> Path:
        return self.sweep / "trials" / uid


def _state(result: TrialResult, over: bool) -> str:
    """A trial that runs in a sweep that nobody runs was interrupted."""
    return "interrupted" if over and result.state == "running" else result.state
