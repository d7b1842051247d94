"""Who watches a sweep is told that its trials wait for a machine, once."""

from __future__ import annotations

from sweeps.schedule import room
from sweeps.schedule.room import Room

CPU = {"CPU": 1.0, "GPU": 0.0}
GPU = {"CPU": 2.0, "GPU": 0.5, "memory": 16e9}


class Watched:
    """What is said by a room of these nodes, whose clock is ours."""

    def __init__(self, *nodes: dict[str, float]) -> None:
        self.now, self.said = 0.0, list[str]()
        self.room = Room(lambda: nodes, self.said.append, lambda: self.now)

    def after(self, seconds: float, *trials: tuple[str, dict[str, float]]) -> list[str]:
        """What is said then, the trials having been so all the time."""
        until = self.now + seconds
        while self.now < until:
            self.now += 0.5
            self.room.look(iter(trials))
        said, self.said[:] = self.said[:], []
        return said


def test_trials_that_wait_for_nodes_are_told_of_once_and_again_when_it_comes_again() -> None:
    watched = Watched({"memory": 1e9})
    waiting = [("PENDING", CPU)] * 4
    assert watched.after(room.QUIET_SECONDS, *waiting) == []
    assert watched.after(60, *waiting) == [
        "waiting for room: 4 trials ask for 1 CPU each, and no node has that yet"
    ]
    assert watched.after(2, *waiting[:3], ("RUNNING", CPU)) == []
    assert len(watched.after(60, *waiting)) == 1


def test_more_trials_than_fit_are_nothing_to_tell_of() -> None:
    trials = [("RUNNING", CPU), *[("PENDING", CPU)] * 7, ("TERMINATED", GPU)]
    assert Watched({"CPU": 1}).after(600, *trials) == []


def test_a_kind_that_has_no_machine_is_told_of_while_another_runs() -> None:
    trials = [("RUNNING", CPU), ("PENDING", CPU), ("PENDING", GPU)]
    assert Watched({"CPU": 64}).after(60, *trials) == [
        "waiting for room: 1 trial asks for 2 CPU and 0.5 GPU and 16 GB, and no node has that yet"
    ]


def test_what_others_have_taken_is_no_lack_of_nodes() -> None:
    (line,) = Watched({"CPU": 1}).after(60, ("PENDING", CPU))
    assert line.endswith("1 trial asks for 1 CPU, and all that there is, is taken")
