"""Checkpoints: one file of tensors and one of facts, written so that half a one never counts.

`epoch-0003.pt` holds the state, `epoch-0003.json` its checksum, epoch and configuration. The
facts are written last: a state without facts, or one that does not match them, is passed over.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gancore.config import RunConfig
from gancore.files import write_atomically, write_json
from gancore.models import ImageShape
from gancore.systems import Material, System, systems


class DamagedCheckpoint(RuntimeError):
    """A checkpoint that is incomplete or altered; the message names the file."""


@dataclass(frozen=True)
class Checkpoint:
    """A run's state after an epoch.

    Args:
        state: Of `Training.state_dict`: nested mappings of tensors and plain numbers.
        config: The run, as plain mappings.
        shape: Of its pictures.
    """

    epoch: int
    state: dict[str, Any]
    config: dict[str, Any]
    shape: ImageShape


def path_of(folder: Path, epoch: int) -> Path:
    """Where the checkpoint after an epoch lies."""
    return folder / f"epoch-{epoch:04d}.pt"


def save(folder: Path, checkpoint: Checkpoint) -> Path:
    """Writes a checkpoint; it counts from the moment that this returns."""
    stream = io.BytesIO()
    torch.save(checkpoint.state, stream)
    content = stream.getvalue()
    path = path_of(folder, checkpoint.epoch)
    write_atomically(path, content)
    write_json(
        path.with_suffix(".json"),
        {
            "epoch": checkpoint.epoch,
            "sha256": hashlib.sha256(content).hexdigest(),
            "shape": list(checkpoint.shape),
            "config": checkpoint.config,
        },
    )
    return path


def load(path: Path, device: torch.device | str = "cpu") -> Checkpoint:
    """Reads a checkpoint and checks it.

    Raises:
        DamagedCheckpoint: The file or its facts are missing or do not match.
    """
    try:
        facts = json.loads(path.with_suffix(".json").read_text())
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        raise DamagedCheckpoint(f"{path}: {error}") from None
    if hashlib.sha256(content).hexdigest() != facts.get("sha256"):
        raise DamagedCheckpoint(f"{path}: the content does not match its checksum")
    try:
        state = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    except Exception as error:  # Of whatever its bytes are: a program is among it, and is not run.
        why = str(error).strip().split("\n")[0][:200]
        raise DamagedCheckpoint(f"{path}: holds more than tensors and numbers: {why}") from None
    return Checkpoint(facts["epoch"], state, facts["config"], ImageShape(*facts["shape"]))


def newest(folder: Path, at_most: int) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint that verifies, and what was wrong with newer ones.

    Args:
        at_most: Epochs beyond this one are passed over.
    """
    troubles: list[str] = []
    for path in sorted(folder.glob("epoch-*.pt"), reverse=True):
        if int(path.stem.removeprefix("epoch-")) <= at_most:
            try:
                return load(path), troubles
            except DamagedCheckpoint as damaged:
                troubles.append(str(damaged))
    return None, troubles


def prune(folder: Path, keep: set[int]) -> None:
    """Deletes all but the given epochs, facts first: a state without facts does not count."""
    for suffix in (".json", ".pt"):
        for path in folder.glob(f"epoch-*{suffix}"):
            if int(path.stem.removeprefix("epoch-")) not in keep:
                path.unlink()


def load_system(path: Path, device: torch.device | str = "cpu") -> System:
    """The system of a checkpoint, as it was; it reads no pictures unless they are asked for.

    Raises:
        DamagedCheckpoint: The checkpoint does not verify.
    """
    checkpoint = load(path, device)
    config = RunConfig.of(checkpoint.config)
    try:
        return restored(checkpoint, Material(config, torch.device(device), shape=checkpoint.shape))
    except DamagedCheckpoint as damaged:
        raise DamagedCheckpoint(f"{path}: {damaged}") from None


def restored(checkpoint: Checkpoint, material: Material) -> System:
    """The system of a checkpoint, on material of the same run; how it is scored may differ.

    Raises:
        DamagedCheckpoint: The state is of other networks than the configuration's; nothing of it
            has been copied where a size differs.
    """
    config = material.config
    system = systems.build(config.system.name, config, material, **config.system.options)
    try:
        state = checkpoint.state["system"]
        if unlike := next(_unlike(system.state_dict(), state, ""), None):
            raise DamagedCheckpoint(unlike)
        system.load_state_dict(state)
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        if isinstance(error, DamagedCheckpoint):
            raise
        why = " ".join(str(error).split())[:200]
        raise DamagedCheckpoint(f"not a state of such a system: {why}") from None
    return system


def _unlike(own: Any, given: Any, name: str) -> Iterator[str]:
    """Tensors of a state that have another shape or type than those that they would replace."""
    if isinstance(own, Mapping) and isinstance(given, Mapping):
        for key in own.keys() & given.keys():
            yield from _unlike(own[key], given[key], f"{name}.{key}" if name else str(key))
    elif isinstance(own, torch.Tensor) and isinstance(given, torch.Tensor):
        there, here = ([*tensor.shape, tensor.dtype] for tensor in (given, own))
        if there != here:
            yield f"{name} is {there} there and {here} here"
