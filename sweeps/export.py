"""`gansweep export`: what a trial is for, as a file that PyTorch alone can load and run."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gancore.files import write_atomically, write_json
from sweeps import plugins, trust
from sweeps.errors import EnvironmentTrouble, UserError
from sweeps.folder import trial_folder
from sweeps.plan import Plan
from sweeps.results import Results
from sweeps.samples import checkpoint_of
from sweeps.trial import versions

if TYPE_CHECKING:
    from torch import Tensor

    from gancore.systems import Product, System

SUFFIX = ".pt2"
DRAWN = 16
"""The batch of the example that is printed: another than the two rows that were traced."""


@dataclass(frozen=True)
class Exported:
    """A product that has been written.

    Args:
        path: The program; its facts lie beside it as JSON.
        facts: What it is, takes and gives, and what it rests on.
    """

    path: Path
    facts: dict[str, Any]

    @property
    def code(self) -> str:
        """The two lines that load and use it, after `import torch`."""
        arguments = ", ".join(_example(entry) for entry in self.facts["inputs"].values())
        load = f"{self.facts['kind']} = torch.export.load({str(self.path)!r}).module()"
        use = f"{self.facts['output']['what']} = {self.facts['kind']}({arguments})"
        return f"{load}\n{use}"


def export(
    place: Path, uid: str | None, *, epoch: int | None, out: Path | None, force: bool
) -> Exported:
    """Writes a trial's product as a `torch.export` program, with its facts beside it.

    Args:
        uid: The trial; None takes the best of the sweep.
        epoch: Of the checkpoint; None takes the trial's best.
        out: The file; None writes into the trial's folder.
        force: Overwrites what is there.

    Raises:
        UserError: No such trial or epoch, the file is there or has another ending, the network
            cannot be traced, or plug-ins of the sweep are not trusted.
        EnvironmentTrouble: The checkpoint is damaged.
    """
    if out is not None:
        _check(out, force)
    path = checkpoint_of(place, uid, epoch)
    uid = path.parents[1].name
    trust.check(place)
    plugins.run(Plan.read(place).plugins, place / trust.PLUGINS)
    from gancore.systems.program import Untraceable, packed, program
    from gancore.training import DamagedCheckpoint, load_system

    try:
        system = load_system(path)
    except DamagedCheckpoint as damaged:
        raise EnvironmentTrouble(str(damaged)) from None
    product = system.product()
    if out is None:
        out = trial_folder(place, uid) / "exported" / f"{path.stem}-{product.kind}{SUFFIX}"
        _check(out, force)
    try:
        content = packed(program(product))
    except Untraceable as why:
        raise UserError(f"trial {uid!r}: the {product.kind} cannot be exported: {why}") from None
    facts = {
        **_signature(system, product),
        **_origin(place, uid, int(path.stem.removeprefix("epoch-"))),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    write_atomically(out, content)
    write_json(out.with_suffix(".json"), facts)
    return Exported(out, facts)


def _check(out: Path, force: bool) -> None:
    if out.suffix != SUFFIX:
        raise UserError(f"--out: expected a file that ends in {SUFFIX}, got {str(out)!r}")
    for path in (out, out.with_suffix(".json")):
        if path.exists() and not force:
            raise UserError(f"{path} exists: --force overwrites it")


def _signature(system: System, product: Product) -> dict[str, Any]:
    """What the program takes and gives, each with the shape of a batch and the range of values."""
    import torch

    ranges = {"latents": "N(0, 1)", "pictures": "[-1, 1]"}
    if classes := getattr(system, "classes", None):
        ranges["labels"] = f"0 .. {classes - 1}"
    inputs = {
        name: {**_tensor(example), "range": ranges.get(name)}
        for name, example in product.inputs.items()
    }
    with torch.inference_mode():
        output = product.network(*(example.cpu() for example in product.inputs.values()))
    what = "logits" if product.kind == "classifier" else "pictures"
    given = {"what": what, **_tensor(output), "range": ranges.get(what)}
    return {"kind": product.kind, "inputs": inputs, "output": given}


def _tensor(example: Tensor) -> dict[str, Any]:
    dtype = str(example.dtype).removeprefix("torch.")
    return {"shape": ["batch", *example.shape[1:]], "dtype": dtype}


def _origin(place: Path, uid: str, epoch: int) -> dict[str, Any]:
    """What it was trained as, and how good it was by its own run's score."""
    result = Results.read(place).trials[uid]
    scores = {p.epoch: p.values.get(result.objective, math.nan) for p in result.points}
    score = scores.get(epoch, math.nan)
    start: Mapping[str, Any] = result.starts[-1] if result.starts else {}
    return {
        "sweep": place.name,
        "trial": uid,
        "epoch": epoch,
        "score": {result.objective: score if math.isfinite(score) else None},
        "passport": start.get("passport"),
        "config": result.trial.config,
        "code_version": start.get("code_version"),
        "versions": versions(),
    }


def _example(entry: Mapping[str, Any]) -> str:
    """An input of a batch, as code."""
    size = ", ".join(map(str, (DRAWN, *entry["shape"][1:])))
    match entry["range"]:
        case "N(0, 1)":
            return f"torch.randn({size})"
        case "[-1, 1]":
            return f"torch.rand({size}) * 2 - 1"
        case str(classes):
            return f"torch.arange({DRAWN}) % {int(classes.rpartition(' ')[2]) + 1}"
    return f"torch.zeros({size}, dtype=torch.{entry['dtype']})"
