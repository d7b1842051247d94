"""What must hold before anything starts: the storage takes files, trials fit, pictures are there.

Nothing heavy is imported: a sweep that cannot run is told so at once, and leaves no trace.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gancore.pictures import LARGEST_WEIGHTS, SUFFIXES, WEIGHTS_SHA256
from sweeps import bucket
from sweeps.errors import EnvironmentTrouble, GansweepError, UserError
from sweeps.shares.decision import undecided

if TYPE_CHECKING:
    from sweeps.needs import Needs
    from sweeps.plan import Plan

FOLDERS = ("path", "path_a", "path_b")
"""Options of data sets that name a folder of pictures; `root` names one of torchvision's files."""


def check(plan: Plan, storage: Path, *, local: bool) -> None:
    """Refuses a sweep that could not run.

    Args:
        storage: Folder of all sweeps; made where it is missing.
        local: Its trials run on this machine. Of another's hardware and pictures nothing is known
            here: the workers look there (see `sweeps.handshake`).

    Raises:
        UserError: Trials do not fit this machine, or pictures are missing.
        EnvironmentTrouble: The storage takes no files, or weights are missing.
    """
    check_storage(storage)
    if local:
        raise_all([*misfits(plan), *troubles(plan)])


def raise_all(found: list[GansweepError]) -> None:
    """Raises troubles as one, a line each, with the exit code of the first."""
    if found:
        raise type(found[0])("\n".join(map(str, found)))


def check_storage(storage: Path) -> None:
    """Writes and deletes a file where sweeps shall lie.

    Raises:
        EnvironmentTrouble: That fails.
    """
    try:
        storage.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=storage) as stream:
            stream.write(b"0" * 4096)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise EnvironmentTrouble(
            f"the storage {storage} cannot be written ({why}): give --storage another folder"
        ) from None
    bucket.check(storage)


def troubles(plan: Plan) -> list[GansweepError]:
    """Pictures and weights that are not on this machine; the user's own mistakes first."""
    data, evaluations = distinct(plan, "data"), distinct(plan, "evaluation")
    return [
        *(trouble for section in data for trouble in missing_pictures(section)),
        *(trouble for section in evaluations for trouble in missing_weights(section)),
    ]


def misfits(plan: Plan) -> Iterator[UserError]:
    """What a trial asks for that this machine surely lacks; Ray, which may count less, is asked
    again once it runs.
    """
    unmeasured = bool(undecided(plan)) and gpus() == 0
    if unmeasured:
        yield UserError(
            "resources.gpu: auto is measured on a GPU and this machine has none; write a number, "
            "such as 0.25, or run on a cluster with --address"
        )
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    for asked, whose in askers(plan):
        has: list[tuple[str, float, float | None]] = [
            ("cpu", asked.cpu, os.cpu_count()),
            ("gpu", asked.gpu, gpus() if asked.gpu and not unmeasured else None),
            ("memory_gb", asked.memory_gb or 0, memory),
        ]
        for name, wanted, there in has:
            if there is not None and wanted > there:
                yield misfit(name, wanted, f"this machine has {there:.4g}", whose)


def askers(plan: Plan) -> Iterator[tuple[Needs, str]]:
    """What trials are given, each kind once, and in words whose trial that is."""
    kinds = plan.kinds()
    for needs, arms in kinds.items():
        whose = "a trial"
        if arms and len(kinds) > 1:
            more = f" and {len(arms) - 1} more" if len(arms) > 1 else ""
            whose = f"a trial of {arms[0]}{more}"
        yield needs, whose


def misfit(name: str, wanted: float, there: str, whose: str = "a trial") -> UserError:
    """A trial asks for more than there is."""
    return UserError(
        f"resources.{name}: {whose} asks for {wanted:g} and {there}; "
        "ask for less, or run on a cluster with --address"
    )


def gpus() -> int | None:
    """GPUs of this machine as Ray will count them; None where only a running Ray knows."""
    try:
        from ray._private.accelerators import get_accelerator_manager_for_resource

        manager: Any = get_accelerator_manager_for_resource("GPU")
        visible = manager.get_current_process_visible_accelerator_ids()
        count = int(manager.get_current_node_num_accelerators())
    except Exception:
        return None
    return count if visible is None else min(count, len(visible))


def missing_pictures(data: Mapping[str, Any]) -> Iterator[UserError]:
    """Folders of a data set, as a run's `data` names them, that are not on this machine."""
    for option in FOLDERS:
        if isinstance(data.get(option), str) and (why := _no_pictures(data[option])):
            yield UserError(f"data.{option}: {why}")
    root = data.get("root")
    if isinstance(root, str) and not Path(root).expanduser().is_dir():
        yield UserError(f"data.root: there is no folder {root!r}")


def _no_pictures(given: str) -> str:
    """Why a folder cannot be one of pictures; empty where it has one."""
    root = Path(given).expanduser()
    if not given or not root.is_dir():
        where = "" if root.is_absolute() else f" below {Path.cwd()}"
        return f"there is no folder {given!r}{where}"
    for _, _, names in os.walk(root, followlinks=True):
        if any(os.path.splitext(name)[1].lower() in SUFFIXES for name in names):
            return ""
    return f"{given} has no pictures ({' '.join(sorted(SUFFIXES))})"


def missing_weights(
    evaluation: Mapping[str, Any], *, hashed: bool = True
) -> Iterator[EnvironmentTrouble]:
    """Weights, as a run's `evaluation` names them, that are not on this machine.

    Args:
        hashed: Looks whether they are the published ones, which takes a moment.
    """
    given = evaluation.get("inception_weights")
    if evaluation.get("features") != "inception" or not given:
        return
    file = Path(given).expanduser()
    if not file.is_file():
        yield EnvironmentTrouble(
            f"objective.inception_weights: there is no file {given!r}: fetch it, or leave the "
            "key away to have it downloaded"
        )
    elif hashed and (why := _other_weights(file)):
        yield EnvironmentTrouble(f"objective.inception_weights: {given} {why}")


def _other_weights(file: Path) -> str:
    """Why a file is not the published network; empty where it is."""
    if file.stat().st_size > LARGEST_WEIGHTS:
        return "is larger than the published Inception"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if digest == WEIGHTS_SHA256:
        return ""
    theirs = WEIGHTS_SHA256[:8]
    return f"is not the published Inception: its sha256 begins {digest[:8]}, theirs {theirs}"


def distinct(plan: Plan, section: str) -> list[Mapping[str, Any]]:
    """The values of a section of `RunConfig` that occur among the trials, each once."""
    found = {json.dumps(t.config.get(section), sort_keys=True) for t in plan.trials}
    given = (json.loads(text) for text in sorted(found))
    return [section for section in given if isinstance(section, dict)]
