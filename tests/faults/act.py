"""What a scripted trial may be told to do in an epoch, before it reports it.

A script is a mapping from (trial, epoch) to one action or a list of them. A trial is its uid, its
number in the plan, or `"*"` for any; an epoch is a number or `"*"`. All entries that match are
done, in the script's order. What breaks a trial is done once by default, so that the next attempt
passes; `times=None` does it always.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Action = dict[str, Any]
Script = Mapping[tuple[str | int, str | int], Action | Sequence[Action]]


def report(score: float, times: int | None = None) -> Action:
    """This score in place of the trial's own; one that is not finite is a divergence."""
    finite = score if abs(score) < float("inf") else None
    return {"do": "report", "score": finite, "times": times}


def nan(times: int | None = None) -> Action:
    """A score that is no number: the trial has diverged."""
    return {"do": "report", "score": None, "times": times}


def sleep(seconds: float, times: int | None = None) -> Action:
    """The epoch takes this long; of `1e9` the trial hangs."""
    return {"do": "sleep", "seconds": seconds, "times": times}


def fail(error: str, *arguments: Any, times: int | None = 1) -> Action:
    """An exception by its name, such as `OSError` or `torch.OutOfMemoryError`."""
    return {"do": "fail", "error": error, "arguments": arguments, "times": times}


def leave(code: int = 1, times: int | None = 1) -> Action:
    """The process exits without a word."""
    return {"do": "leave", "code": code, "times": times}


def kill(times: int | None = 1) -> Action:
    """The process sends itself SIGKILL."""
    return {"do": "kill", "times": times}


def hog(megabytes: int, times: int | None = 1) -> Action:
    """Memory is taken, touched and kept."""
    return {"do": "hog", "megabytes": megabytes, "times": times}


def say(megabytes: int, *, junk: bool = False, times: int | None = None) -> Action:
    """So much is printed in one line, as text or as bytes that are none."""
    return {"do": "say", "megabytes": megabytes, "junk": junk, "times": times}


def rows(script: Script) -> list[Action]:
    """The script as the plug-in reads it."""
    return [
        {**action, "trial": trial, "epoch": epoch}
        for (trial, epoch), asked in script.items()
        for action in ([asked] if isinstance(asked, Mapping) else asked)
    ]
