"""The look that a machine takes at itself; on a node, a Ray task."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from gancore.cache import cache_root
from gancore.errors import Unavailable
from gancore.schema import Refused
from sweeps import handshake, preflight
from sweeps.children import python
from sweeps.doctor.facts import Facts, Material, Torch
from sweeps.doctor.meeting import attend
from sweeps.doctor.question import Question
from sweeps.errors import EnvironmentTrouble

SHARED_MEMORY = Path("/dev/shm")
TORCH_SECONDS = 60
_TORCH = """
import json, torch
said = {"gpus": 0, "build": torch.__version__, "refused": ""}
try:
    said["gpus"] = torch.cuda.device_count()
    if said["gpus"]:
        torch.zeros(1, device="cuda").item()
except Exception as error:
    said["refused"] = (str(error).splitlines() or [type(error).__name__])[0]
print(json.dumps(said))
"""


def on_node(asked: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What a node says, as plain data: driver and node may be of unlike versions."""
    return asdict(look(Question(**asked), name))


def look(question: Question, name: str) -> Facts:
    """What this machine says of itself.

    Args:
        name: Under which it leaves word in the storage.
    """
    cache = cache_root()
    return Facts(
        time=time.time(),
        versions={**handshake.versions(), "mlflow": _version("mlflow")},
        storage=attend(question.meeting, name),
        cache=str(cache),
        cache_free=_free(cache),
        memory_free=_free(SHARED_MEMORY) if SHARED_MEMORY.is_dir() else None,
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        pictures=tuple(_pictures(data, question.thorough) for data in question.data),
        weights=tuple(_weights(question)),
        torch=_torch() if question.gpu else None,
    )


def _pictures(data: Mapping[str, Any], thorough: bool) -> Material:
    """Whether the pictures of a data set are here, and prepared."""
    name = str(data["name"])
    for trouble in preflight.missing_pictures(data):
        return Material(name, missing=str(trouble))
    return _prepared(name, data) if thorough else Material(name)


def _prepared(name: str, data: Mapping[str, Any]) -> Material:
    from gancore.catalogue import Catalogue
    from gancore.config import Data

    options = {key: value for key, value in data.items() if key not in ("name", "resolution")}
    try:
        from gancore.data import is_prepared

        chosen = Data(name=name, resolution=data.get("resolution"), options=options)
        prepared = is_prepared(chosen)
        known = Catalogue.read()["datasets"][name].options
    except (Refused, LookupError, ImportError):  # Of a plug-in, which only a sweep runs.
        return Material(name)
    except (Unavailable, OSError) as error:
        return Material(name, missing=str(error))
    return Material(name, prepared=prepared, fetched="root" in known and not data.get("root"))


def _weights(question: Question) -> Iterator[Material]:
    """Whether the weights of Inception are here, and the published ones."""
    for evaluation in question.evaluations:
        if evaluation.get("features") != "inception":
            continue
        try:
            missing = list(preflight.missing_weights(evaluation, hashed=question.thorough))
        except OSError as error:
            missing = [EnvironmentTrouble(str(error))]
        why = "; ".join(map(str, missing))
        yield Material("inception", why, fetched=not evaluation.get("inception_weights"))


def _torch() -> Torch:
    """What PyTorch makes of this machine's GPUs, in a process of its own.

    A Ray worker without a GPU of its own sees none, and what a broken driver does to a process
    is not done to this one.
    """
    free = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    try:
        done = subprocess.run(
            [python(), "-P", "-c", _TORCH],
            env=free,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TORCH_SECONDS,
            check=True,
        )
        return Torch(**json.loads(done.stdout.strip().splitlines()[-1]))
    except subprocess.TimeoutExpired:
        return Torch(refused=f"it did not answer in {TORCH_SECONDS} s")
    except (OSError, ValueError, TypeError, IndexError, subprocess.SubprocessError):
        return Torch(build=_version("torch"), refused="it cannot be imported")


def _free(folder: Path) -> int | None:
    """Bytes free where a folder is, or will be; None where that is not for us to know."""
    try:
        there = next(place for place in (folder, *folder.parents) if place.is_dir())
        return shutil.disk_usage(there).free
    except OSError:
        return None


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
