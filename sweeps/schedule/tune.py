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

from sweeps.errors import GansweepError
from sweeps.schedule.decision import Decision
from sweeps.secret import scrubbed


class Dispatch(Protocol):
    """What is asked which trial runs, and told what became of it (see `sweeps.dispatch`)."""

    @property
    def over(self) -> bool: ...

    def next(self) -> str | None: ...

    def began(self, uid: str) -> None: ...

    def judge(self, uid: str, epoch: int, score: float, stage: int, *, ended: bool) -> Decision: ...

    def left(self, uid: str) -> None: ...

    def died(self, uid: str, reason: str) -> None: ...


class Missing(Stopper):
    """Ends the whole sweep once something is missing which all need, as a trial or the driver says.

    `what` is one line, empty until then; `error` is the driver's own, and `refused` says that it is
    for the user to decide.
    """

    def __init__(self) -> None:
        self.what = ""
        self.refused = False
        self.error: GansweepError | None = None

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keeps an error of the driver's, since Tune would make a crash of it."""
        try:
            yield
        except GansweepError as error:
            self.error = self.error or error
            self.what = self.what or str(error)

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

    def __init__(self, dispatch: Dispatch, missing: Missing) -> None:
        super().__init__()
        self._dispatch = dispatch
        self._missing = missing
        self._uids: dict[str, str] = {}

    def suggest(self, trial_id: str) -> Any:
        uid = None
        with self._missing.kept():
            uid = self._dispatch.next()
        if uid is None:
            over = self._dispatch.over or self._missing.what
            return Searcher.FINISHED if over else None
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


class Workers(Callback):
    """Tells when a trial that was handed out has a machine, and when its worker died for good."""

    def __init__(self, dispatch: Dispatch, missing: Missing) -> None:
        self._dispatch = dispatch
        self._missing = missing

    def on_trial_start(
        self,
        iteration: int,  # noqa: ARG002  (Ray's names)
        trials: list[Trial],  # noqa: ARG002
        trial: Trial,
        **info: Any,  # noqa: ARG002
    ) -> None:
        self._dispatch.began(trial.config["uid"])

    def on_trial_error(
        self,
        iteration: int,  # noqa: ARG002  (Ray's names)
        trials: list[Trial],  # noqa: ARG002
        trial: Trial,
        **info: Any,  # noqa: ARG002
    ) -> None:
        with self._missing.kept():
            self._dispatch.died(trial.config["uid"], _last_words(trial))


def _last_words(trial: Trial) -> str:
    """The last line of what Tune wrote of a trial's death."""
    file = Path(trial.error_file or "")
    lines = file.read_text(errors="replace").splitlines() if file.is_file() else []
    last = next((line.strip() for line in reversed(lines) if line.strip()), "the worker died")
    return scrubbed(last)


class RuleScheduler(FIFOScheduler):
    """Ends for Tune the trials that stop or wait.

    A trial that ends by itself says so in its report: its last score counts for others (unless it
    has none, having diverged: then it moves nobody's cut-off) and nothing is decided.
    """

    def __init__(self, dispatch: Dispatch, missing: Missing) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Ray's
        self._dispatch = dispatch
        self._missing = missing

    def on_trial_result(self, _controller: Any, _trial: Trial, result: dict[str, Any]) -> str:
        ended = ends = result["ended"]
        with self._missing.kept():
            decision = self._dispatch.judge(
                result["uid"], result["epoch"], result["score"], result["stage"], ended=ended
            )
            ends = ended or decision.action != "go_on"
        return str(TrialScheduler.STOP if ends else TrialScheduler.CONTINUE)
