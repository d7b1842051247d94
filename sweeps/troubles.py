"""What is wrong with a sweep's files and was passed over, a line each, for people."""

from __future__ import annotations

from collections.abc import Iterator

from sweeps.folder import trial_folder
from sweeps.results import Results, TrialResult

_SHOWN = 5
"""Of a kind; a broken disk has hundreds."""


def troubles(results: Results) -> list[str]:
    """Lost records, lost journals, damaged checkpoints, and curves that came out otherwise."""
    lines = list(_lost(results))
    passed_over = [
        f"{uid}, attempt {start['attempt']}: {line}; it went on from epoch {start['from_epoch']}"
        for uid, result in results.trials.items()
        for start in result.starts
        for line in start.get("troubles", ())
    ]
    voided = [
        f"{uid}, attempt {void['attempt']}: {void['reason']}: "
        f"what was reported before of epoch {void['epoch']} and later does not count"
        for uid, result in results.trials.items()
        for void in result.voids
    ]
    return [*lines, *_some(passed_over), *_some(voided)]


def _lost(results: Results) -> Iterator[str]:
    files = [f"{file} ({_numbers(numbers)})" for file, numbers in results.lost.items()]
    if files:
        yield ("the journal lacks records, damaged or missing: " + "; ".join(_some(files)))
    holes = [
        f"{uid} after epoch {result.epoch}"
        for uid, result in results.trials.items()
        if result.written > result.epoch
    ]
    if holes:
        yield (
            "epochs are missing from the journal, and what follows them does not count; a trial "
            "that has not been stopped does them again on resume: " + "; ".join(_some(holes))
        )
    gone = [uid for uid, result in results.trials.items() if _journal_is_gone(results, result)]
    if gone:
        yield (
            "there are checkpoints, but the journal says nothing of them; these trials start anew: "
            + ", ".join(_some(gone))
        )


def _journal_is_gone(results: Results, result: TrialResult) -> bool:
    if result.starts or result.ended:
        return False
    checkpoints = trial_folder(results.folder, result.trial.uid) / "checkpoints"
    return any(checkpoints.glob("epoch-*.json"))


def _some(lines: list[str]) -> list[str]:
    if len(lines) <= _SHOWN:
        return lines
    return [*lines[:_SHOWN], f"and {len(lines) - _SHOWN} more"]


def _numbers(numbers: list[int]) -> str:
    """Numbers in order, those in a row as one: `3, 5 to 7`."""
    rows: list[list[int]] = []
    for number in sorted(numbers):
        if rows and number == rows[-1][-1] + 1:
            rows[-1].append(number)
        else:
            rows.append([number])
    return ", ".join(f"{r[0]} to {r[-1]}" if len(r) > 1 else str(r[0]) for r in rows)
