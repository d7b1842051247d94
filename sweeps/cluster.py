"""The only file that starts or joins a Ray cluster."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, TypeVar

from sweeps import autoscaler, door
from sweeps.errors import EnvironmentTrouble, UserError
from sweeps.failures import NODE_LOST, is_infrastructure
from sweeps.needs import Needs
from sweeps.plan import Plan
from sweeps.preflight import askers, misfit

Answer = TypeVar("Answer")

SETTINGS = {
    # No data leave this machine unasked.
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray would report even that it reports nothing: to nobody, then.
    "RAY_USAGE_STATS_REPORT_URL": "http://127.0.0.1:9",
    # The journal is ours; Tune's CSV, JSON and TensorBoard writers cost 10 ms a report.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # Our scheduler takes any report; a trial that fails before its first has none.
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    # Tune's own snapshots are never read (resume comes from the journal).
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    # A trial without a GPU must not see one that belongs to another.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
    # The journal says how a trial failed, and the driver in a line.
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    # `sweeps.signals` hears Ctrl-C, and tells Tune.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # What a trial prints is kept in two files of at most this size a worker.
    "RAY_ROTATION_MAX_BYTES": str(16 << 20),
    "RAY_ROTATION_BACKUP_COUNT": "1",
}


@contextmanager
def connected(address: str | None, *, verbose: bool, insecure: bool = False) -> Iterator[None]:
    """A Ray cluster for the length of a sweep: a local one, or a running one by its address.

    A cluster that was running already is left running. One that starts here is for this machine
    alone, and asks for a token (see `sweeps.door`).

    Raises:
        EnvironmentTrouble: The cluster does not answer or refuses us, or is open to everybody.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    # Only Tune's older output engine can be silent.
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "1" if verbose else "0")
    # Set while shells are tuned for read-only images; it makes every worker compile all it imports.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    import ray
    from ray.exceptions import AuthenticationError

    _keep_secrets()
    if not verbose:
        _hush()
    joined = ray.is_initialized()
    if not joined:
        door.shut(address, insecure=insecure)
        door.make_known()
        if address is not None:
            door.knock(address, insecure=insecure)
        # What is sent with an address goes to a cluster that others use too.
        own: dict[str, Any] = {"include_dashboard": False}
        where = f"the Ray cluster at {address}" if address else "Ray on this machine"
        sent: dict[str, Any] = {"runtime_env": {"env_vars": SETTINGS}}
        with warnings.catch_warnings(), nullcontext() if address else door.on_loopback():
            warnings.simplefilter("ignore")
            try:
                ray.init(
                    address=address or "local",
                    log_to_driver=verbose,
                    logging_level=logging.INFO if verbose else logging.ERROR,
                    **(sent if address else own),
                )
            except (AuthenticationError, ConnectionError, RuntimeError, ValueError) as error:
                text = str(error).strip().split("\n")[0]
                raise EnvironmentTrouble(f"cannot reach {where}: {text}") from None
    try:
        yield
    finally:
        if not joined:
            ray.shutdown()


def check_resources(plan: Plan, *, local: bool) -> None:
    """Refuses trials that no node of this cluster could ever hold.

    Of a cluster that may grow that is not known: there, trials that wait are told of.

    Raises:
        UserError: Naming what is asked and what is there.
    """
    import ray

    if not local and autoscaler.grows():
        return
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for asked, whose in askers(plan):
        where = "this machine" if local else "the largest node"
        refuse_misfit(asked, nodes, where, whose)


def refuse_misfit(
    asked: Needs, nodes: Sequence[Mapping[str, float]], where: str, whose: str = "a trial"
) -> None:
    """Refuses a trial that fits on none of these nodes.

    Args:
        nodes: Resources as Ray names them, in CPUs, GPUs and bytes.
        where: What a message calls the node that has most.
        whose: What it calls the trial.
    """
    wanted = [
        ("cpu", "CPU", asked.cpu, 1.0),
        ("gpu", "GPU", asked.gpu, 1.0),
        ("memory_gb", "memory", asked.memory_gb or 0.0, 1e9),
    ]

    for name, key, amount, unit in wanted:
        most = max((node.get(key, 0) for node in nodes), default=0)
        if amount * unit > most:
            raise misfit(name, amount, f"{where} has {most / unit:.4g}", whose)
    if not any(all(n * unit <= node.get(k, 0) for _, k, n, unit in wanted) for node in nodes):
        together = ", ".join(f"{name} {amount:g}" for name, _, amount, _ in wanted if amount)
        raise UserError(
            f"resources: {whose} fits nowhere: no node has all of {together}; "
            "ask for less of one of them"
        )


def on_a_gpu(function: Callable[..., Answer], *given: object) -> Answer:
    """What a function answers on a node of this cluster that has a whole GPU free for it."""
    import ray

    task = ray.remote(num_gpus=1, num_cpus=1)(function)
    answer: Answer = ray.get(task.remote(*given))
    return answer


def cpus_of_a_gpu() -> float:
    """How many CPUs there are for each GPU on that node where it is fewest."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    each = [n.get("CPU", 1) / n["GPU"] for n in nodes if n.get("GPU")]
    return min(each, default=1.0)


def _hush() -> None:
    """Keeps the last words of Ray's processes from the screen: a raylet that dies has a page of
    them. What it means for a trial stands in the journal. A Ray without this private name speaks;
    a test looks for it.
    """
    with suppress(ImportError):
        from ray._private import worker

        setattr(worker, "print_to_stdstream", lambda *_, **__: None)  # noqa: B010  (for mypy)


def _keep_secrets() -> None:
    """Keeps Tune from writing AWS's keys into what it asks of Ray, which logs that.

    Workers on this machine have them anyway, and other nodes have their own. A Ray without this
    private name has none to keep; a test looks for it.
    """
    with suppress(ImportError):
        from ray.tune.execution import class_cache

        told = {name for name in class_cache.ENV_VARS_TO_PROPAGATE if name.startswith("AWS_")}
        class_cache.ENV_VARS_TO_PROPAGATE -= told


def survive_out_of_memory() -> None:
    """Lets a trial that Ray's memory monitor kills fail alone, and one whose node dies go on.

    Ray raises `OutOfMemoryError`, which Tune's actor manager does not know, and one such trial
    ends the whole sweep (seen in Ray 2.60). It is handed on as the death of the trial's actor.
    What dies with its node is handed on as preempted, which Tune does not count as a failure.
    A Ray without these private names is left as it is; a test looks for them.
    """
    from ray.exceptions import RayActorError, RayError, RayTaskError

    try:
        from ray.air.execution._internal.actor_manager import RayActorManager

        original = RayActorManager._actor_task_failed
    except (ImportError, AttributeError):
        return
    if getattr(original, "of_gansweep", False):
        return

    def handed_on(self: Any, tracked_actor_task: Any, exception: Exception) -> Any:
        known = (RayActorError, RayTaskError)
        if isinstance(exception, RayError) and not isinstance(exception, known):
            exception = RayActorError(error_msg=f"{type(exception).__name__}: {exception}")
        if isinstance(exception, RayActorError) and is_infrastructure(exception):
            # Ray's words do not always say it.
            exception = RayActorError(error_msg=f"{exception}\n{NODE_LOST}", preempted=True)
        return original(self, tracked_actor_task=tracked_actor_task, exception=exception)

    handed_on.of_gansweep = True  # type: ignore[attr-defined]
    setattr(RayActorManager, "_actor_task_failed", handed_on)  # noqa: B010  (for mypy: a method)
