"""Runs a sweep: plan to trials, trials to Ray Tune, journal to results."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from gancore import determinism
from gancore.files import clear_temporaries, write_atomically
from sweeps import (
    asking,
    cluster,
    folder,
    journal,
    pinned,
    planfile,
    provenance,
    storage,
    tracking,
    trust,
)
from sweeps.asking import Source
from sweeps.compare.present import write_sweep_report
from sweeps.dispatch import Dispatcher
from sweeps.errors import EnvironmentTrouble, UserError
from sweeps.extending import COPY, settle
from sweeps.journal import Journal
from sweeps.plan import Plan, make_plan
from sweeps.results import Results
from sweeps.spec import SweepSpec
from sweeps.version import code_version

LEFT_SECONDS = 60
"""How old a half-written file of the sweep's own must be to be nobody's any more."""

DRAIN_SECONDS = 60
"""How long a finished sweep waits for MLflow; what is left then is sent by `gansweep sync`."""


class Watch(Protocol):
    """Shows a sweep while it runs: a context that is entered with the results it follows."""

    def __call__(self, results: Results, /) -> AbstractContextManager[object]: ...


@dataclass(frozen=True)
class Options:
    """Where and how to run a sweep; what to run stands in its file alone.

    Args:
        storage: Folder of all sweeps. On a cluster, one that every node sees.
        address: Of a running Ray cluster; None starts Ray on this machine.
        tracking_uri: Of an MLflow server; None takes the store beside the sweeps.
        verbose: Lets Ray and Tune speak.
        insecure: Joins a cluster that asks nobody for a token.
        accept_data_change: Goes on though the pictures are not those that the sweep began with.
        watch: Shows progress; None shows nothing.
    """

    storage: Path = Path("runs")
    address: str | None = None
    tracking_uri: str | None = None
    verbose: bool = False
    insecure: bool = False
    accept_data_change: bool = False
    watch: Watch | None = None


def run(source: Source, options: Options | None = None, *, name: str | None = None) -> Results:
    """Runs a sweep from its file, its mapping or its specification, to the end.

    Where a sweep of the name has begun and its file asks for the same, it goes on.

    Args:
        name: Of the sweep; None takes the file's `name`, or its file name.

    Returns:
        The results; `Results.state` is `interrupted` after Ctrl-C, and `resume` goes on.

    Raises:
        UserError: The file is wrong, with every problem in it.
        Busy: The name is in use: by a sweep that is finished, or of another question, with every
            key of which the file says something else.
        EnvironmentTrouble: Ray or the storage cannot be used, or pictures or weights are missing.
    """
    options = options or Options()
    spec = asking.load_spec(source)
    if options.tracking_uri:
        tracking.check_uri(options.tracking_uri)
    plan = make_plan(spec)
    place = folder.named(options.storage.resolve(), name or plan.name)
    if folder.is_sweep(place):
        return _execute(place, options, lambda: asking.again(place, source, spec))
    with folder.built(place.parent, place.name) as draft:
        write_atomically(draft / COPY, spec.text.encode())
        _copy_plugins(spec, draft)
        plan.write(draft)
        trust.remember(draft)
    return _execute(place, options)


def resume(place: Path, options: Options | None = None, *, source: Source | None = None) -> Results:
    """Goes on with a sweep: trials that ended stay as they are, others go on from their newest
    checkpoint, and the scheduler's rungs are rebuilt from the journal.

    Args:
        source: The sweep's file as it is now; None takes the sweep's own copy, if that has been
            edited. What changes no trial is taken over: `resources` and `budget`.

    Raises:
        Busy: The sweep is running.
        UserError: It has plug-ins that this user neither ran nor trusts.
        UserError: The file asks for more than the sweep does, or for something else.
    """
    trust.check(place)
    options = options or Options()
    if options.tracking_uri:
        tracking.check_uri(options.tracking_uri)
    results = Results.read(place)
    if results.state == "finished":
        asking.edited(place, source)
        return results
    return _execute(place, options, lambda: asking.edited(place, source))


def extend(
    place: Path,
    source: Source | None = None,
    options: Options | None = None,
    *,
    wanted: Mapping[str, int] | None = None,
) -> Results:
    """Adds trials, arms, epochs or seeds to a sweep, and goes on with it.

    Args:
        source: The larger sweep; None takes the sweep's own file.
        wanted: Numbers that are set in it, such as `{"search.trials_each": 16}`.

    Raises:
        Busy: The sweep is running.
        UserError: It asks for nothing more, for something else, or for what could only have been
            planned from the start.
    """
    options = options or Options()
    if options.tracking_uri:
        tracking.check_uri(options.tracking_uri)
    spec = asking.larger(place, source, wanted or {})

    def amendment() -> dict[str, Any]:
        asked = asking.more(place, source, spec)
        _copy_plugins(spec, place)
        trust.remember(place)
        return asked

    return _execute(place, options, amendment)


def _execute(
    place: Path,
    options: Options,
    amendment: Callable[[], Mapping[str, Any] | None] = lambda: None,
) -> Results:
    """Trains what is left of a sweep.

    Args:
        amendment: Gives what is to be amended, once nobody else can change the sweep.
    """
    place = place.resolve()  # Workers have folders of their own.
    with storage.named(place), folder.owned(place), Journal(place, journal.DRIVER) as log:
        for part in (place, place / "evaluation"):
            clear_temporaries(part, older_than=LEFT_SECONDS)
        amended = amendment()
        identity = journal.sweep_id(place) or planfile.identity(place) or uuid.uuid4().hex
        log.append(
            "sweep", state="running", id=identity, pid=os.getpid(), code_version=code_version()
        )
        if options.accept_data_change:
            pinned.forget(place)
        if amended:
            log.append("amend", **amended)
        settle(place, log)
        plan, results = Plan.read(place), Results.read(place)
        before = provenance.attempts(results)
        uri = options.tracking_uri or tracking.default_uri(place.parent)
        uploader = tracking.start_uploader(place, uri)
        with options.watch(results) if options.watch else nullcontext():
            try:
                _train(place, plan, log, options)
            finally:
                tracking.wait(uploader, DRAIN_SECONDS)
                results.refresh()
        provenance.warn(results, before)
    return results


def _train(place: Path, plan: Plan, log: Journal, options: Options) -> None:
    """Starts or joins Ray, trains, and journals how it ended, whatever happens."""
    state = "failed"
    try:
        with cluster.connected(options.address, verbose=options.verbose, insecure=options.insecure):
            cluster.check_resources(
                plan.resources.cpu, plan.resources.gpu, local=options.address is None
            )
            _tune(place, plan, log, options.verbose)
        ended = all(r.ended for r in Results.read(place).trials.values())
        state = "finished" if ended else "interrupted"
    except KeyboardInterrupt:
        state = "interrupted"
    finally:
        try:
            _sum_up(place, state)
        finally:
            log.append("sweep", state=state, id=journal.sweep_id(place))


def _sum_up(place: Path, state: str) -> None:
    """Table and report, before MLflow hears of the end and looks for them.

    Who interrupts a sweep wants out: its report is there for `gansweep compare`.
    """
    results = Results.read(place)
    results.state = state
    results.write_csv()
    if state != "finished":
        return
    try:
        write_sweep_report(results)
    except Exception as error:  # All that was trained is there; the report can be had again.
        print(f"warning: no report: {error}; later: gansweep compare {place.name}", file=sys.stderr)


def _tune(place: Path, plan: Plan, log: Journal, verbose: bool) -> None:
    """Hands the trials to Ray Tune.

    Raises:
        EnvironmentTrouble: Pictures or weights that every trial needs are missing, or the disk
            takes no more.
    """
    from ray import tune

    from sweeps.schedule.tune import Handout, Missing, RuleScheduler, Workers

    cluster.survive_out_of_memory()
    # What Tune keeps of itself is never read: that the disk did not take it is not worth a page.
    logging.getLogger("ray.tune.execution.experiment_state").disabled = not verbose
    dispatcher = Dispatcher(Results.read(place), log)
    # As many as Tune itself keeps ready where it knows all trials; the dispatcher may give fewer.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = "200"
    missing = Missing()
    resources: dict[str, float] = {"cpu": plan.resources.cpu, "gpu": plan.resources.gpu}
    if plan.resources.memory_gb:
        resources["memory"] = plan.resources.memory_gb * 1e9
    trainable = tune.with_parameters(train_on_worker, sweep=str(place), plugins=list(plan.plugins))
    tuner = tune.Tuner(
        tune.with_resources(trainable, resources),
        tune_config=tune.TuneConfig(
            search_alg=Handout(dispatcher, missing),
            scheduler=RuleScheduler(dispatcher, missing),
            num_samples=-1,  # As many as are handed out.
            reuse_actors=True,
            max_concurrent_trials=plan.resources.concurrent,
            trial_name_creator=_uid,
            # A trial that was promoted is Tune's a second time.
            trial_dirname_creator=lambda trial: f"{_uid(trial)}-{trial.trial_id}",
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(place),
            stop=missing,
            callbacks=[Workers(dispatcher, missing)],
            failure_config=tune.FailureConfig(max_failures=plan.resources.retries),
            verbose=1 if verbose else 0,
        ),
    )
    with terminated_as_interrupted():
        tuner.fit()
    if missing.what:
        if missing.refused:
            raise UserError(missing.what)
        raise missing.error or EnvironmentTrouble(missing.what)


def train_on_worker(config: dict[str, Any], *, sweep: str, plugins: list[str]) -> None:
    """What runs on a Ray worker: a trial, each epoch of which is reported to Tune."""
    import ray
    from ray import tune

    from sweeps.trial import prepare_process, run_trial

    place = Path(sweep)
    if not (place / "plan.json").is_file():
        raise EnvironmentTrouble(
            f"node {os.uname().nodename} does not see {place}: give --storage a shared folder"
        )
    prepare_process(plugins, place / "plugins")
    plan = Plan.read(place)
    if plan.repeats:  # Whatever this worker trains first.
        determinism.prepare()
    # `cuda.is_available` would also answer for a GPU that belongs to another trial.
    device = "cuda" if ray.get_gpu_ids() else "cpu"
    node = ray.get_runtime_context().get_node_id()
    for progress in run_trial(place, plan, config["uid"], device=device, ray_node=node):
        tune.report(vars(progress))


def _uid(trial: Any) -> str:
    return str(trial.config["uid"])


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM (a scheduler's notice, `docker stop`) ends a sweep as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def hand_on(_number: int, _frame: FrameType | None) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGTERM, hand_on)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _copy_plugins(spec: SweepSpec, place: Path) -> None:
    """The user's modules travel with the sweep: every worker, and every later day, sees them."""
    for path in spec.plugin_roots():
        target = place / "plugins" / path.name
        if target.exists():
            continue  # Of a sweep that is extended.
        target.parent.mkdir(exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(path, target)
