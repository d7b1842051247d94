"""Checkpoints: one file of tensors and one of facts, written so that half a one never counts.

`epoch-0003.pt` holds the state, `epoch-0003.json` its checksum, epoch, configuration and owner, and
a checksum of all these facts. They are written last: a state without facts, or one that does not
match them, is passed over. Facts from before they had a `format` have no owner and no checksum.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from gancore.config import RunConfig
from gancore.files import write_atomically, write_json
from gancore.models import ImageShape
from gancore.systems import Material, System, systems

FORMAT = 1
"""Of the facts."""

_NAME = re.compile(r"epoch-([0-9]+)\.(?:pt|json)")
_FACTS: Mapping[str, type] = {"epoch": int, "sha256": str, "shape": list, "config": dict}
_FACTS_NOW: Mapping[str, type] = {**_FACTS, "format": int, "owner": dict, "facts_sha256": str}


class DamagedCheckpoint(RuntimeError):
    """A checkpoint that is incomplete, altered or another's; the message names the file."""


@dataclass(frozen=True)
class Checkpoint:
    """A run's state after an epoch.

    Args:
        state: Of `Training.state_dict`: nested mappings of tensors and plain numbers.
        config: The run, as plain mappings.
        shape: Of its pictures.
        owner: Whose it is, in the words of who keeps it; plain data.
    """

    epoch: int
    state: dict[str, Any]
    config: dict[str, Any]
    shape: ImageShape
    owner: Mapping[str, Any] = field(default_factory=dict)


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
    facts = {
        "format": FORMAT,
        "epoch": checkpoint.epoch,
        "sha256": hashlib.sha256(content).hexdigest(),
        "shape": list(checkpoint.shape),
        "config": checkpoint.config,
        "owner": dict(checkpoint.owner),
    }
    write_json(path.with_suffix(".json"), {**facts, "facts_sha256": _digest(facts)})
    return path


def load(path: Path, device: torch.device | str = "cpu") -> Checkpoint:
    """Reads a checkpoint and checks it.

    Raises:
        DamagedCheckpoint: The file or its facts are missing or do not match.
    """
    try:
        facts = _checked(path, json.loads(path.with_suffix(".json").read_text(encoding="utf-8")))
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != facts["sha256"]:
            raise DamagedCheckpoint(f"{path}: the content does not match its checksum")
        state = _tensors(path, content, device)
        shape = ImageShape(*facts["shape"])
    except (DamagedCheckpoint, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ESTALE:
            raise  # It may be there, and whole.
        text = str(error).strip().split("\n")[0]
        raise DamagedCheckpoint(f"{path}: {type(error).__name__}: {text}") from None
    return Checkpoint(facts["epoch"], state, facts["config"], shape, facts.get("owner", {}))


def _tensors(path: Path, content: bytes, device: torch.device | str) -> dict[str, Any]:
    try:
        state = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # Of whatever its bytes are: a program is among it, and is not run.
        why = str(error).strip().split("\n")[0][:200]
        raise DamagedCheckpoint(f"{path}: holds more than tensors and numbers: {why}") from None
    if not isinstance(state, dict):
        raise DamagedCheckpoint(f"{path}: holds no state of a run")
    return state


def newest(
    folder: Path, at_most: int, foreign: Callable[[Checkpoint], str] = lambda _: ""
) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint that verifies, and what was wrong with newer ones.

    Args:
        at_most: Epochs beyond this one are passed over.
        foreign: Says why a checkpoint is not one to go on from; empty if it is.
    """
    troubles: list[str] = []
    for epoch, path in sorted(_files(folder, ".pt"), reverse=True):
        if epoch <= at_most:
            try:
                found = load(path)
                if not (why := foreign(found)):
                    return found, troubles
                troubles.append(f"{path}: {why}")
            except DamagedCheckpoint as damaged:
                troubles.append(str(damaged))
    return None, troubles


def prune(folder: Path, keep: set[int], until: int | None = None) -> None:
    """Deletes all but the given epochs, facts first: a state without facts does not count.

    Args:
        until: Later epochs stay: another may have gone on.
    """
    for suffix in (".json", ".pt"):
        for epoch, path in _files(folder, suffix):
            if epoch not in keep and (until is None or epoch <= until):
                path.unlink(missing_ok=True)


def _files(folder: Path, suffix: str) -> list[tuple[int, Path]]:
    """The checkpoints' files of a kind, each with its epoch; what has another name is not ours."""
    named = ((_NAME.fullmatch(path.name), path) for path in folder.glob(f"epoch-*{suffix}"))
    return [(int(found[1]), path) for found, path in named if found]


def _checked(path: Path, facts: Any) -> dict[str, Any]:
    """A checkpoint's facts, if they are whole and of this file."""
    file = path.with_suffix(".json")
    if not isinstance(facts, dict):
        raise DamagedCheckpoint(f"{file}: the facts are no mapping")
    if isinstance(made := facts.get("format"), int) and made > FORMAT:
        raise DamagedCheckpoint(
            f"{file}: a later version wrote this (format {made}); this one reads format {FORMAT}"
        )
    known = _FACTS if facts.keys() == _FACTS.keys() else _FACTS_NOW
    for key, kind in known.items():
        if not isinstance(facts.get(key), kind):
            raise DamagedCheckpoint(f"{file}: {key} is missing or wrong")
    if known is _FACTS_NOW:
        told = {key: value for key, value in facts.items() if key != "facts_sha256"}
        if _digest(told) != facts["facts_sha256"]:
            raise DamagedCheckpoint(f"{file}: the facts do not match their checksum")
    named = _NAME.fullmatch(path.name)
    if named and int(named[1]) != facts["epoch"]:
        raise DamagedCheckpoint(f"{path}: the facts are of epoch {facts['epoch']}")
    return facts


def _digest(facts: Mapping[str, Any]) -> str:
    text = json.dumps(facts, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


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
