"""What must hold of a sweep's folder after any fault: each invariant a function of its own.

Each yields sentences that say what is unsound; `assert_sound` asks all of them. Two kinds: those
that hold at any time, also just after a crash, and those that hold when nothing is left to do
(`at_rest`).
"""

from __future__ import annotations

import json
import math
import re
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sweeps import folder, journal
from sweeps.results import Results

CLOCKED = ("seconds_training", "seconds_evaluation", "pictures_per_second")
"""Values that no two runs share."""

_LINE = re.compile(rb'^(\{.*),"crc":"([0-9a-f]{8})"\}$')


@dataclass(frozen=True)
class Subject:
    """A sweep to be looked at.

    Args:
        reference: The folder of the same sweep, undisturbed.
        store: MLflow's address, where it should have everything.
    """

    place: Path
    reference: Path | None = None
    store: str | None = None

    @cached_property
    def results(self) -> Results:
        return Results.read(self.place)

    @cached_property
    def records(self) -> dict[str, list[journal.Record]]:
        """Every record that can be read, by writer."""
        return {w: journal.read(self.place, w) for w in self.writers}

    @property
    def writers(self) -> list[str]:
        return sorted(p.stem for p in journal.journal_folder(self.place).glob("*.jsonl"))

    def checkpoints(self, uid: str) -> Path:
        return self.place / "trials" / uid / "checkpoints"


Invariant = Callable[[Subject], Iterator[str]]


def planned_trials(subject: Subject) -> Iterator[str]:
    """I1: the trials that there are, in journal and folders, are those planned."""
    uids = [trial.uid for trial in subject.results.plan.trials]
    for uid, count in Counter(uids).items():
        if count > 1:
            yield f"{uid} is planned {count} times"
    for writer in subject.writers:
        if writer not in (*uids, journal.DRIVER):
            yield f"{writer} has a journal and is not planned"
    for path in sorted((subject.place / "trials").glob("*")):
        if path.name not in uids:
            yield f"{path.name} has a folder and is not planned"
    for uid in uids:
        if (subject.place / "trials" / uid).is_dir() and uid not in subject.writers:
            yield f"{uid} has a folder and no journal"


def whole_lines(subject: Subject) -> Iterator[str]:
    """I2: every line of the journal is a record; only the last may be torn.

    The bytes are read here: the product's reader passes over what is damaged.
    """
    for writer in subject.writers:
        content = (journal.journal_folder(subject.place) / f"{writer}.jsonl").read_bytes()
        for number, line in enumerate(content.split(b"\n")[:-1], 1):
            found = _LINE.match(line)
            if not found or zlib.crc32(found[1] + b"}") != int(found[2], 16):
                yield f"{writer}.jsonl:{number}: not a record: {line[:60]!r}"


def epochs_in_order(subject: Subject) -> Iterator[str]:
    """I2: a trial's epochs are journalled one after the other, each once."""
    for uid, result in subject.results.trials.items():
        last = result.trial.begins
        for record in subject.records.get(uid, []):
            if record["kind"] == "epoch":
                if record["epoch"] != last + 1:
                    yield f"{uid}: epoch {record['epoch']} follows epoch {last}"
                last = record["epoch"]


def attempts_in_order(subject: Subject) -> Iterator[str]:
    """I2: attempts are numbered 1, 2, ..., and none reports after a later one has begun."""
    for uid in subject.results.trials:
        now = 0
        for record in subject.records.get(uid, []):
            attempt = record.get("attempt", now)
            if record["kind"] == "start" and attempt != now + 1:
                yield f"{uid}: attempt {attempt} follows attempt {now}"
            elif record["kind"] != "start" and attempt != now:
                yield f"{uid}: {record['kind']} of attempt {attempt} during attempt {now}"
            if record["kind"] == "start":
                now = attempt


def nothing_after_the_end(subject: Subject) -> Iterator[str]:
    """I2: a trial ends once, and reports nothing afterwards."""
    for uid in subject.results.trials:
        kinds = [record["kind"] for record in subject.records.get(uid, [])]
        if "end" in kinds and kinds.index("end") != len(kinds) - 1:
            yield f"{uid}: after its end: {', '.join(kinds[kinds.index('end') + 1 :])}"


def checkpoints_verify(subject: Subject) -> Iterator[str]:
    """I5: the newest checkpoint that claims to be whole is, and is of an epoch journalled."""
    from gancore.training import checkpoint

    for uid, result in subject.results.trials.items():
        claimed = sorted(subject.checkpoints(uid).glob("epoch-*.json"), key=_epoch_of)
        if not claimed:
            continue
        newest = claimed[-1].with_suffix(".pt")
        if _epoch_of(newest) > result.epoch:
            yield f"{uid}: {newest.name}, though the journal ends at epoch {result.epoch}"
        try:
            found = checkpoint.load(newest)
        except Exception as error:
            yield f"{uid}: {newest.name} does not verify: {type(error).__name__}: {error}"
            continue
        if found.epoch != _epoch_of(newest):
            yield f"{uid}: {newest.name} holds epoch {found.epoch}"
        if json.dumps(found.config) not in _configs(result.trial):
            yield f"{uid}: {newest.name} is of another configuration"


def little_done_twice(subject: Subject) -> Iterator[str]:
    """I5: an attempt goes on from the last epoch journalled or the one before, and not from 0."""
    for uid, result in subject.results.trials.items():
        last = result.trial.begins
        for record in subject.records.get(uid, []):
            if record["kind"] == "start" and "from_epoch" in record:
                again = last - record["from_epoch"]
                if not 0 <= again <= 1:
                    yield (
                        f"{uid}: attempt {record['attempt']} began after epoch "
                        f"{record['from_epoch']}, when {last} were journalled"
                    )
            last = record["epoch"] if record["kind"] == "epoch" else last


def best_is_there(subject: Subject) -> Iterator[str]:
    """I5: the checkpoint that `best.json` names is there."""
    for uid in subject.results.trials:
        best = subject.place / "trials" / uid / "best.json"
        if best.is_file():
            name = json.loads(best.read_text())["checkpoint"]
            if not (subject.checkpoints(uid) / name).is_file():
                yield f"{uid}: best.json names {name}, which is not there"


def all_have_ended(subject: Subject) -> Iterator[str]:
    """I1: of a sweep at rest every planned trial has ended, and the sweep says so."""
    for uid, result in subject.results.trials.items():
        if not result.ended:
            yield f"{uid} is {result.state} after epoch {result.epoch} of {result.trial.epochs}"
    if subject.results.state != "finished":
        yield f"the sweep is {subject.results.state}"


def last_state_is_kept(subject: Subject) -> Iterator[str]:
    """I5: at rest every trial has a checkpoint of the last epoch that did not diverge."""
    for uid, result in subject.results.trials.items():
        sound = result.epoch - (result.state == "diverged")
        own = [_epoch_of(path) for path in subject.checkpoints(uid).glob("epoch-*.json")]
        if sound > result.trial.begins and max(own, default=0) != sound:
            yield f"{uid}: newest checkpoint is of epoch {max(own, default=0)}, not {sound}"


def same_numbers(subject: Subject) -> Iterator[str]:
    """I6: every number of every epoch is bit for bit that of the undisturbed sweep."""
    if subject.reference is None:
        return
    for uid, other in Results.read(subject.reference).trials.items():
        mine, its = (_curve(r) for r in (subject.results.trials.get(uid), other))
        for epoch in sorted(mine.keys() | its.keys()):
            if mine.get(epoch) != its.get(epoch):
                yield f"{uid}: epoch {epoch} is {mine.get(epoch)}, undisturbed {its.get(epoch)}"


def same_decisions(subject: Subject) -> Iterator[str]:
    """I6: every trial met the same fate as in the undisturbed sweep, for the same reason."""
    if subject.reference is None:
        return
    others = Results.read(subject.reference).trials
    for uid in sorted(subject.results.trials.keys() | others.keys()):
        mine, its = (_fate(trials.get(uid)) for trials in (subject.results.trials, others))
        if mine != its:
            yield f"{uid}: {mine}, undisturbed {its}"


def tracked_once(subject: Subject) -> Iterator[str]:
    """I4: MLflow has one run a trial that began, and one of the sweep; none is left RUNNING."""
    if subject.store is None:
        return
    began = {u for u, r in subject.results.trials.items() if r.starts or r.ended}
    runs = _runs(subject)
    counts = Counter(_owner(run) for run in runs)
    for owner in sorted(began | counts.keys() | {journal.DRIVER}):
        asked = int(owner in began or owner == journal.DRIVER)
        if counts[owner] != asked:
            yield f"MLflow has {counts[owner]} runs of {owner}, not {asked}"
    for run in runs:
        if run.info.status == "RUNNING" and subject.results.state != "running":
            yield f"MLflow's run of {_owner(run)} is RUNNING, the sweep {subject.results.state}"


def tracked_exactly(subject: Subject) -> Iterator[str]:
    """I3: MLflow's history of every trial and key is the journal's: count, bits, one row a step."""
    if subject.store is None:
        return
    from mlflow import MlflowClient

    client = MlflowClient(subject.store)
    for run in _runs(subject):
        uid = _owner(run)
        if uid == journal.DRIVER or uid not in subject.results.trials:
            continue
        mine = _points(subject, uid)
        its = Counter(
            (m.key, m.step, m.timestamp, repr(m.value))
            for key in run.data.metrics
            for m in client.get_metric_history(run.info.run_id, key)
        )
        for point in sorted((mine - its).keys()):
            yield f"{uid}: MLflow lacks {point}"
        for point in sorted((its - mine).keys()):
            yield f"{uid}: MLflow has {point}, which the journal has not"


def report_builds(subject: Subject) -> Iterator[str]:
    """I7: the report can be built, where there is a score."""
    from sweeps.compare.analysis import analysis
    from sweeps.report import write_report

    if all(result.best is None for result in subject.results.trials.values()):
        return
    with tempfile.TemporaryDirectory() as scratch:
        try:
            write_report([subject.results], Path(scratch) / "report", analysis([subject.results]))
        except Exception as error:
            yield f"no report: {type(error).__name__}: {error}"


def no_traceback(subject: Subject) -> Iterator[str]:
    """I8: what the uploader logged is no traceback."""
    log = subject.place / "tracking.log"
    if log.is_file() and b"Traceback" in log.read_bytes():
        yield "tracking.log has a traceback"


def no_litter(subject: Subject) -> Iterator[str]:
    """No half-written file is left, and nobody holds the sweep."""
    for path in sorted(subject.place.rglob(".*")):
        # What was half pinned is swept by the next driver once nobody can be writing it any more.
        parts = path.relative_to(subject.place).parts
        if path.is_file() and not parts[0].startswith("tune") and parts[0] != "pinned":
            yield f"{path.relative_to(subject.place)} is left over"
    for path in sorted(subject.place.glob("trials/*/checkpoints/epoch-*.pt")):
        if not path.with_suffix(".json").is_file():
            yield f"{path.relative_to(subject.place)} has no facts"
    if folder.is_owned(subject.place):
        yield "a process still holds the sweep"


ALWAYS: tuple[Invariant, ...] = (
    planned_trials,
    whole_lines,
    epochs_in_order,
    attempts_in_order,
    nothing_after_the_end,
    checkpoints_verify,
    little_done_twice,
    best_is_there,
)
AT_REST: tuple[Invariant, ...] = (
    all_have_ended,
    last_state_is_kept,
    same_numbers,
    same_decisions,
    tracked_once,
    tracked_exactly,
    report_builds,
    no_traceback,
    no_litter,
)


def unsound(
    place: Path,
    reference: Path | None = None,
    *,
    store: str | None = None,
    at_rest: bool = True,
    but: Collection[Invariant] = (),
) -> dict[str, list[str]]:
    """What is unsound of a sweep's folder, by the name of the invariant; empty where all is well.

    Args:
        reference: The folder of the same sweep, undisturbed: then numbers and decisions must be
            the same.
        store: MLflow's address: then it must have everything, once.
        at_rest: Whether the sweep should have ended, with nothing left to do; if not, only that is
            asked which holds at any time.
        but: Left out, for their cost.
    """
    subject = Subject(place, reference, store)
    found = {}
    for invariant in (*ALWAYS, *(AT_REST if at_rest else ())):
        if invariant not in but and (troubles := list(invariant(subject))):
            found[invariant.__name__] = troubles
    return found


def assert_sound(
    place: Path,
    reference: Path | None = None,
    *,
    store: str | None = None,
    at_rest: bool = True,
) -> None:
    """Fails with all that is unsound of a sweep's folder: see `unsound`."""
    found = unsound(place, reference, store=store, at_rest=at_rest)
    lines = [f"{name}: {text}" for name, troubles in found.items() for text in troubles[:5]]
    if lines:
        raise AssertionError(f"{place} is unsound\n  " + "\n  ".join(lines))


def _epoch_of(path: Path) -> int:
    return int(path.stem.removeprefix("epoch-"))


def _configs(trial: Any) -> list[str]:
    """The configurations that a trial's checkpoints may have, in the order of their keys."""
    from gancore.config import RunConfig

    runs = [trial.config, *(run for _, run in trial.before)]
    return [json.dumps(RunConfig.of(run).as_mapping()) for run in runs]


def _curve(result: Any) -> dict[int, dict[str, str]]:
    points = result.points if result else []
    return {
        p.epoch: {k: repr(v) for k, v in sorted(p.values.items()) if k not in CLOCKED}
        for p in points
    }


def _fate(result: Any) -> tuple[str, int, str, str] | None:
    return (result.state, result.epoch, result.verdict, result.reason) if result else None


def _owner(run: Any) -> str:
    return str(run.data.tags.get("gansweep.trial", journal.DRIVER))


def _runs(subject: Subject) -> list[Any]:
    """MLflow's runs of this sweep, deleted ones left out."""
    from mlflow import MlflowClient

    from sweeps.tracking.description import SWEEP_ID
    from sweeps.tracking.store import experiment_name

    client = MlflowClient(subject.store)
    experiment = client.get_experiment_by_name(experiment_name())
    if experiment is None:
        return []
    query = f"tags.`{SWEEP_ID}` = '{journal.sweep_id(subject.place)}'"
    return list(client.search_runs([experiment.experiment_id], query, max_results=5000))


def _points(subject: Subject, uid: str) -> Counter[tuple[str, int, int, str]]:
    """A trial's points as MLflow should have them: legal names, no infinity, its best so far."""
    from sweeps.tracking.description import best_values, legal

    result = subject.results.trials[uid]
    told = [
        (legal(key), point.epoch, point.time_ms, value)
        for point in result.points
        for key, value in point.values.items()
    ]
    told += [(v.key, v.step, v.time_ms, v.value) for v in best_values(result, 0)]
    return Counter(
        (key, epoch, time_ms, repr(value if math.isfinite(value) else math.nan))
        for key, epoch, time_ms, value in told
    )
