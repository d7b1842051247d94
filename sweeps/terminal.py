"""What a person sees: the live table, the plain lines, the leaderboard."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sweeps import bucket
from sweeps.console import Console, Label
from sweeps.errors import EnvironmentTrouble
from sweeps.folder import REPORT
from sweeps.forecast import forecast
from sweeps.options import BEGUN
from sweeps.receipt import clock, receipt
from sweeps.results import ENDED, Results, TrialResult
from sweeps.tracking.address import redacted
from sweeps.troubles import troubles

STYLE = {
    "waiting": "dim",
    "running": "cyan",
    "paused": "blue",
    "completed": "green",
    "stopped": "yellow",
    "diverged": "red",
    "failed": "bold red",
    "interrupted": "magenta",
}
WITH = 18
"""Letters that a value has at least: its path in one line, and the number in the next."""

SHARE = 0.05
"""Of a processor that looking at a sweep may take."""

_QUIET_SECONDS = 15
"""Between two lines of progress where there is no terminal."""

_START_SECONDS = 30
"""In which Ray has surely started; a cluster may then have no node that is free."""


class Follower:
    """Follows a sweep's journal from a thread of its own, so that nothing waits for a screen.

    On a terminal it keeps a live table; elsewhere it prints a line when a trial ends, and one of
    progress now and then.
    """

    def __init__(self, results: Results, console: Console) -> None:
        self.results = results
        self.console = console
        self._done = threading.Event()
        self._told: set[str] = set()
        self._losses_told = sum(len(r.losses) for r in results.trials.values())
        self._quiet_since = time.monotonic()
        self._began = time.monotonic()
        self._epochs_before = results.epochs_done
        self._expected_each = forecast(results.plan)["expected_each"]
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Follower:
        self._told = {r.trial.uid for r in self.results.trials.values() if r.ended}
        warn(self.results, self.console)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()

    def _follow(self) -> None:
        if not self.console.is_terminal:
            self._again_and_again(self._tell, 0.5)
            self._tell()
            return
        with Live(console=self.console, auto_refresh=False, transient=True) as live:

            def draw() -> None:
                self._look()
                live.update(self._screen(), refresh=True)

            self._again_and_again(draw, 0.25)

    def _again_and_again(self, look: Callable[[], None], pause: float) -> None:
        """Looks until the end; seldom where a look takes long, since it takes its time from the
        process that runs the sweep.
        """
        pause = max(pause, bucket.of(self.results.folder).look_seconds)
        took = 0.0
        while not self._done.wait(max(pause, took / SHARE)):
            began = time.thread_time()
            look()
            took = time.thread_time() - began

    def _look(self) -> None:
        with suppress(EnvironmentTrouble):  # Who trains finds out too, and says so.
            self.results.refresh()

    def _tell(self) -> None:
        self._look()
        for uid, result in self.results.trials.items():
            if result.ended and uid not in self._told:
                self._told.add(uid)
                self._line(f"{uid}  {_score(result)}  {result.state}: {result.reason}")
        losses = [loss for result in self.results.trials.values() for loss in result.losses]
        for loss in sorted(losses, key=lambda loss: loss["seq"])[self._losses_told :]:
            self._line(f"{loss['trial']}  will go on: {loss['reason']}")
        self._losses_told = len(losses)
        if time.monotonic() - self._quiet_since > _QUIET_SECONDS:
            self._line(self._headline().plain)

    def _line(self, text: str) -> None:
        self._quiet_since = time.monotonic()
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)

    def _screen(self) -> RenderableType:
        results = self.results
        shown = _worth_showing(results, max(4, self.console.height - 8))
        settled = sum(r.trial.epochs if r.ended else r.epoch for r in results.trials.values())
        bar = ProgressBar(total=results.epochs_planned, completed=settled, width=None)
        # The bar does not end its line by itself.
        return Group(self._headline(), bar, Text(), trial_table(results, shown))

    def _headline(self) -> Text:
        results = self.results
        states = [r.state for r in results.trials.values()]
        text = Text()
        text.append(results.plan.name, style="bold")
        ended = sum(r.ended for r in results.trials.values())
        trials = len(states) + results.to_join
        text.append(f"  {ended}/{trials} trials  {results.epochs_done} epochs trained")
        if best := results.best:
            text.append(f"  best {results.plan.objective} {best.best:.4g} ({best.trial.uid})")
        elapsed = time.monotonic() - self._began
        text.append(f"  {clock(elapsed)}")
        fresh = results.epochs_done - self._epochs_before
        if ended == trials:
            text.append("  sending the rest to MLflow ...")
        elif fresh:
            text.append(f"  about {clock(elapsed / fresh * self._epochs_left())} left")
        elif "running" not in states and not ended:
            starts = elapsed < _START_SECONDS
            text.append("  starting Ray ..." if starts else "  waiting for room ...")
        return text

    def _epochs_left(self) -> float:
        """Epochs still to be trained, early stopping allowed for."""
        left = self.results.to_join * float(self.results.plan.epochs)
        for r in self.results.trials.values():
            expected = self._expected_each if r.trial.phase == "explore" else r.trial.epochs
            left += 0 if r.ended else max(1.0, expected - r.epoch)
        return left


def trial_table(results: Results, shown: list[TrialResult]) -> Table:
    """Trials with epoch, score and state."""
    objective = results.plan.objective
    # All columns as wide as they must be; the reasons share what is left.
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", expand=True)
    table.add_column("trial", no_wrap=True)
    table.add_column("epoch", justify="right", no_wrap=True)
    table.add_column(objective, justify="right", no_wrap=True)
    table.add_column("best", justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("", overflow="ellipsis", no_wrap=True, style="dim", ratio=1)
    for r in shown:
        last = r.points[-1].values.get(objective) if r.points else None
        table.add_row(
            r.trial.uid,
            f"{r.epoch}/{r.trial.epochs}",
            "" if last is None else f"{last:.4g}",
            _score(r),
            Text(r.state, style=STYLE[r.state]),
            Text(_remark(r)),
        )
    return table


def _remark(result: TrialResult) -> str:
    """Why a trial ended early; of one that did not, where it comes from or what ails it."""
    if result.ended and result.state != "completed":
        return result.reason
    if result.losses:
        return f"attempt {result.attempt}: before, {result.losses[-1]['reason']}"
    if result.trial.source:
        return f"goes on from {result.trial.source} after epoch {result.trial.begins}"
    evidence = result.points[-1].evidence if result.points else ""
    return f"{result.verdict}: {evidence}" if evidence else ""


def leaderboard(results: Results) -> Table:
    """Arms by their best trial: score, what became of all trials, and the best one's values."""
    plan = results.plan
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("arm")
    table.add_column(f"best {plan.objective}", justify="right", no_wrap=True)
    table.add_column("epoch", justify="right", no_wrap=True, min_width=5)
    table.add_column("trials", no_wrap=True, min_width=11)
    table.add_column("with", overflow="fold", min_width=WITH)
    for place, (arm, trials) in enumerate(results.leaderboard, start=1):
        best = trials[0]
        tuned = (
            f"{key} {f'{value:.3g}' if isinstance(value, float) else value}"
            for key, value in best.trial.varied.items()
            if key not in plan.scientific
        )
        table.add_row(
            str(place) if best.best is not None else "-",
            Label(arm),
            _score(best) or "none",
            str(best.best_epoch or ""),
            _counts(trials),
            Text("\n".join(tuned), style="dim"),
        )
    return table


def print_end(
    results: Results, console: Console, storage_option: str, tracking_uri: str | None = None
) -> None:
    """The leaderboard, what early stopping saved, and where to look further.

    Args:
        storage_option: As the commands that are shown need it.
        tracking_uri: Where MLflow is; None where it is beside the sweeps.
    """
    name = results.folder.name
    done, planned = results.epochs_done, results.epochs_planned
    saved = results.epochs_saved
    gansweep = _program()
    console.print()
    warn(results, console)
    console.print(leaderboard(results))
    console.print()
    print_verdict(results, console)
    if results.state == "finished":
        spared = f": early stopping saved {saved} ({saved / planned:.0%})" if saved else ""
        console.print(f"{done} of {planned} epochs trained{spared}", highlight=False)
        console.print()
        console.print(receipt(results))
        console.print()
        failed = [r for r in results.trials.values() if r.state == "failed"]
        for r in failed[:3]:
            console.print(f"failed: {r.trial.uid}: {r.reason}", style="red", markup=False)
        if len(failed) > 3:
            console.print(f"... and {len(failed) - 3} more failed trials", style="red")
    else:
        console.print(f"Interrupted after {done} of {planned} epochs; nothing reported is lost.")
        _command(console, f"{gansweep} resume {name}{storage_option}", "goes on")
    where = redacted(tracking_uri) if tracking_uri else f"{gansweep} ui{storage_option}"
    _command(console, where, "curves, sample grids and models in MLflow")
    report = results.folder / REPORT / "index.html"
    if report.is_file():
        _command(console, _short(report), "the report")
    _command(
        console, f"{gansweep} show {name}{storage_option}", "this table again, with every trial"
    )


def warn(results: Results, console: Console) -> None:
    """What is wrong with the sweep's files, if anything is."""
    for line in troubles(results):
        text = Text("warning: ", style="yellow").append(line, style="default")
        console.print(text, soft_wrap=True)


def print_verdict(results: Results, console: Console) -> None:
    """What the confirmed seeds say, where there are any."""
    if not any(results.confirmed.values()):
        return
    from sweeps.compare.analysis import comparison
    from sweeps.compare.present import print_comparison

    if compared := comparison([results]):
        print_comparison(compared, console)
        console.print()


def _short(path: Path) -> str:
    """A path from here, where it lies below."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def following(console: Console) -> Callable[[Results], Follower]:
    """A way to watch a sweep on this console, for `Options.watch`."""
    return lambda results: Follower(results, console)


def beginning(console: Console) -> Callable[[], None]:
    """A line that the trials begin, for `Options.began`; a live table shows that by itself."""

    def say() -> None:
        if console.is_terminal:
            return
        with suppress(SystemExit):  # A sweep goes on, also where nobody reads.
            console.print(BEGUN, highlight=False, soft_wrap=True)  # `submit` looks for it.

    return say


def _program() -> str:
    """How this person calls gansweep: by its path where the shell would not find it."""
    called = Path(sys.argv[0])
    if called.name != "gansweep" or shutil.which("gansweep") == str(called.absolute()):
        return "gansweep"
    here = called.absolute()
    return str(here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here)


def _command(console: Console, command: str, purpose: str) -> None:
    # Never broken in two: it is there to be copied.
    line = Text(f"  {command:<35} ", style="bold").append(purpose, style="not bold dim")
    console.print(line, soft_wrap=True)


def _worth_showing(results: Results, rows: int) -> list[TrialResult]:
    """Running trials first, then the best of the others, as many as fit."""
    trials = [r for r in results.trials.values() if r.state != "waiting"]
    running = [r for r in trials if r.state == "running"]
    others = sorted((r for r in trials if r.state != "running"), key=lambda r: r.rank_key)
    return (running + others)[:rows]


def _score(result: TrialResult) -> str:
    return "" if result.best is None else f"{result.best:.4g}"


def _counts(trials: list[TrialResult]) -> Text:
    text = Text()
    for state in (*ENDED, "running", "paused", "waiting", "interrupted"):
        if count := sum(r.state == state for r in trials):
            text.append(("\n" if text else "") + f"{count} {state}", style=STYLE[state])
    return text
