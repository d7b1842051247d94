"""Ray Tune's view of a sweep: a searcher that hands trials out, a scheduler that ends them."""

from __future__ import annotations

from typing import Any, Protocol

from ray.tune import Callback, Stopper
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from sweeps.schedule.decision import Decision


class Dispatch(Protocol):
    """What is asked which trial runs, and told what became of it (see `sweeps.dispatch`)."""

    @property
    def over(self) -> bool: ...

    def next(self) -> str | None: ...

    def began(self, uid: str) -> None: ...

    def judge(self, uid: str, epoch: int, score: float, stage: int, *, ended: bool) -> Decision: ...

    def left(self, uid: str) -> None: ...


class Missing(Stopper):
    """Ends the whole sweep once a trial has said that something is missing which all need.

    `what` is one line, empty until then; `refused` says that it is for the user to decide.
    """

    def __init__(self) -> None:
        self.what = ""
        self.refused = False

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:  # noqa: ARG002  (Ray's names)
        if not self.what:
            self.what, self.refused = str(result.get("unable", "")), bool(result.get("refused"))
        return bool(self.what)

    def stop_all(self) -> bool:
        return bool(self.what)


class Handout(Searcher):
    """Gives Tune the trial that should run next.

    A trial that waits at a rung has ended for Tune; when it is promoted, Tune gets it again as a
    new trial of its own, and its worker goes on from the checkpoint that it left.
    """

    def __init__(self, dispatch: Dispatch) -> None:
        super().__init__()
        self._dispatch = dispatch
        self._uids: dict[str, str] = {}

    def suggest(self, trial_id: str) -> Any:
        uid = self._dispatch.next()
        if uid is None:
            return Searcher.FINISHED if self._dispatch.over else None
        self._uids[trial_id] = uid
        return {"uid": uid}

    def on_trial_complete(
        self,
        trial_id: str,
        result: dict[str, Any] | None = None,  # noqa: ARG002  (Ray's names)
        error: bool = False,  # noqa: ARG002
    ) -> None:
        self._dispatch.left(self._uids.pop(trial_id))

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the journal has it all."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the journal has it all."""


class Starts(Callback):
    """Tells when a trial that was handed out has a machine."""

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch

    def on_trial_start(
        self,
        iteration: int,  # noqa: ARG002  (Ray's names)
        trials: list[Trial],  # noqa: ARG002
        trial: Trial,
        **info: Any,  # noqa: ARG002
    ) -> None:
        self._dispatch.began(trial.config["uid"])


class RuleScheduler(FIFOScheduler):
    """Ends for Tune the trials that stop or wait.

    A trial that ends by itself says so in its report: its last score counts for others (unless it
    has none, having diverged: then it moves nobody's cut-off) and nothing is decided.
    """

    def __init__(self, dispatch: Dispatch) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Ray's
        self._dispatch = dispatch

    def on_trial_result(self, _controller: Any, _trial: Trial, result: dict[str, Any]) -> str:
        ended = result["ended"]
        decision = self._dispatch.judge(
            result["uid"], result["epoch"], result["score"], result["stage"], ended=ended
        )
        ends = ended or decision.action != "go_on"
        return str(TrialScheduler.STOP if ends else TrialScheduler.CONTINUE)
