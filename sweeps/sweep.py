"""Runs a sweep: plan to trials, trials to Ray Tune, journal to results."""

from __future__ import annotations

import math
import os
import shutil
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from signal import SIGTERM
from subprocess import Popen
from typing import Any, Protocol

from gancore.files import write_atomically
from sweeps import cluster, folder, handshake, journal, preflight, tracking
from sweeps.compare.present import write_sweep_report
from sweeps.dispatch import Dispatcher
from sweeps.errors import EnvironmentTrouble
from sweeps.failures import environment_trouble
from sweeps.journal import Journal
from sweeps.leaving import end_now, resume_command, watched
from sweeps.plan import Plan, make_plan
from sweeps.results import Results, TrialResult
from sweeps.signals import Signals, exit_code
from sweeps.spec import SweepSpec, load
from sweeps.version import code_version

DRAIN_SECONDS = 60
"""How long a finished sweep waits for MLflow; what is left then is sent by `gansweep sync`."""

INTERRUPTED_DRAIN_SECONDS = 5
"""How long an interrupted one waits."""


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
        watch: Shows progress; None shows nothing.
    """

    storage: Path = Path("runs")
    address: str | None = None
    tracking_uri: str | None = None
    verbose: bool = False
    watch: Watch | None = None


def run(
    source: str | Path | Mapping[str, Any] | SweepSpec,
    options: Options | None = None,
    *,
    name: str | None = None,
) -> Results:
    """Runs a sweep from its file, its mapping or its specification, to the end.

    Args:
        name: Of the sweep; None takes the file's `name`, or its file name.

    Returns:
        The results; `Results.state` is `interrupted` after Ctrl-C, and `resume` goes on.

    Raises:
        UserError: The file is wrong, with every problem in it.
        Busy: The name is in use.
        EnvironmentTrouble: Ray or the storage cannot be used, or pictures or weights are missing.
        FailedAlike: One trial fails after another, for the same reason.
    """
    options = options or Options()
    spec = load_spec(source)
    plan = make_plan(spec)
    preflight.check(plan, options.storage.resolve(), local=options.address is None)
    place = folder.create(options.storage.resolve(), name or plan.name)
    write_atomically(place / "sweep.yaml", spec.text.encode())
    _copy_plugins(spec, place)
    plan.write(place)
    return _execute(place, options)


def resume(place: Path, options: Options | None = None, *, retry_failed: bool = False) -> Results:
    """Goes on with a sweep: trials that ended stay as they are, others go on from their newest
    checkpoint, and the scheduler's rungs are rebuilt from the journal.

    Args:
        retry_failed: Trials that failed are tried again, from their newest checkpoint.

    Raises:
        Busy: The sweep is running.
        UserError: Its trials do not fit this machine, or pictures are missing.
        EnvironmentTrouble: As of `run`.
    """
    options = options or Options()
    results = Results.read(place)
    failed = [r for r in results.trials.values() if r.state == "failed"] if retry_failed else []
    if results.state == "finished" and not failed:
        return results
    preflight.check(results.plan, place.resolve().parent, local=options.address is None)
    if failed:
        with folder.owned(place):
            for result in failed:
                _try_again(place, result)
    return _execute(place, options)


def _try_again(place: Path, result: TrialResult) -> None:
    with Journal(place, result.trial.uid) as log:
        reason = f"tried again, having failed: {result.reason}"
        log.append("retry", trial=result.trial.uid, attempt=max(result.attempt, 1), reason=reason)


def load_spec(source: str | Path | Mapping[str, Any] | SweepSpec) -> SweepSpec:
    """A checked specification from any of its forms, its schedule calibrated where it asks so.

    Raises:
        UserError: The file is wrong, or its curves cannot be used.
    """
    if isinstance(source, SweepSpec):
        return source
    spec = SweepSpec.of(source) if isinstance(source, Mapping) else load(Path(source))
    schedule = spec.schedule
    if schedule.calibrate is None:
        return spec
    from sweeps.simulate import calibrated

    plan = make_plan(spec)
    curves = spec.folder / schedule.calibrate
    grace, eta = calibrated(
        curves, plan.epochs, plan.goal, variant=schedule.variant, brackets=schedule.brackets
    )
    return replace(spec, schedule=replace(schedule, grace=grace, eta=eta))


def _execute(place: Path, options: Options) -> Results:
    place = place.resolve()  # Workers have folders of their own.
    plan = Plan.read(place)
    signals = Signals(lambda number: leave(place, number))
    with folder.owned(place), Journal(place, journal.DRIVER) as log, signals.heard():
        results = Results.read(place)
        log.append("sweep", state="running", pid=os.getpid(), code_version=code_version())
        uri = options.tracking_uri or tracking.default_uri(place.parent)
        uploader = tracking.start_uploader(place, uri)
        with options.watch(results) if options.watch else nullcontext():
            try:
                _train(place, plan, log, options, signals)
            finally:
                _drain(uploader, signals)
                results.refresh()
    return results


def leave(place: Path, number: int) -> None:
    """Ends this process at once, by a second signal."""
    line = f"left at once; go on with: {resume_command(place)}"
    end_now(place, exit_code(number), line, signal=number)


def _drain(uploader: Popen[bytes], signals: Signals) -> None:
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
                stack.enter_context(cluster.connected(options.address, verbose=options.verbose))
            signals.arm()
            stack.enter_context(_head_watched(place, options.address))
            cluster.check_resources(plan.resources, local=options.address is None)
            _tune(place, plan, log, options.verbose, signals)
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
        log.append("sweep", state=state, **said)
    except Exception as caught:  # The journal's disk may be what is wrong.
        error = error or environment_trouble(caught, place) or caught
    if error is not None:
        raise error


def _head_watched(place: Path, address: str | None) -> AbstractContextManager[None]:
    """Leaves with exit code 5 once the cluster's head is lost, before Ray ends this process."""
    import ray

    if address is not None and address.startswith("ray://"):
        return nullcontext()  # Ray's client has a connection of its own, and says so itself.
    line = f"error: the cluster's head is lost; go on with: {resume_command(place)}"

    def lost() -> None:
        end_now(place, EnvironmentTrouble.exit_code, line, reason="the cluster's head is lost")

    return watched(ray.get_runtime_context().gcs_address, lost)


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


def _tune(place: Path, plan: Plan, log: Journal, verbose: bool, signals: Signals) -> None:
    """Hands the trials to Ray Tune.

    Raises:
        EnvironmentTrouble: Pictures or weights that every trial needs are missing, or a node has
            another version.
        FailedAlike: One trial fails after another, for the same reason.
    """
    from ray import tune

    from sweeps.schedule.tune import Halt, Handout, RuleScheduler, Workers

    cluster.survive_out_of_memory()
    dispatcher = Dispatcher(Results.read(place), log)
    # As many as Tune itself keeps ready where it knows all trials; the dispatcher may give fewer.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = "200"
    halt = Halt(signals)
    resources: dict[str, float] = {"cpu": plan.resources.cpu, "gpu": plan.resources.gpu}
    if plan.resources.memory_gb:
        resources["memory"] = plan.resources.memory_gb * 1e9
    trainable = tune.with_parameters(
        train_on_worker, sweep=str(place), plugins=list(plan.plugins), versions=handshake.versions()
    )
    tuner = tune.Tuner(
        tune.with_resources(trainable, resources),
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
    tuner.fit()
    if halt.error is not None:
        raise halt.error


def train_on_worker(
    config: dict[str, Any], *, sweep: str, plugins: list[str], versions: dict[str, str]
) -> None:
    """What runs on a Ray worker: a trial, each epoch of which is reported to Tune."""
    import ray
    from ray import tune

    from sweeps.trial import Progress, prepare_process, run_trial

    place = Path(sweep)
    if why := handshake.refusal(place, versions):
        tune.report(vars(Progress(config["uid"], 0, math.inf, ended=True, unable=why)))
        return
    prepare_process(plugins, place / "plugins")
    # `cuda.is_available` would also answer for a GPU that belongs to another trial.
    device = "cuda" if ray.get_gpu_ids() else "cpu"
    node = ray.get_runtime_context().get_node_id()
    plan = Plan.read(place)
    for progress in run_trial(place, plan, config["uid"], device=device, ray_node=node):
        tune.report(vars(progress))


def _uid(trial: Any) -> str:
    return str(trial.config["uid"])


def _copy_plugins(spec: SweepSpec, place: Path) -> None:
    """The user's modules travel with the sweep: every worker, and every later day, sees them."""
    for path in spec.plugin_roots():
        target = place / "plugins" / path.name
        target.parent.mkdir(exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(path, target)
