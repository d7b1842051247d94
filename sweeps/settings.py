"""The plain sections of a sweep file: when trials end, what is confirmed, what it may cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from gancore import schema
from gancore.schema import Count, Positive, Whole
from sweeps.needs import Case, Needs


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Which trials end early: ASHA (Li et al. 2020, arXiv:1810.05934), or none.

    Args:
        variant: `stopping` ends a trial that misses the cut of those that came before it;
            `promotion` lets every trial wait at a rung until it is among the best of all that
            came, so that nobody goes on for having come early.
        grace: Epochs that every trial is given before it is first judged.
        eta: Of `eta` trials at a rung, one goes on.
        brackets: The k-th group of draws is first judged eta^(k-1) times as late as the first, for
            curves whose early ranks mislead; each gets 1/e of the one before.
        within: Whether a trial competes with those of its own arm, or of the whole sweep.
        calibrate: Recorded curves (a CSV file, or a sweep's folder), from the sweep file's folder:
            grace and eta are those that did best on them, see `gansweep simulate`.
    """

    name: Literal["asha", "none"] = "asha"
    variant: Literal["stopping", "promotion"] = "stopping"
    grace: Count = 1
    eta: Annotated[int, schema.Range(low=2)] = 3
    brackets: Count = 1
    within: Literal["arm", "sweep"] = "arm"
    calibrate: str | None = None


@dataclass(frozen=True, kw_only=True)
class Confirm:
    """What is trained again at full length once the search is over, on fresh seeds.

    Args:
        top: How many points of each arm, the best of its search.
        seeds: How often each, every time with a seed that the search did not use.
    """

    top: Count = 1
    seeds: Count = 5


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a sweep may use at most; kept to within the epoch that each trial is in.

    The search leaves as much as the confirmations will need, at most half.

    Args:
        hours: From start to end, interruptions not counted.
        gpu_hours: Hours of all trials, each times its share of GPUs.
    """

    hours: Positive | None = None
    gpu_hours: Positive | None = None


@dataclass(frozen=True, kw_only=True)
class Resources(Needs):
    """What one trial is given, and how many run at a time.

    Args:
        gpu: May be a share of one, such as 0.25.
        memory_gb: Main memory that is set aside; None sets nothing aside.
        concurrent: None runs as many as there is room for.
        retries: How often a trial is started again after its worker died. A worker that dies with
            its node, or is preempted, does not count.
        trial_timeout: Minutes without a report after which a trial counts as hung: its worker is
            killed, and it has failed. Longer than the longest epoch, and than its pictures take to
            be prepared. None waits for ever.
        of: Exceptions; the first that holds for a trial decides what it is given.
        auto: The share of a GPU is measured for each arm (`gpu: auto` in a file); `gpu` is then
            one, which a trial has whose share is not decided yet.
    """

    concurrent: Count | None = None
    retries: Whole = 2
    trial_timeout: Positive | None = None
    of: tuple[Case, ...] = ()
    auto: bool = False

    def __post_init__(self) -> None:
        # A plan's file has them as plain data.
        cases = (Case(**case) if isinstance(case, dict) else case for case in self.of)
        object.__setattr__(self, "of", tuple(cases))

    def needs(self, varied: Mapping[str, Any], share: float | None = None) -> Needs:
        """What a trial with these values by dotted path is given.

        Args:
            share: Of a GPU, where that was measured.
        """
        usual, case = self.usual(share), self._case(varied)
        return case.needs(usual) if case else usual

    def usual(self, share: float | None = None) -> Needs:
        """What a trial is given that comes under no exception."""
        gpu = self.gpu if share is None else share
        return Needs(cpu=self.cpu, gpu=gpu, memory_gb=self.memory_gb)

    def is_auto(self, varied: Mapping[str, Any]) -> bool:
        """Whether the share of a trial with these values is to be measured."""
        case = self._case(varied)
        return self.auto and not (case and "gpu" in case.gives)

    def _case(self, varied: Mapping[str, Any]) -> Case | None:
        return next((case for case in self.of if case.holds(varied)), None)

    def as_json(self) -> dict[str, Any]:
        """As plain data; a section without exceptions has no word of them."""
        return {key: v for key, v in asdict(self).items() if v or key not in ("of", "auto")}
