"""A sweep of many trials over many nodes: what each report and each trial costs the driver.

    python benchmarks/scale.py                  # 1,000 trials over 8 nodes, about fifteen minutes
    python benchmarks/scale.py --plot docs/scale.png
    python benchmarks/scale.py --trials 200 --seconds 0.01   # as many reports as the driver takes

The nodes are raylets on this machine with a slot each (tests/faults/nodes.py), the trials sleep
for half a second an epoch (tests/faults/script.py); Tune, journal, checkpoints and MLflow are real.
All figures are given for each eighth of the trials: what grows is seen.

    reports     that were heard in a second
    throughput  epochs against those of slots that never wait
    heard       from a trial's journal to the driver's, milliseconds: half and 95 % of the reports
    start       from the end of a trial to the first report of the next on that node, less an epoch
    driver      its processor time an epoch, in milliseconds, and its memory in megabytes
    MLflow      epochs journalled that it did not have yet at the end of the eighth
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT), str(ROOT / "tests")]  # In this order: both have a folder `gancore`.
EPOCHS, PARTS = 10, 8


@dataclass(frozen=True)
class Sample:
    """The driver at one moment; `uploaded` are the epochs that MLflow has."""

    time: float
    seconds: float
    megabytes: float
    uploaded: int


class Sampler(threading.Thread):
    """Looks at a process every few seconds."""

    def __init__(self, pid: int, database: Path) -> None:
        super().__init__(daemon=True)
        self._pid, self._database = pid, database
        self.samples: list[Sample] = []
        self.over = threading.Event()

    def run(self) -> None:
        import psutil

        driver = psutil.Process(self._pid)
        while not self.over.wait(2):
            try:
                used, memory = driver.cpu_times(), driver.memory_info().rss / 1e6
            except psutil.Error:
                return
            self.samples.append(
                Sample(time.time(), used.user + used.system, memory, self._uploaded())
            )

    def _uploaded(self) -> int:
        try:
            with sqlite3.connect(f"file:{self._database}?mode=ro", uri=True, timeout=1) as store:
                query = "select count(*) from metrics where key = 'seconds_training'"
                return int(store.execute(query).fetchone()[0])
        except sqlite3.Error:
            return 0

    def at(self, moment: float) -> Sample:
        return min(self.samples, key=lambda sample: abs(sample.time - moment))


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--trials", type=int, default=1000)
    asked.add_argument("--nodes", type=int, default=8)
    asked.add_argument("--seconds", type=float, default=0.5, help="an epoch's")
    asked.add_argument("--plot", type=Path)
    options = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = measured(Path(folder), options.trials, options.nodes, options.seconds)
    trials = f"{options.trials} trials of {EPOCHS} epochs of {options.seconds:g} s"
    print(f"{trials} over {options.nodes} nodes\n")
    heads = ("trials", 12), ("throughput", 12), ("reports", 10), ("heard", 14), ("start", 8)
    heads += ("driver", 14), ("MLflow", 8)
    print("".join(f"{head:>{width}}" for head, width in heads))
    for row in rows:
        print(
            f"{row['trials']:>12}{row['throughput']:>12.1%}{row['rate']:>8.1f}/s"
            f"{row['heard']:>7.0f} {row['heard95']:>4.0f} ms{row['start']:>6.2f} s"
            f"{row['cpu']:>6.1f} ms{row['memory']:>4.0f}M{row['behind']:>8}"
        )
    if options.plot:
        draw(rows, options.plot)


def measured(folder: Path, trials: int, count: int, seconds: float) -> list[dict[str, Any]]:
    import faults
    import ray  # noqa: F401  (It brings psutil.)
    from faults import act

    sweep = {"epochs": EPOCHS, "search": {"trials_each": trials // 2}}
    file = faults.scripted(folder / "scale", {("*", "*"): act.sleep(seconds)}, **sweep)
    storage = folder / "runs"
    with faults.nodes([1] * count) as cluster:
        words = ("run", file, "--address", cluster.address)
        home, environment = folder / "home", cluster.environment
        with faults.cli(*words, home=home, storage=storage, environment=environment) as command:
            sampler = Sampler(command.pid, storage / "mlflow.db")
            sampler.start()
            command.end(24 * 3600)
            sampler.over.set()
            assert command.code == 0, command.end()
    return parts(storage / file.stem, sampler, count, seconds)


def parts(place: Path, sampler: Sampler, slots: int, seconds: float) -> list[dict[str, Any]]:
    """The figures of each part of the reports."""
    from sweeps import journal
    from sweeps.results import Results

    results = Results.read(place)
    heard_at = {
        (record["trial"], record["epoch"]): record["time_ms"]
        for record in journal.read(place, journal.DRIVER)
        if record["kind"] == "heard"
    }
    reports = sorted((p.time_ms, u, p) for u, r in results.trials.items() for p in r.points)
    begun = min(start["time_ms"] for r in results.trials.values() for start in r.starts)
    gaps = _gaps(results, seconds)
    rows = []
    for number in range(PARTS):
        first, last = number * len(reports) // PARTS, (number + 1) * len(reports) // PARTS
        part = reports[first:last]
        since = reports[first - 1][0] if first else begun
        until = part[-1][0]
        waits = [heard_at[u, p.epoch] - at for at, u, p in part if (u, p.epoch) in heard_at]
        before, after = sampler.at(since / 1e3), sampler.at(until / 1e3)
        rows.append(
            {
                "trials": f"{first // EPOCHS}-{last // EPOCHS}",
                "throughput": len(part) * seconds / slots / ((until - since) / 1e3),
                "rate": len(part) / ((until - since) / 1e3),
                "heard": statistics.median(waits),
                "heard95": statistics.quantiles(waits, n=20)[-1],
                "start": statistics.median(g for at, g in gaps if since < at <= until),
                "cpu": 1e3 * (after.seconds - before.seconds) / len(part),
                "memory": after.megabytes,
                "behind": max(0, last - after.uploaded),
            }
        )
    return rows


def _gaps(results: Any, seconds: float) -> list[tuple[int, float]]:
    """When each trial reported first, and the seconds that its node lost before it."""
    by_node = defaultdict(list)
    for result in results.trials.values():
        by_node[result.starts[0]["ray_node"]].append(result)
    found = []
    for ran in by_node.values():
        ran.sort(key=lambda result: result.points[0].time_ms)
        for before, after in pairwise(ran):
            at = after.points[0].time_ms
            found.append((at, (at - before.points[-1].time_ms) / 1e3 - seconds))
    return found


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    from matplotlib import pyplot

    pyplot.rcParams.update({"font.size": 10, "axes.titlesize": 10.5})
    figure, axes = pyplot.subplots(2, 3, figsize=(11, 5.6), layout="constrained", sharex=True)
    at = [int(row["trials"].partition("-")[2]) for row in rows]
    panels: tuple[tuple[str, str, float], ...] = (
        ("throughput, % of slots that never wait", "throughput", 100),
        ("until a report is heard, ms: median, 95 %", "heard", 1),
        ("lost between two trials of a node, s", "start", 1),
        ("driver's processor time a report, ms", "cpu", 1),
        ("driver's memory, MB", "memory", 1),
        ("epochs that MLflow lags behind", "behind", 1),
    )
    for axis, (title, key, times) in zip(axes.flat, panels, strict=True):
        axis.plot(at, [times * row[key] for row in rows], "o-", color="#0072b2")
        if key == "heard":
            axis.plot(at, [row["heard95"] for row in rows], "^--", color="#d55e00")
        axis.set_title(title, loc="left")
        most = max(times * row.get("heard95" if key == "heard" else key) for row in rows)
        axis.set_ylim(0, 1.15 * most)
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[1]:
        axis.set_xlabel("trials done")
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
