"""Ray Tune's view of our rule: a scheduler through its public interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.tune import Stopper
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from sweeps.schedule.asha import Decision

Judge = Callable[[str, int, float, int], Decision]
"""(trial uid, epoch, score, stage) -> decision."""

OnStop = Callable[[str, int, str], None]
"""(trial uid, epoch, reason): called before Tune hears of the stop."""


class Missing(Stopper):
    """Ends the whole sweep once a trial has said that something is missing which all need.

    `what` is one line, empty until then.
    """

    def __init__(self) -> None:
        self.what = ""

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:  # noqa: ARG002  (Ray's names)
        self.what = self.what or str(result.get("unable", ""))
        return bool(self.what)

    def stop_all(self) -> bool:
        return bool(self.what)


class RuleScheduler(FIFOScheduler):
    """Starts trials in the order planned and ends those that the rule ends.

    A trial that ends by itself says so in its report: the rule takes its last score in (unless it
    has none, having diverged: then it moves nobody's cut-off) and is not asked.
    """

    def __init__(self, judge: Judge, on_stop: OnStop) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Ray's
        self._judge = judge
        self._on_stop = on_stop

    def on_trial_result(self, _controller: Any, _trial: Trial, result: dict[str, Any]) -> str:
        uid, epoch = result["uid"], result["epoch"]
        decision = self._judge(uid, epoch, result["score"], result["stage"])
        if result["ended"]:
            return str(TrialScheduler.STOP)
        if not decision.stop:
            return str(TrialScheduler.CONTINUE)
        self._on_stop(uid, epoch, decision.reason)
        return str(TrialScheduler.STOP)
