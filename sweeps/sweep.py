"""Runs a sweep: plan to trials, trials to Ray Tune, journal to results."""

from __future__ import annotations

import logging
import os
import sys
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from pathlib import Path
from signal import SIGTERM
from typing import TYPE_CHECKING, Any

from gancore.files import clear_temporaries, write_atomically
from sweeps import (
    asking,
    bucket,
    cluster,
    folder,
    handshake,
    journal,
    pinned,
    planfile,
    plugins,
    preflight,
    provenance,
    sharing,
    storage,
    tracking,
    trust,
)
from sweeps.asking import Source
from sweeps.compare.present import write_sweep_report
from sweeps.dispatch import Dispatcher
from sweeps.doctor.examine import before_sweep
from sweeps.errors import EnvironmentTrouble
from sweeps.extending import COPY, settle
from sweeps.failures import environment_trouble
from sweeps.journal import Journal
from sweeps.leaving import end_now, leave, watched
from sweeps.options import Options
from sweeps.plan import Plan, make_plan
from sweeps.results import Results, TrialResult
from sweeps.signals import Signals
from sweeps.staging import Staging
from sweeps.version import code_version
from sweeps.worker import train_on_worker

if TYPE_CHECKING:
    from sweeps.tracking.supervisor import Supervisor

PARTS = (COPY, planfile.FILE, "plugins")
"""What says which sweep it is."""

LEFT_SECONDS = 60
"""How old a half-written file of the sweep's own must be to be nobody's any more."""

DRAIN_SECONDS = 60
"""How long a finished sweep waits for MLflow; what is left then is sent by `gansweep sync`."""

INTERRUPTED_DRAIN_SECONDS = 5
"""How long an interrupted one waits."""


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
        FailedAlike: One trial fails after another, for the same reason.
    """
    options = _checked(options)
    spec = asking.load_spec(source)
    plan = make_plan(spec)
    place = folder.named(options.folder, name or plan.name)
    bucket.of(place).pull()
    if folder.is_sweep(place):
        return _execute(place, options, lambda: asking.again(place, source, spec))
    preflight.check(plan, place.parent, local=options.address is None)
    with folder.built(place.parent, place.name) as draft:
        write_atomically(draft / COPY, spec.text.encode())
        plugins.copy(spec.plugin_roots(), draft)
        sharing.decided(plan, draft / "plugins", options).write(draft)
        trust.remember(draft)
    return _execute(place, options)


def resume(
    place: Path,
    options: Options | None = None,
    *,
    source: Source | None = None,
    retry_failed: bool = False,
) -> Results:
    """Goes on with a sweep: trials that ended stay as they are, others go on from their newest
    checkpoint, and the scheduler's rungs are rebuilt from the journal.

    Args:
        source: The sweep's file as it is now; None takes the sweep's own copy, if that has been
            edited. What changes no trial is taken over: `resources` and `budget`.
        retry_failed: Trials that failed are tried again, from their newest checkpoint.

    Raises:
        Busy: The sweep is running.
        UserError: It has plug-ins that this user neither ran nor trusts, the file asks for more or
            for something else, its trials do not fit this machine, or pictures are missing.
        EnvironmentTrouble: As of `run`.
    """
    trust.check(place)
    options = _checked(options)
    results = Results.read(place)
    if results.state == "finished" and not (retry_failed and _failed(results)):
        asking.edited(place, source)
        return results
    return _execute(place, options, lambda: asking.edited(place, source), retry_failed=retry_failed)


def _checked(options: Options | None) -> Options:
    """How to run; a wrong address is told before anything is made."""
    options = options or Options()
    if options.tracking_uri:
        tracking.check_uri(options.tracking_uri)
    return options


def _failed(results: Results) -> list[TrialResult]:
    """The trials that failed and that still count."""
    trials = results.trials.values()
    return [r for r in trials if r.state == "failed" and r.trial.phase != "retired"]


def _try_again(place: Path, result: TrialResult) -> None:
    reason = f"tried again, having failed: {result.reason}"
    with Journal(place, result.trial.uid) as log:
        log.append("retry", trial=result.trial.uid, attempt=result.attempt, reason=reason)


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
    options = _checked(options)
    spec = asking.larger(place, source, wanted or {})

    def amendment() -> dict[str, Any]:
        asked = asking.more(place, source, spec, wanted or {})
        plugins.copy(spec.plugin_roots(), place)
        trust.remember(place)
        return asked

    return _execute(place, options, amendment)


def _execute(
    place: Path,
    options: Options,
    amendment: Callable[[], Mapping[str, Any] | None] | None = None,
    *,
    retry_failed: bool = False,
) -> Results:
    """Trains what is left of a sweep.

    Args:
        amendment: Gives what is to be amended, once nobody else can change the sweep; None of one
            that is new.
    """
    place = place.resolve()  # Workers have folders of their own.
    signals = Signals(lambda number: leave(place, number))
    with (
        storage.named(place),
        folder.owned(place),
        Journal(place, journal.DRIVER) as log,
        signals.heard(),
    ):
        for part in (place, place / "evaluation", place / "pinned"):
            clear_temporaries(part, older_than=LEFT_SECONDS)
        amended = None
        if amendment is not None:
            amended = amendment()
            plan = Plan.read(place)
            plan = plan.after({"kind": "amend", **amended}) if amended else plan
            preflight.check(plan, place.parent, local=options.address is None)
            if amended:
                with signals.breaking():
                    shares = sharing.decided(plan, place / "plugins", options).shares
                amended = {**amended, "shares": shares} if shares else amended
        identity = journal.sweep_id(place) or planfile.identity(place) or uuid.uuid4().hex
        log.append(
            "sweep", state="running", id=identity, pid=os.getpid(), code_version=code_version()
        )
        if options.accept_data_change:
            pinned.forget(place)
        if amended:
            # What it names is there before it is said.
            bucket.of(place).push(place / "plugins")
            log.append("amend", **amended)
        settle(place, log)
        bucket.of(place).push(*(place / part for part in PARTS))
        if retry_failed:
            for result in _failed(Results.read(place)):
                _try_again(place, result)
        plan, results = Plan.read(place), Results.read(place)
        before = provenance.attempts(results)
        uri = options.tracking_uri or tracking.default_uri(place.parent)
        uploader = tracking.start_uploader(place, uri)
        with options.watch(results) if options.watch else nullcontext():
            try:
                _train(place, plan, log, options, signals)
            finally:
                _drain(uploader, signals)
                results.refresh()
        provenance.warn(results, before)
    return results


def _drain(uploader: Supervisor, signals: Signals) -> None:
    """Waits for MLflow to have everything; not for long once somebody wants out."""
    if signals.first is None:
        with suppress(KeyboardInterrupt), signals.breaking():
            tracking.wait(uploader, DRAIN_SECONDS)
            return
    tracking.wait(uploader, INTERRUPTED_DRAIN_SECONDS)


def _train(place: Path, plan: Plan, log: Journal, options: Options, signals: Signals) -> None:
    """Starts or joins Ray, trains, and journals how it ended, whatever happens.

    Raises:
        EnvironmentTrouble: Of storage, network or cluster, with the command that goes on.
    """
    state = "failed"
    error: Exception | None = None
    try:
        with ExitStack() as stack:
            with signals.breaking():
                stack.enter_context(
                    cluster.connected(
                        options.address, verbose=options.verbose, insecure=options.insecure
                    )
                )
                if options.address is not None:
                    before_sweep(plan, place.parent)
                staging = Staging(plan, place, remote=options.address is not None)
            signals.arm()
            stack.enter_context(_head_watched(place, options.address))
            cluster.check_resources(plan, local=options.address is None)
            options.began()
            _tune(place, plan, log, options.verbose, signals, staging)
        ended = all(r.ended for r in Results.read(place).trials.values())
        state = "finished" if ended else "interrupted"
    except KeyboardInterrupt:
        state = "interrupted"
    except SystemExit:  # Ray's answer to SIGTERM, while it starts.
        signals.note(SIGTERM)
        state = "interrupted"
    except Exception as caught:
        error = environment_trouble(caught, place)
        state = "interrupted" if error else "failed"
        error = error or caught
    try:
        _sum_up(place, state)
        said = {} if signals.first is None else {"signal": signals.first}
        log.append("sweep", state=state, id=journal.sweep_id(place), **said)
    except Exception as caught:  # The journal's disk may be what is wrong.
        error = error or environment_trouble(caught, place) or caught
    if error is not None:
        raise error


def _head_watched(place: Path, address: str | None) -> AbstractContextManager[None]:
    """Leaves with exit code 5 once the cluster's head is lost, before Ray ends this process."""
    import ray

    if address is not None and address.startswith("ray://"):
        return nullcontext()  # Ray's client has a connection of its own, and says so itself.
    line = f"error: the cluster's head is lost; go on with: {folder.resume_command(place)}"

    def lost() -> None:
        end_now(place, EnvironmentTrouble.exit_code, line, reason="the cluster's head is lost")

    return watched(ray.get_runtime_context().gcs_address, lost)


def _sum_up(place: Path, state: str) -> None:
    """Table and report, before MLflow hears of the end and looks for them.

    Who interrupts a sweep wants out: its report is there for `gansweep compare`.
    """
    copy = bucket.of(place)
    copy.pull()
    results = Results.read(place)
    results.state = state
    copy.push(results.write_csv())
    if state != "finished":
        return
    try:
        write_sweep_report(results)
    except Exception as error:  # All that was trained is there; the report can be had again.
        print(f"warning: no report: {error}; later: gansweep compare {place.name}", file=sys.stderr)


def _tune(
    place: Path, plan: Plan, log: Journal, verbose: bool, signals: Signals, staging: Staging
) -> None:
    """Hands the trials to Ray Tune.

    Raises:
        EnvironmentTrouble: Pictures or weights that every trial needs are missing, a node has
            another version, or the disk takes no more.
        UserError: The pictures are others than those that the sweep began with.
        FailedAlike: One trial fails after another, for the same reason.
    """
    from ray import tune

    from sweeps.schedule.tune import Halt, Handout, RuleScheduler, Workers

    cluster.survive_out_of_memory()
    # What Tune keeps of itself is never read: that the disk did not take it is not worth a page.
    logging.getLogger("ray.tune.execution.experiment_state").disabled = not verbose
    dispatcher = Dispatcher(Results.read(place), log)
    # As many as Tune itself keeps ready where it knows all trials; the dispatcher may give fewer.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = "200"
    halt = Halt(signals)
    trainable = tune.with_parameters(
        train_on_worker, sweep=bucket.spoken(place), versions=handshake.versions()
    )
    tuner = tune.Tuner(
        # Each trial's own: Tune reuses the worker of a trial only for one that needs the same.
        tune.with_resources(
            trainable, lambda config: tune.PlacementGroupFactory([config["bundle"]])
        ),
        tune_config=tune.TuneConfig(
            search_alg=Handout(dispatcher, halt),
            scheduler=RuleScheduler(dispatcher, halt),
            num_samples=-1,  # As many as are handed out.
            reuse_actors=True,
            max_concurrent_trials=plan.resources.concurrent,
            trial_name_creator=_uid,
            # A trial that was promoted is Tune's a second time.
            trial_dirname_creator=lambda trial: f"{_uid(trial)}-{trial.trial_id}",
        ),
        run_config=tune.RunConfig(
            # Ray's staging folder has this name too: sweeps of one second must not share it.
            name=f"tune-{place.name}",
            storage_path=str(place),
            stop=halt,
            callbacks=[Workers(dispatcher, halt)],
            failure_config=tune.FailureConfig(max_failures=plan.resources.retries),
            verbose=1 if verbose else 0,
        ),
    )
    staging.wait(signals)
    tuner.fit()
    if halt.error is not None:
        raise halt.error


def _uid(trial: Any) -> str:
    return str(trial.config["uid"])
