"""What a sweep of 500 trials costs whoever looks at it: `show`, its report, `compare`.

    python benchmarks/five_hundred.py           # about a minute

The trials are scripted (tests/scripted_sweep.py): 13 epochs each, with a sample grid an epoch.
`show` and `list` run as commands of their own, so that their imports count.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT), str(ROOT / "tests")]  # In this order: both have a folder `gancore`.


def main() -> None:
    from scripted_sweep import LOSSES, analysis_of, script_sweep

    from sweeps.report import write_report
    from sweeps.results import Results

    with tempfile.TemporaryDirectory() as folder:
        storage = Path(folder) / "runs"
        place = script_sweep(storage / "many", each=97, epochs=13, grids=13)
        for command in (["list"], ["show", "many"], ["show", "many", "--json"]):
            words = [sys.executable, "-m", "sweeps.cli", *command, "--storage", str(storage)]
            seconds(
                " ".join(command),
                lambda w=words: subprocess.run(w, check=True, stdout=subprocess.DEVNULL),
            )
        results = Results.read(place)
        analysis = analysis_of(LOSSES)
        out = Path(folder) / "report"
        seconds("report", lambda: write_report([results], out, analysis))
        size = (out / "index.html").stat().st_size / 1e6
        print(f"{len(results.trials)} trials; report/index.html {size:.1f} MB")


def run(words: list[str]) -> None:
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def seconds(what: str, action: Callable[[], object]) -> None:
    took = []
    for _ in range(3):
        began = time.perf_counter()
        action()
        took.append(time.perf_counter() - began)
    print(f"{what:20}{sorted(took)[1]:8.2f} s (median of 3)", flush=True)


if __name__ == "__main__":
    main()
