"""A sweep file and its folder, for tests of what commands make of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from click.testing import CliRunner
from played_sweep import SWEEP

from sweeps import SweepSpec, asking, folder, journal, make_plan
from sweeps.cli import main
from sweeps.extending import settle
from sweeps.journal import Journal
from sweeps.results import Results

TEXT = """# Which loss wins?
base:
  data: digits
  model: {name: mlp, width: 16}
  epochs: 4
scientific:
  loss.name: [nonsaturating, hinge]
nuisance:
  generator.lr: {log_uniform: [1e-4, 1e-3]}
search: {trials_each: 2}
schedule: none
objective: {samples: 64}
confirm: {seeds: 2}
resources: {cpu: 1}
"""


def gansweep(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(main, [str(w) for w in words], catch_exceptions=False)
    return done.exit_code, done.output


def edited(old: str, new: str) -> str:
    assert old in TEXT
    return TEXT.replace(old, new, 1)


def snapshot(place: Path) -> dict[str, bytes]:
    files = (p for p in sorted(place.rglob("*")) if p.is_file() and p.name != "lock")
    return {str(p.relative_to(place)): p.read_bytes() for p in files}


def runs(place: Path) -> dict[tuple[str, int, int], Any]:
    """What there is of a sweep, whatever its trials are called."""
    results = Results.read(place)
    points = {uid: r.trial.draw for uid, r in results.trials.items()}
    return {
        (r.trial.arm, points[r.trial.repeats or r.trial.uid], r.trial.seed): (
            r.trial.phase,
            r.trial.varied,
            r.trial.config,
            r.state,
            [(p.epoch, p.values) for p in r.points],
        )
        for r in results.trials.values()
        if r.trial.phase != "retired"
    }


ASHA = {"name": "asha", "grace": 1, "eta": 2}


LARGE = {"search": {"trials_each": 7}}


def given(changes: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in {**SWEEP, **changes}.items() if v is not None}


def planned(tmp_path: Path, changes: dict[str, Any]) -> Path:
    place = tmp_path / "scripted"
    place.mkdir(parents=True)
    spec = SweepSpec.of(given(changes))
    make_plan(spec).write(place)
    (place / "sweep.yaml").write_text(spec.text)
    return place


def amend(place: Path, changes: dict[str, Any]) -> None:
    amendment = asking.more(place, None, SweepSpec.of(given(changes)), {})
    with folder.owned(place), Journal(place, journal.DRIVER) as log:
        log.append("amend", **amendment)
        settle(place, log)
