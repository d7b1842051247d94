"""`gansweep try`: one trial in this process, without Ray."""

from __future__ import annotations

import tempfile
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from sweeps.console import Console
from sweeps.errors import EnvironmentTrouble, GansweepError, UserError
from sweeps.plan import Plan, Trial, make_plan
from sweeps.provenance import attempts, warn
from sweeps.results import Results
from sweeps.spec import SweepSpec


def attempt(
    spec: SweepSpec, *, arm: str | None, draw: int, epochs: int | None, out: Path | None
) -> None:
    """Trains one planned trial and prints an epoch a line.

    Args:
        out: Folder for journal, checkpoints and samples; None throws them away.

    Raises:
        UserError: No such arm or draw.
        EnvironmentTrouble: Pictures or weights are missing.
        GansweepError: The trial failed.
    """
    plan = make_plan(spec)
    trial = choose(plan, arm, draw)
    one = replace(plan, trials=(trial,))
    with tempfile.TemporaryDirectory() if out is None else nullcontext(out) as folder:
        _train(Path(folder).resolve(), one, trial, spec.folder, epochs or trial.epochs)


def choose(plan: Plan, arm: str | None, draw: int) -> Trial:
    """The trial of an arm and a draw.

    Raises:
        UserError: Naming the arms and draws that there are.
    """
    label = arm or plan.trials[0].arm
    draws = {t.draw: t for t in plan.trials if t.arm == label}
    if not draws:
        arms = ", ".join(dict.fromkeys(t.arm for t in plan.trials))
        raise UserError(f"no arm {label!r} (arms: {arms})")
    if draw not in draws:
        raise UserError(f"arm {label!r} has draws 0 to {max(draws)}, not {draw}")
    return draws[draw]


def _train(place: Path, plan: Plan, trial: Trial, plugins: Path, epochs: int) -> None:
    from sweeps.folder import trial_folder
    from sweeps.plugins import run as run_plugins
    from sweeps.trial import run_trial

    console = Console(highlight=False)
    place.mkdir(parents=True, exist_ok=True)
    run_plugins(plan.plugins, plugins)
    plan.write(place)
    before = attempts(Results.read(place))
    for key, value in trial.varied.items():
        console.print(f"{key}: {value}")
    for progress in run_trial(place, plan, trial.uid):
        if progress.unable:
            raise EnvironmentTrouble(progress.unable)
        result = Results.read(place).trials[trial.uid]
        if result.state == "failed":
            raise GansweepError(f"{trial.uid}: {result.reason}")
        values = result.points[-1].values
        console.print(
            f"epoch {progress.epoch}/{epochs}"
            f"  {plan.objective} {values[plan.objective]:.4g}"
            f"  G {values.get('loss_generator', float('nan')):.3g}"
            f"  D {values.get('loss_discriminator', float('nan')):.3g}"
            f"  {values['pictures_per_second']:.0f} pictures/s"
            f"  evaluated in {values['seconds_evaluation']:.2f} s"
        )
        if progress.ended:
            console.print(f"{result.state}: {result.reason}")
        if progress.epoch >= epochs:
            break  # Shorter than planned, it is the beginning of the whole run, not a short one.
    warn(Results.read(place), before)
    console.print(f"samples: {trial_folder(place, trial.uid) / 'samples'}")
