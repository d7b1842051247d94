"""Reads recorded learning curves, from a table or from a sweep, and lays them side by side."""

from __future__ import annotations

import csv
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sweeps import folder
from sweeps.errors import UserError
from sweeps.results import Results, TrialResult

FEWEST = 3
"""Curves that a group must have for a comparison to mean anything."""

MOST_KINDS = 5
"""Values of a column, at most, that are taken for kinds of trials."""

_COLUMNS = {
    "trial": ("trial", "run"),
    "step": ("step",),
    "score": ("score", "fid"),
}

Row = tuple[float, float]
"""A step and the score there."""


@dataclass(frozen=True)
class Curve:
    """What one trial scored at each point; not finite where it had no score."""

    trial: str
    group: str
    scores: tuple[float, ...]


@dataclass(frozen=True)
class Recorded:
    """Curves of equal length, at the same steps.

    Args:
        steps: Where the points lie: the unit is the file's, or epochs of a sweep.
        goal: `min` where a lower score is better, else `max`.
        notes: What was cut or left out, a line each.
    """

    curves: tuple[Curve, ...]
    steps: tuple[float, ...]
    goal: str
    notes: tuple[str, ...] = ()


def read_curves(
    source: Path,
    *,
    goal: str = "min",
    until: float | None = None,
    only: Mapping[str, str] | None = None,
) -> Recorded:
    """The curves of a CSV file or of a sweep's folder, cut at a common length.

    Args:
        source: A CSV file with columns trial (or run), step, score (or fid) and, if trials are
            compared in groups, group; or the folder of a sweep.
        goal: Of a file; a sweep knows its own.
        until: The last step that counts; trials that end before it are left out. Default: where
            the first of them ends.
        only: Of a file, the rows that have these values in these columns: those of one protocol.

    Raises:
        UserError: The source cannot be read, or has fewer than three curves to compare.
    """
    if folder.is_sweep(source):
        if only:
            raise UserError(f"{source}: --only chooses among the rows of a CSV file")
        found, goal, notes = _of_sweep(source)
    elif source.is_file():
        found, notes = _of_table(source, only or {})
        if only and not found:
            asked = " and ".join(f"{column}={value}" for column, value in only.items())
            raise UserError(f"{source}: no row has {asked}, which --only asks for")
    else:
        raise UserError(f"{source}: neither a CSV file of curves nor the folder of a sweep")
    return _aligned(source, found, goal, until, notes)


def _of_sweep(place: Path) -> tuple[dict[tuple[str, str], list[Row]], str, list[str]]:
    """The search's curves; confirmations are the same points again."""
    results = Results.read(place)
    plan = results.plan
    search = [r for trials in results.of_phase("explore").values() for r in trials]
    whole = [r for r in search if r.state == "completed"]
    notes = []
    if left_out := len(search) - len(whole):
        notes.append(f"{left_out} of {len(search)} trials left out: not trained to their end")
    if any(r.points[-1].stage for r in whole):
        notes.append("of networks that grow, only the last stage")
    if len(whole) < FEWEST:
        remedy = "replay a sweep that ran with `schedule: {name: none}`"
        raise UserError(
            f"{place}: {len(whole)} of {len(search)} trials were trained to their end, "
            f"at least {FEWEST} are needed: {remedy}"
        )
    within = plan.schedule.within == "arm"
    found = {(r.trial.arm if within else "", r.trial.uid): list(_last_stage(r)) for r in whole}
    return found, plan.goal, notes


def _last_stage(result: TrialResult) -> Iterator[Row]:
    for point in result.points:
        if point.stage == result.points[-1].stage:
            yield point.epoch, point.values.get(result.objective, math.nan)


def _of_table(
    path: Path, only: Mapping[str, str]
) -> tuple[dict[tuple[str, str], list[Row]], list[str]]:
    found: dict[tuple[str, str], dict[float, float]] = defaultdict(dict)
    seen: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for place, row in _rows(path, only):
        curve = found[row.group, row.trial]
        if row.step in curve:
            raise UserError(f"{place}: trial {row.trial!r} has step {row.step:g} twice: remove one")
        curve[row.step] = row.score
        for column, value in row.others.items():
            seen[column][row.trial].add(value)
    return {key: sorted(curve.items()) for key, curve in found.items()}, list(_unlike(seen))


def _unlike(seen: Mapping[str, Mapping[str, set[str]]]) -> Iterator[str]:
    """Columns that split the trials in a few kinds: scores of unlike kinds may not compare."""
    for column, by_trial in seen.items():
        kinds = Counter(value for values in by_trial.values() for value in values)
        if all(len(values) == 1 for values in by_trial.values()) and 1 < len(kinds) <= MOST_KINDS:
            told = ", ".join(f"{value} {count}" for value, count in kinds.most_common())
            remedy = f"--only {column}={kinds.most_common(1)[0][0]}"
            yield f"unlike in {column} ({told}); of another protocol? {remedy}"


class _Row(NamedTuple):
    """One row of a table; `others` are the columns that nobody asked for."""

    trial: str
    group: str
    step: float
    score: float
    others: dict[str, str]


def _rows(path: Path, only: Mapping[str, str]) -> Iterator[tuple[str, _Row]]:
    """Where each row stands, and what it says."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            table = csv.DictReader(stream)
            if not table.fieldnames:
                raise UserError(f"{path}: empty; {_wanted()}")
            names = {name.strip().lower(): name for name in table.fieldnames}
            columns = {key: _column(path, names, known) for key, known in _COLUMNS.items()}
            if missing := [column for column in only if column.lower() not in names]:
                raise UserError(f"{path}:1: no column {missing[0]!r}, which --only asks for")
            others = {k: v for k, v in names.items() if v not in columns.values() and k != "group"}
            for row in table:
                if any(row[names[column.lower()]] != value for column, value in only.items()):
                    continue
                place = f"{path}:{table.line_num}"
                trial = row[columns["trial"]]
                if not trial:
                    raise UserError(f"{place}: no trial is named: write its name, or drop the row")
                step = _number(place, "step", row[columns["step"]])
                if not math.isfinite(step):
                    raise UserError(f"{place}: step {step} is not finite: write a number")
                score = _number(place, "score", row[columns["score"]])
                group = row[names["group"]] or "" if "group" in names else ""
                beside = {key: row[name] or "" for key, name in others.items()}
                yield place, _Row(trial, group, step, score, beside)
    except (OSError, UnicodeError, csv.Error) as error:
        raise UserError(f"{path}: not a CSV file in UTF-8: {error}") from None


def _column(path: Path, names: Mapping[str, str], known: Sequence[str]) -> str:
    for name in known:
        if name in names:
            return names[name]
    raise UserError(f"{path}:1: no column {' or '.join(known)}; {_wanted()}")


def _wanted() -> str:
    columns = ", ".join(" or ".join(known) for known in _COLUMNS.values())
    return f"the first line must name {columns}, and may name group"


def _number(place: str, name: str, text: str | None) -> float:
    try:
        return float(text or "")
    except ValueError:
        remedy = "write a number" + (", or nan where there was none" if name == "score" else "")
        raise UserError(f"{place}: {name} {text or ''!r} is not a number: {remedy}") from None


def _aligned(
    source: Path,
    found: Mapping[tuple[str, str], list[Row]],
    goal: str,
    until: float | None,
    notes: list[str],
) -> Recorded:
    """Cuts at a common step, and leaves out what has no point where the others have."""
    if not found:
        raise UserError(f"{source}: no curve in it; {_wanted()}")
    ends = [rows[-1][0] for rows in found.values()]
    cut = min(ends) if until is None else until
    long = {key: rows for key, rows in found.items() if rows[-1][0] >= cut}
    if len(long) < len(found):
        notes.append(f"{len(found) - len(long)} of {len(found)} left out: they end before {cut:g}")
    if any(end > cut for end in ends):
        notes.append(f"cut at step {cut:g}")
    grids = {key: tuple(step for step, _ in rows if step <= cut) for key, rows in long.items()}
    steps: tuple[float, ...] = max(Counter(grids.values()).items(), key=_usual, default=((), 0))[0]
    same = [key for key, grid in grids.items() if grid == steps]
    if len(same) < len(long):
        notes.append(f"{len(long) - len(same)} left out: their points lie at other steps")
    sizes = Counter(group for group, _ in same)
    kept = [key for key in same if sizes[key[0]] >= FEWEST]
    if not kept:
        raise UserError(
            f"{source}: {'; '.join([*notes, ''])}no group has {FEWEST} curves that can be "
            "compared: record more trials, or choose another --until"
        )
    if len(kept) < len(same):
        notes.append(f"{len(same) - len(kept)} left out: fewer than {FEWEST} in their group")
    if len(steps) < 2:
        raise UserError(f"{source}: the curves have {len(steps)} point each, at least 2 are needed")
    curves = tuple(
        Curve(trial, group, tuple(score for _, score in long[group, trial][: len(steps)]))
        for group, trial in kept
    )
    return Recorded(curves, steps, goal, tuple(notes))


def _usual(item: tuple[tuple[float, ...], int]) -> tuple[int, int]:
    """The commonest grid; of equals, the finer."""
    steps, count = item
    return count, len(steps)
