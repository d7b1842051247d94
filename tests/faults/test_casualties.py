"""Trials whose workers die, hang or fail, and when that ends the sweep; without Ray."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from unittest.mock import patch

import pytest
from played_sweep import Clock, place_of, play, write

from sweeps import (
    journal,
    resume,
)
from sweeps.dispatch import Dispatcher
from sweeps.failures import (
    FailedAlike,
    Streak,
)
from sweeps.journal import Journal
from sweeps.results import Results

SIGKILLED = (
    "The actor died unexpectedly before finishing this task.\n\tpid: 71\nThe actor is dead because "
    "its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: Worker "
    "unexpectedly exits with a connection error code 2. End of file. Some common causes include: "
    "(1) the process was killed by the OOM killer due to high memory usage, (2) ...\n"
)
NODE_DIED = (
    "The actor died unexpectedly before finishing this task.\n"
    "The actor died because its node has died. Node Id: 7f1b0a2e00c0\n"
)


def fail(place: Path, dispatcher: Dispatcher, uid: str, reason: str) -> None:
    """A trial that ends by an error, as `run_trial` journals it."""
    trial = dispatcher.plan.trial(uid)
    end = {"state": "failed", "verdict": "failed", "reason": reason}
    write(place, trial, "end", attempt=1, epoch=0, **end)
    dispatcher.judge(uid, 0, math.inf, 0, ended=True)
    dispatcher.left(uid)


def fail_all(place: Path, dispatcher: Dispatcher, slots: int, begun: list[str]) -> None:
    while live := begin(place, dispatcher, slots):
        begun += live
        for number, uid in enumerate(live):
            fail(place, dispatcher, uid, f"ValueError: at 0x7f00deadbeef, {number} MB")


def dispatching(place: Path, log: Journal, clock: Clock | None = None) -> Dispatcher:
    results = Results.read(place)
    return Dispatcher(results, log, clock=clock) if clock else Dispatcher(results, log)


def begin(place: Path, dispatcher: Dispatcher, count: int) -> list[str]:
    begun = []
    for _ in range(count):
        uid = dispatcher.next()
        if uid is None:
            break
        dispatcher.began(uid)
        write(place, dispatcher.plan.trial(uid), "start", attempt=1)
        begun.append(uid)
    return begun


class TestFailuresAlike:
    @pytest.mark.parametrize("slots", [1, 2, 5])
    def test_all_that_fail_alike_end_the_sweep_with_one_message(
        self, tmp_path: Path, slots: int
    ) -> None:
        place = place_of(tmp_path, search={"trials_each": 50})
        begun: list[str] = []
        with Journal(place, journal.DRIVER) as log:
            dispatcher = dispatching(place, log)
            with pytest.raises(FailedAlike) as caught:
                fail_all(place, dispatcher, slots, begun)
        assert len(begun) <= 3 + slots
        assert caught.value.exit_code == 4
        assert "\n" not in str(caught.value)
        assert "ValueError: at 0x7f00deadbeef" in str(caught.value)
        assert "resume" in str(caught.value)
        assert "--retry-failed" in str(caught.value)

    def test_who_is_running_is_waited_for_and_may_do_better(self, tmp_path: Path) -> None:
        place = place_of(tmp_path, search={"trials_each": 50})
        with Journal(place, journal.DRIVER) as log:
            dispatcher = dispatching(place, log)
            *failing, other = begin(place, dispatcher, 4)
            for uid in failing:
                fail(place, dispatcher, uid, "ValueError: planted")
            assert dispatcher.next() is None
            write(place, dispatcher.plan.trial(other), "epoch", epoch=1, values={"fid500": 9.0})
            dispatcher.judge(other, 1, 9.0, 0, ended=False)
            assert dispatcher.next() is not None

    def test_unlike_reasons_or_one_arm_alone_end_nothing(self, tmp_path: Path) -> None:
        place = place_of(tmp_path)
        streak = Streak(Results.read(place))
        for number, reason in enumerate("abcdef"):
            streak.failed(str(number), "hinge" if number % 2 else "minimax", reason)
        assert not streak.over
        streak = Streak(Results.read(place))
        for number in range(5):
            streak.failed(str(number), "hinge", "alike")
        assert not streak.over
        streak.failed("9", "minimax", "alike")
        assert streak.over

    def test_few_wait_for_room_before_any_got_somewhere(self, tmp_path: Path) -> None:
        place = place_of(tmp_path, search={"trials_each": 50})
        with Journal(place, journal.DRIVER) as log:
            dispatcher = dispatching(place, log)
            begin(place, dispatcher, 1)
            ahead = list(itertools.takewhile(bool, (dispatcher.next() for _ in range(99))))
            assert len(ahead) == 8
            dispatcher.judge("000-hinge", 1, 9.0, 0, ended=False)
            assert sum(dispatcher.next() is not None for _ in range(99)) == 91


class TestEndsThatATrialCannotTell:
    def test_one_that_hangs_is_ended_and_journalled(self, tmp_path: Path) -> None:
        place = place_of(tmp_path, resources={"trial_timeout": 10})
        clock = Clock()
        with Journal(place, journal.DRIVER) as log:
            dispatcher = dispatching(place, log, clock)
            hanging, well = begin(place, dispatcher, 2)
            clock.now = 599
            dispatcher.judge(well, 1, 9.0, 0, ended=False)
            assert dispatcher.hung() == []
            clock.now = 601
            assert dispatcher.hung() == [hanging]
            assert dispatcher.hung() == []
            dispatcher.died(hanging, SIGKILLED)  # As Ray tells of the worker that was killed.
        result = Results.read(place).trials[hanging]
        assert result.state == "failed"
        assert result.reason.startswith("hung: no report for 10 minutes (resources.trial_timeout)")

    def test_a_worker_that_is_lost_is_journalled_and_no_longer_waited_for(
        self, tmp_path: Path
    ) -> None:
        place = place_of(tmp_path, resources={"trial_timeout": 10})
        clock = Clock()
        with Journal(place, journal.DRIVER) as log:
            dispatcher = dispatching(place, log, clock)
            uid, other = begin(place, dispatcher, 2)
            dispatcher.lost(uid, NODE_DIED)
            clock.now = 599
            dispatcher.judge(other, 1, 9.0, 0, ended=False)
            clock.now = 900
            assert dispatcher.hung() == []
            dispatcher.began(uid)
            clock.now = 1501
            assert set(dispatcher.hung()) == {uid, other}
        (loss,) = Results.read(place).trials[uid].losses
        assert loss["reason"] == "its node was lost"

    def test_a_trial_that_loses_worker_after_worker_and_gets_no_further_is_given_up(
        self, tmp_path: Path
    ) -> None:
        place = place_of(tmp_path)
        with Journal(place, journal.DRIVER) as log:
            dispatcher = dispatching(place, log)
            uid, _ = begin(place, dispatcher, 2)
            assert [dispatcher.lost(uid, NODE_DIED) for _ in range(3)] == [True] * 3
            with Journal(place, uid) as own:
                own.append("epoch", trial=uid, attempt=1, epoch=1, values={"fid64": 9.0})
            assert [dispatcher.lost(uid, NODE_DIED) for _ in range(4)] == [True] * 3 + [False]

    def test_a_failed_trial_is_tried_again_and_its_old_end_is_no_more(self, tmp_path: Path) -> None:
        place = place_of(tmp_path)
        with Journal(place, journal.DRIVER) as log:
            dispatcher = dispatching(place, log)
            uid, other = begin(place, dispatcher, 2)
            dispatcher.died(uid, SIGKILLED)
            # As earlier versions told it, in the driver's own file.
            end = {"epoch": 0, "state": "failed", "verdict": "failed", "reason": "told"}
            log.append("end", trial=other, **end)
            log.append("sweep", state="finished")
        assert [Results.read(place).trials[u].state for u in (uid, other)] == ["failed"] * 2

        def played(place: Path, *_others: object) -> None:
            states = [Results.read(place).trials[u].state for u in (uid, other)]
            assert states == ["waiting"] * 2
            play(place)

        with (
            patch("sweeps.sweep._train", played),
            patch("sweeps.tracking.start_uploader", lambda *_: None),
            patch("sweeps.tracking.wait", lambda *_: True),
        ):
            results = resume(place, retry_failed=True)
        assert {r.state for r in results.trials.values()} == {"completed"}
        assert results.exit_code == 0
        assert len([r for r in journal.read(place, uid) if r["kind"] == "retry"]) == 1
