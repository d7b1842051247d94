"""Ray Tune's view of a sweep: a searcher that hands trials out, a scheduler that ends them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from ray.tune import Callback, Stopper
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from sweeps.errors import EnvironmentTrouble, UserError
from sweeps.needs import Needs
from sweeps.schedule.decision import Decision
from sweeps.schedule.room import Room
from sweeps.signals import Signals

GRACE_SECONDS = 5.0
"""How long trials may still report once a signal has come."""


class Dispatch(Protocol):
    """What is asked which trial runs, and told what became of it (see `sweeps.dispatch`)."""

    @property
    def over(self) -> bool: ...

    def next(self) -> str | None: ...

    def needs(self, uid: str) -> Needs: ...

    def began(self, uid: str) -> None: ...

    def judge(self, uid: str, epoch: int, score: float, stage: int, *, ended: bool) -> Decision: ...

    def left(self, uid: str) -> None: ...

    def lost(self, uid: str, told: str) -> bool: ...

    def died(self, uid: str, told: str) -> None: ...

    def hung(self) -> list[str]: ...


class Halt(Stopper):
    """Ends the whole sweep: by a signal, by what a trial says, or by an error of our own.

    `error` is None until then. Tune would tell an error of ours as its own, with a traceback.

    Args:
        signals: After the first, trials have a moment to report the epoch that they are in.
    """

    def __init__(self, signals: Signals) -> None:
        self.error: Exception | None = None
        self.running: set[str] = set()
        self._signals = signals

    @property
    def ending(self) -> bool:
        """Whether no trial should begin, or go on after its next report."""
        return self.error is not None or self._signals.first is not None

    def __getstate__(self) -> dict[str, object]:
        """Nothing of it, for Tune's snapshots: nobody reads them."""
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:  # noqa: ARG002  (Ray's names)
        if unable := str(result.get("unable", "")):
            # Pictures that have changed, say, are for the user to decide.
            kind = UserError if result.get("refused") else EnvironmentTrouble
            self.error = self.error or kind(unable)
        return self.error is not None

    def stop_all(self) -> bool:
        if self.error is not None:
            return True
        late = self._signals.seconds > GRACE_SECONDS
        return self._signals.first is not None and (late or not self.running)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """An error inside ends the sweep in its own words."""
        try:
            yield
        except Exception as error:
            self.error = self.error or error


class Handout(Searcher):
    """Gives Tune the trial that should run next.

    A trial that waits at a rung has ended for Tune; when it is promoted, Tune gets it again as a
    new trial of its own, and its worker goes on from the checkpoint that it left.
    """

    def __init__(self, dispatch: Dispatch, halt: Halt) -> None:
        super().__init__()
        self._dispatch = dispatch
        self._halt = halt
        self._uids: dict[str, str] = {}

    def suggest(self, trial_id: str) -> Any:
        if self._halt.ending:
            return None
        with self._halt.kept():
            uid = self._dispatch.next()
            if uid is None:
                return Searcher.FINISHED if self._dispatch.over else None
            self._uids[trial_id] = uid
            return {"uid": uid, "bundle": _bundle(self._dispatch.needs(uid))}
        return None

    def on_trial_complete(
        self,
        trial_id: str,
        result: dict[str, Any] | None = None,  # noqa: ARG002  (Ray's names)
        error: bool = False,  # noqa: ARG002
    ) -> None:
        with self._halt.kept():
            self._dispatch.left(self._uids.pop(trial_id))

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the journal has it all."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the journal has it all."""


class Workers(Callback):
    """Tells when a trial that was handed out has a machine, and when its worker died.

    Workers of trials that hang are killed; that none has a machine is said.
    """

    def __init__(self, dispatch: Dispatch, halt: Halt) -> None:
        self._dispatch = dispatch
        self._halt = halt
        self._room = Room(_nodes)

    def on_step_begin(
        self,
        iteration: int,  # noqa: ARG002  (Ray's names)
        trials: list[Trial],
        **info: Any,  # noqa: ARG002
    ) -> None:
        with self._halt.kept():
            for uid in self._dispatch.hung():
                for trial in trials:
                    if trial.config["uid"] == uid and trial.status == Trial.RUNNING:
                        _kill(trial)
        alive = (trial for trial in trials if not trial.is_finished())
        self._room.look((trial.status, trial.config["bundle"]) for trial in alive)

    def on_trial_start(
        self,
        iteration: int,  # noqa: ARG002  (Ray's names)
        trials: list[Trial],  # noqa: ARG002
        trial: Trial,
        **info: Any,  # noqa: ARG002
    ) -> None:
        self._halt.running.add(trial.trial_id)
        with self._halt.kept():
            self._dispatch.began(trial.config["uid"])

    def on_trial_complete(
        self,
        iteration: int,  # noqa: ARG002  (Ray's names)
        trials: list[Trial],  # noqa: ARG002
        trial: Trial,
        **info: Any,  # noqa: ARG002
    ) -> None:
        self._halt.running.discard(trial.trial_id)

    def on_trial_recover(
        self,
        iteration: int,  # noqa: ARG002  (Ray's names)
        trials: list[Trial],  # noqa: ARG002
        trial: Trial,
        **info: Any,  # noqa: ARG002
    ) -> None:
        self._halt.running.discard(trial.trial_id)
        with self._halt.kept():
            if not self._dispatch.lost(trial.config["uid"], _told(trial)):
                trial.max_failures = 0

    def on_trial_error(
        self,
        iteration: int,  # noqa: ARG002  (Ray's names)
        trials: list[Trial],  # noqa: ARG002
        trial: Trial,
        **info: Any,  # noqa: ARG002
    ) -> None:
        self._halt.running.discard(trial.trial_id)
        with self._halt.kept():
            self._dispatch.died(trial.config["uid"], _told(trial))


class RuleScheduler(FIFOScheduler):
    """Ends for Tune the trials that stop or wait.

    A trial that ends by itself says so in its report: its last score counts for others (unless it
    has none, having diverged: then it moves nobody's cut-off) and nothing is decided.
    """

    def __init__(self, dispatch: Dispatch, halt: Halt) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Ray's
        self._live: dict[str, Trial] = {}
        self._dispatch = dispatch
        self._halt = halt

    def on_trial_add(self, _controller: Any, trial: Trial) -> None:
        self._live[trial.trial_id] = trial

    def choose_trial_to_run(self, _controller: Any) -> Trial | None:
        """The first that waits. Tune's own way looks through all that have ended, too."""
        self._live = {i: trial for i, trial in self._live.items() if not trial.is_finished()}
        return next((t for t in self._live.values() if t.status == Trial.PENDING), None)

    def on_trial_result(self, _controller: Any, _trial: Trial, result: dict[str, Any]) -> str:
        ended, goes_on = result["ended"], False
        with self._halt.kept():
            decision = self._dispatch.judge(
                result["uid"], result["epoch"], result["score"], result["stage"], ended=ended
            )
            goes_on = not ended and decision.action == "go_on" and not self._halt.ending
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)


def _bundle(needs: Needs) -> dict[str, float]:
    """What a trial is given, under Ray's names and in bytes."""
    memory = {"memory": needs.memory_gb * 1e9} if needs.memory_gb else {}
    return {"CPU": needs.cpu, "GPU": needs.gpu, **memory}


def _nodes() -> list[dict[str, float]]:
    """What each node that is there has."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _told(trial: Trial) -> str:
    """What Ray says of the errors of a trial; Tune's own reader looks where it is copied later."""
    file = trial.error_file
    return Path(file).read_text(errors="replace") if file and Path(file).is_file() else ""


def _kill(trial: Trial) -> None:
    """Kills a trial's worker, wherever it is; the trial is not tried again."""
    import ray

    trial.max_failures = 0
    if actor := trial.temporary_state.ray_actor:
        ray.kill(actor)
