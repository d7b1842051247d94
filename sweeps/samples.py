"""Pictures from a trained trial."""

from __future__ import annotations

import json
import re
from pathlib import Path

from gancore.files import write_atomically
from sweeps import bucket, plugins, trust
from sweeps.errors import DamagedSweep, EnvironmentTrouble, UserError
from sweeps.folder import GRID_SCALE, trial_folder
from sweeps.plan import Plan
from sweeps.results import Results

CHECKPOINT = re.compile(r"epoch-[0-9]+\.pt")


def write_samples(place: Path, uid: str | None, *, count: int, seed: int, out: Path | None) -> Path:
    """Writes a grid of pictures that the best checkpoint of a trial generates.

    Args:
        uid: The trial; None takes the best of the sweep.
        out: The PNG file; None writes beside the trial's other samples.

    Raises:
        UserError: No such trial, or it has no checkpoint yet.
        EnvironmentTrouble: The checkpoint is damaged.
    """
    path = checkpoint_of(place, uid)
    trust.check(place)
    plugins.run(Plan.read(place).plugins, place / trust.PLUGINS)
    from gancore import seeds
    from gancore.systems import grid
    from gancore.training import DamagedCheckpoint, load_system

    try:
        system = load_system(path)
    except DamagedCheckpoint as damaged:
        raise EnvironmentTrouble(str(damaged)) from None
    pictures = system.sample(count, seeds.stream(seed, "sample"))
    folder = path.parent.parent / "samples"
    out = out or folder / f"{path.stem}-seed{seed}-{count}.png"
    write_atomically(out, grid.png(grid.sheet(pictures), GRID_SCALE))
    return out


def checkpoint_of(place: Path, uid: str | None, epoch: int | None = None) -> Path:
    """The checkpoint of a trial's epoch; None takes the best trial, and a trial's best epoch.

    Raises:
        UserError: No such trial, or it keeps no checkpoint of that epoch.
    """
    results = Results.read(place)
    if uid is None:
        if results.best is None:
            raise UserError(f"no trial of {place.name!r} has a score yet")
        uid = results.best.trial.uid
    if uid not in results.trials:
        raise UserError(f"no trial {uid!r} in {place.name!r} (see `gansweep show {place.name}`)")
    folder = trial_folder(place, uid)
    if epoch is not None:
        return bucket.of(place).here(_inside(place, _kept(folder / "checkpoints", uid, epoch)))
    try:
        best = json.loads((folder / "best.json").read_text())
        name = str(best["checkpoint"])
    except FileNotFoundError:
        raise UserError(f"trial {uid!r} has no checkpoint yet") from None
    except (ValueError, KeyError, TypeError):
        name = ""
    if not CHECKPOINT.fullmatch(name):  # A path would lead out of the sweep.
        raise DamagedSweep(f"{folder / 'best.json'}: names no checkpoint of the trial")
    return bucket.of(place).here(_inside(place, folder / "checkpoints" / name))


def _inside(place: Path, path: Path) -> Path:
    if not path.resolve().is_relative_to(place.resolve()):
        raise UserError(f"{path} is a link that leads out of the sweep's folder")
    return path


def _kept(checkpoints: Path, uid: str, epoch: int) -> Path:
    kept = {
        int(path.stem.removeprefix("epoch-")): path.with_suffix(".pt")
        for path in sorted(checkpoints.glob("epoch-*.json"))
    }
    if epoch not in kept:
        epochs = ", ".join(map(str, sorted(kept))) or "none"
        raise UserError(f"trial {uid!r} keeps no checkpoint of epoch {epoch} (kept: {epochs})")
    return kept[epoch]
