"""What a sweep of 10,000 trials costs in one process, and what of that grows with the trials.

    python benchmarks/ten_thousand.py           # 1,000 and 10,000 trials, about three minutes

Everything is the product's but for the trials, which are written at once, and the disk, which is
never waited for. No Ray: benchmarks/scale.py has it.

    decide      a trial of ten reports, handed out and judged by the dispatcher
    read        the whole sweep, as `show` and `resume` read it
    look again  when nothing has changed, as the terminal does; and to draw the terminal's table
    plan        as a worker reads it for its first trial; for its next
    report      written, without a sample wall; what its files take
"""

from __future__ import annotations

import argparse
import io
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from unittest.mock import patch

ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT), str(ROOT / "tests")]  # In this order: both have a folder `gancore`.
EPOCHS, SLOTS = 10, 8
T = TypeVar("T")


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--trials", type=int, default=10_000)
    most = asked.parse_args().trials
    rows = {count: measured(count) for count in (most // 10, most)}
    print(f"{'':<12}" + "".join(f"{count:>14,}" for count in rows))
    for name in rows[most]:
        print(f"{name:<12}" + "".join(f"{row[name]:>14}" for row in rows.values()))


def measured(count: int) -> dict[str, str]:
    from scripted_sweep import script_sweep

    from sweeps.compare.present import write_sweep_report
    from sweeps.console import Console
    from sweeps.known_plan import KnownPlan
    from sweeps.results import Results
    from sweeps.terminal import Follower

    with tempfile.TemporaryDirectory() as folder, patch.object(os, "fsync", lambda _: None):
        found = {"decide": f"{1e3 * decided(Path(folder) / 'decided', count):.2f} ms"}
        place = script_sweep(Path(folder) / "many", each=count // 5, epochs=EPOCHS)
        seconds, results = timed(lambda: Results.read(place))
        found["read"] = f"{seconds:.2f} s"
        found["look again"] = f"{1e3 * timed(results.refresh)[0]:.0f} ms"
        follower = Follower(results, Console(file=io.StringIO(), width=100, height=40))
        found["draw"] = f"{1e3 * timed(follower._screen)[0]:.0f} ms"
        known = KnownPlan(place)
        found["plan"] = f"{1e3 * timed(known.now)[0]:.0f} ms"
        found["plan again"] = f"{1e3 * timed(known.now)[0]:.1f} ms"
        seconds, page = timed(lambda: write_sweep_report(results))
        found["report"] = f"{seconds:.0f} s"
        if page is not None:
            files = (file for file in page.parent.rglob("*") if file.is_file())
            found["its files"] = f"{sum(file.stat().st_size for file in files) / 1e6:.1f} MB"
    return found


def timed(action: Callable[[], T]) -> tuple[float, T]:
    began = time.perf_counter()
    done = action()
    return time.perf_counter() - began, done


def decided(folder: Path, count: int) -> float:
    """Seconds that the dispatcher takes for a trial."""
    import faults

    from sweeps import journal
    from sweeps.dispatch import Dispatcher
    from sweeps.journal import Journal
    from sweeps.results import Results

    file = faults.scripted(folder, epochs=EPOCHS, search={"trials_each": count // 2})
    place = faults.planned(file)
    scores = random.Random(0)
    with Journal(place, journal.DRIVER) as log:
        dispatcher = Dispatcher(Results.read(place), log)
        live: dict[str, int] = {}
        began = time.perf_counter()
        while True:
            while len(live) < SLOTS and (uid := dispatcher.next()):
                dispatcher.began(uid)
                live[uid] = 0
            if not live:
                return (time.perf_counter() - began) / count
            for uid in list(live):
                live[uid] += 1
                dispatcher.judge(uid, live[uid], scores.random(), 0, ended=False)
                if live[uid] == EPOCHS:
                    del live[uid]
                    dispatcher.left(uid)


if __name__ == "__main__":
    main()
