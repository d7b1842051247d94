"""The report's tables as CSV for machines and as LaTeX for papers."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gancore.files import write_atomically
from sweeps.results import safe_cell

ARM_COLUMNS = (
    "rank",
    "label",
    "sweep",
    "trials",
    "confirmed",
    "n",
    "best",
    "best_trial",
    "median",
    "iqm",
    "low",
    "high",
    "mean",
    "mean_low",
    "mean_high",
    "epochs",
    "hours",
    "stopped",
    "ill",
)
PAIR_COLUMNS = (
    "a",
    "b",
    "difference",
    "low",
    "high",
    "p",
    "corrected_p",
    "effect",
    "improvement",
    "improvement_low",
    "improvement_high",
    "verdict",
)
TRIAL_COLUMNS = (
    "uid",
    "sweep",
    "phase",
    "repeats",
    "source",
    "begins",
    "draw",
    "seed",
    "state",
    "verdict",
    "best",
)
MORE_TRIAL_COLUMNS = ("best_epoch", "seconds", "reason")

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}

Row = Sequence[object]


def write_tables(data: Mapping[str, Any], folder: Path) -> list[Path]:
    """Writes `league`, `pairs` and `trials` beside the page; what there is nothing of, is not.

    Args:
        data: As `report_data` returns it.

    Returns:
        The files, in the order in which the page links them.
    """
    ranked = sorted(data["arms"], key=lambda arm: arm["rank"])
    files = [
        write(folder / "league.csv", as_csv(ARM_COLUMNS, _rows(ranked, ARM_COLUMNS))),
        write(folder / "league.tex", league_latex(ranked, data["objective"], data["level"])),
    ]
    if data["pairs"]:
        rows = _rows(data["pairs"], PAIR_COLUMNS)
        files.append(write(folder / "pairs.csv", as_csv(PAIR_COLUMNS, rows)))
        files.append(write(folder / "pairs.tex", pairs_latex(data["pairs"])))
    return [*files, write(folder / "trials.csv", _trials(data))]


def as_csv(head: Row, rows: Iterable[Row]) -> str:
    """A table as CSV; a text that a spreadsheet would run as a formula is quoted."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        [safe_cell(c) for c in row] for row in [head, *rows]
    )
    return text.getvalue()


def league_latex(arms: Sequence[Mapping[str, Any]], objective: str, level: float | None) -> str:
    """The league table for `booktabs`, the best arm of each protocol in bold."""
    share = rf"{100 * level:.0f}\% interval" if level else "interval"
    told = any(arm.get("iqm") is not None for arm in arms)
    head = [
        "arm",
        "$n$",
        f"best {latex(objective)}",
        "median",
        *(["IQM", share] if told else []),
        "epochs",
    ]
    seen: set[int] = set()
    rows = []
    for arm in arms:
        label = latex(arm["label"])
        if arm["protocol"] not in seen and arm["best"] is not None:
            seen.add(arm["protocol"])
            label = rf"\textbf{{{label}}}"
        middle = [figure(arm.get("iqm")), interval(arm)] if told else []
        scores = [figure(arm["best"]), figure(arm["median"]), *middle]
        rows.append([label, str(arm["n"]), *scores, str(arm["epochs"])])
    return tabular("l" + "r" * (len(head) - 1), head, rows)


def pairs_latex(pairs: Sequence[Mapping[str, Any]]) -> str:
    """The comparisons for `booktabs`."""
    head = ["arms", "difference", "effect", "$p$", "corrected $p$"]
    rows = [
        [
            f"{latex(pair['a'])} -- {latex(pair['b'])}",
            *(figure(pair.get(key)) for key in ("difference", "effect", "p", "corrected_p")),
        ]
        for pair in pairs
    ]
    return tabular("lrrrr", head, rows)


def latex(text: str) -> str:
    """A text on one line whose every character stands for itself."""
    return "".join(_LATEX.get(letter, letter) for letter in " ".join(text.split()))


def tabular(columns: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table for `booktabs`, of cells that are LaTeX already."""
    lines = [" & ".join(row) + r" \\" for row in [head, *rows]]
    body = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", lines[0], r"\midrule", *lines[1:]]
    return "\n".join([*body, r"\bottomrule", r"\end{tabular}", ""])


def figure(value: object) -> str:
    """Three digits and all before the point, or a dash where there is no number."""
    if not isinstance(value, int | float):
        return "--"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def interval(row: Mapping[str, Any]) -> str:
    """Its ends, or a dash."""
    if row.get("low") is None or row.get("high") is None:
        return "--"
    return f"[{figure(row['low'])}, {figure(row['high'])}]"


def _trials(data: Mapping[str, Any]) -> str:
    paths = [dimension["path"] for dimension in data["dimensions"]]
    head = ("arm", *TRIAL_COLUMNS, *MORE_TRIAL_COLUMNS, *paths)
    rows = [
        [
            data["arms"][trial["arm"]]["label"],
            *(_blank(trial[key]) for key in (*TRIAL_COLUMNS, *MORE_TRIAL_COLUMNS)),
            *map(_blank, trial["values"]),
        ]
        for trial in data["trials"]
    ]
    return as_csv(head, rows)


def _rows(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> list[list[object]]:
    return [[_blank(row.get(key)) for key in columns] for row in rows]


def _blank(value: object) -> object:
    return "" if value is None else value


def write(path: Path, text: str) -> Path:
    """Writes a table; returns where."""
    write_atomically(path, text.encode())
    return path
