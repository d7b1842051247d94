"""The descriptions that MLflow shows of a sweep and of a trial: Markdown that leads to the rest."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from sweeps import journal
from sweeps.errors import UserError
from sweeps.folder import REPORT
from sweeps.results import Results, TrialResult
from sweeps.tracking.description import ARM, KIND, LONGEST, SWEEP_ID, best_key, decimal
from sweeps.tracking.markdown import code, plain
from sweeps.tracking.memory import Sent

if TYPE_CHECKING:
    from sweeps.compare.statistics import Comparison

TAG = "mlflow.note.content"
MOST_ARMS = 20
"""Rows of the table of arms; the report has them all."""

_CLASSIC = {"workflowType": "machine_learning"}
"""Without it MLflow's pages put on the menu of an experiment with a language model."""


@dataclass(frozen=True)
class Pages:
    """Addresses of MLflow's pages, relative to whatever server shows them.

    Args:
        experiment: MLflow's id of the experiment.
        sweep: What tells the sweep from all others.
        runs: What MLflow has, by the name of trial or driver.
    """

    experiment: str
    sweep: str
    runs: Mapping[str, Sent]

    def run(self, owner: str, text: str) -> str:
        """A link to the run of a trial or of the sweep; the text alone where there is none."""
        if owner not in self.runs:
            return plain(text)
        return self._link(text, f"/{self.runs[owner].run}", _CLASSIC)

    def report(self) -> str:
        """A link to the sweep's report, which MLflow shows among the artifacts of its run."""
        run = self.runs[journal.DRIVER].run
        return self._link("report", f"/{run}/artifacts/{REPORT}/index.html", _CLASSIC)

    def trials(self, results: Results, text: str, arm: str | None = None) -> str:
        """A link to the table of all trials of the sweep, or of one of its arms, best first."""
        wanted = {SWEEP_ID: self.sweep, KIND: "trial"}
        # A label with a quote in it would need escapes that MLflow's filters do not have.
        wanted |= {ARM: arm} if arm is not None and "'" not in arm else {}
        order = {
            "searchFilter": " and ".join(f"tags.`{k}` = '{v}'" for k, v in wanted.items()),
            "orderByKey": f"metrics.`{best_key(results.plan.objective)}`",
            "orderByAsc": "true" if results.plan.goal == "min" else "false",
        }
        return self._link(text, "", {**order, **_CLASSIC})

    def _link(self, text: str, path: str, query: Mapping[str, str]) -> str:
        address = f"#/experiments/{self.experiment}/runs{path}?{urlencode(query)}"
        return f"[{plain(text)}]({address})"


def of_sweep(results: Results, state: str, pages: Pages) -> str:
    """The ways on, the answer, the arms, and what was asked, in this order.

    MLflow folds all but some lines away, and until it is unfolded only the first two can be
    clicked: a veil lies over the others.
    """
    compared = _comparison(results) if state == "finished" else None
    best, name = results.best, results.folder.name
    ways = [pages.report()] if (results.folder / REPORT / "index.html").is_file() else []
    ways += [pages.trials(results, "all trials, best first")]
    ways += [f"best trial {pages.run(best.trial.uid, best.trial.uid)}"] if best else []
    asked, content = _file(results.folder / "sweep.yaml")
    how = (
        "Each child run is one trial: its parameters are the whole configuration, its step is the "
        f"epoch. Trials are ranked by {code(best_key(results.plan.objective))}, the best score "
        f"so far ({results.plan.goal}imum). Under Model metrics, `samples` slides through "
        "training, from the same latents every epoch. The best trial of each arm has its "
        f"checkpoint and a loadable generator. In the terminal: {code(f'gansweep show {name}')}."
    )
    parts = [
        " · ".join(ways),
        f"**{plain(_answer(results, state, compared))}**",
        "\n".join(_arms(results, compared, pages)),
        f"Asked: {plain(asked)}" if asked else "",
        how,
        # By its indent it is code to its end, wherever it is cut and whatever stands in it.
        f"`sweep.yaml`:\n\n{indent(content, '    ')}",
    ]
    return "\n\n".join(part for part in parts if part)[:LONGEST]


def of_trial(results: Results, result: TrialResult, state: str, pages: Pages) -> str:
    """What a trial was given, what came of it and why it ended, and where its like are."""
    trial, plan = result.trial, results.plan
    outcome = f"{plan.objective} {_number(result.best)}"
    outcome += f" at epoch {result.best_epoch}" if result.best_epoch else ""
    fate = [state, f"at epoch {result.epoch} of {trial.epochs}"]
    fate += [f"verdict {result.verdict}"] if result.verdict else []
    ended = f"{', '.join(fate)}{f': {result.reason}' if result.reason else ''}"
    drawn = [
        f"{plain(path)} {plain(decimal(value))}"
        for path, value in trial.varied.items()
        if path not in plan.scientific
    ]
    parts = [
        " · ".join(
            [
                f"sweep {pages.run(journal.DRIVER, results.folder.name)}",
                pages.trials(results, "trials of this arm, best first", trial.arm),
            ]
        ),
        f"**{plain(trial.arm)}**: best {plain(outcome)}; {plain(ended)}.",
        f"Given: {', '.join([*drawn, f'seed {trial.seed}'])}.",
    ]
    if trial.source:
        source = pages.run(trial.source, trial.source)
        parts.append(f"It took over the state of {source} after epoch {trial.begins}.")
    if trial.repeats:
        again = pages.run(trial.repeats, trial.repeats)
        parts.append(f"It trains the point of {again} again, on a fresh seed.")
    return "\n\n".join(parts)[:LONGEST]


def _answer(results: Results, state: str, compared: Comparison | None) -> str:
    if compared is not None:
        return compared.sentence
    ended = sum(r.ended for r in results.trials.values())
    told = (
        f"{state}: {ended} of {len(results.trials) + results.to_join} trials have ended, "
        f"{results.epochs_done} of {results.epochs_planned} epochs are trained"
    )
    best = results.best
    if best is None:
        return f"{told}; no trial has a score yet"
    return (
        f"{told}; {best.trial.arm} leads the search with {results.plan.objective} "
        f"{_number(best.best)}, and which arm is better only fresh seeds can tell"
    )


def _comparison(results: Results) -> Comparison | None:
    """The arms on their fresh seeds; None where there are none, or none that can be compared."""
    from sweeps.compare.analysis import comparison

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy's remarks on few numbers; the sentence says them.
        try:
            return comparison([results])
        except UserError:
            return None


def _arms(results: Results, compared: Comparison | None, pages: Pages) -> Iterator[str]:
    """A table of the arms: by their fresh seeds where they were compared, else by their best."""
    from sweeps.compare.verdict import score

    objective = plain(results.plan.objective)
    confirmed = {a.label: a for a in compared.arms} if compared else {}
    more = f" {objective} on fresh seeds | seeds |" if confirmed else ""
    yield f"| arm | best {objective} of the search | at epoch | trial |{more}"
    yield "| --- |" + " --- |" * (5 if confirmed else 3)
    order = {label: number for number, label in enumerate(confirmed)}
    board = sorted(results.leaderboard, key=lambda row: order.get(row[0], len(order)))
    for arm, trials in board[:MOST_ARMS]:
        first = trials[0]
        cells = [plain(arm), _number(first.best), str(first.best_epoch or "")]
        cells += [pages.run(first.trial.uid, first.trial.uid)]
        if confirmed:
            row = confirmed.get(arm)
            cells += [plain(score(row)), str(row.n)] if row and row.n else ["none", "0"]
        # MLflow's style puts no space between columns.
        yield f"| {'&ensp; | '.join(cells)} |"
    if len(board) > MOST_ARMS:
        yield f"\n{len(board) - MOST_ARMS} more arms are in the report."


def _file(path: Path) -> tuple[str, str]:
    """The question in the comment that a sweep file begins with, and the rest of the file."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    until = next((n for n, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return " ".join(line.lstrip("# ") for line in lines[:until]), "\n".join(lines[until:])


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"
