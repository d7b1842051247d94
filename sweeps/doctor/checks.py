"""What must hold of the machines that a sweep runs on: a function each, over what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rich.filesize import decimal

from sweeps.doctor.facts import Evidence, Facts, Machine
from sweeps.doctor.finding import OK, WARNING, WRONG, Finding, names, shared
from sweeps.handshake import unlike

LITTLE_SPACE, NO_SPACE = 5_000_000_000, 300_000_000
"""Bytes free below which a sweep is warned, and below which its first checkpoints may not fit."""

CLOCK_WARNED, CLOCK_WRONG = 2.0, 30.0
"""Seconds. What a writer has left half done is cleared away when it is a minute old, by the clock
of whoever clears."""

FEW_FILES = 4096
LITTLE_MEMORY = 100_000_000
"""Bytes of `/dev/shm` below which Ray keeps its objects in `/tmp`."""


def nodes(evidence: Evidence) -> Iterator[Finding]:
    """Every node answers."""
    remedy = "`ray status` tells of the node; install there what the driver has"
    silent = [(m.name, m.silence, remedy) for m in evidence.trains if m.facts is None]
    yield from shared("nodes", WRONG, silent, quoted=True)
    if not evidence.trains:
        yield Finding(
            "nodes", WARNING, "none has a CPU yet", "start one, unless the cluster grows by itself"
        )


def versions(evidence: Evidence) -> Iterator[Finding]:
    """All run what the driver runs; MLflow only the driver needs."""
    own = dict(_facts(evidence.here).versions)
    mlflow = own.pop("mlflow", "none")
    if lacking := [
        name for name, release in {**own, "mlflow": mlflow}.items() if release == "none"
    ]:
        yield Finding(
            "versions", WRONG, f"{', '.join(lacking)} not installed here", "`pip install gansweep`"
        )
        return
    told = [
        (machine.name, f"has {', '.join(found)}", "install the same there")
        for machine, facts in _answered(evidence)
        if (found := unlike(facts.versions, own))
    ]
    wrong = shared("versions", WRONG, told)
    yield from wrong
    other = [
        (machine.name, f"has mlflow {theirs} (the driver has {mlflow})", "no trial uses it there")
        for machine, facts in _answered(evidence)
        if (theirs := facts.versions.get("mlflow", mlflow)) not in (mlflow, "none")
    ]
    yield from shared("versions", WARNING, other)
    if not wrong:
        yield Finding(
            "versions", OK, ", ".join(" ".join(v) for v in {**own, "mlflow": mlflow}.items())
        )


def room(evidence: Evidence) -> Iterator[Finding]:
    """A trial fits on a machine."""
    for misfit in evidence.misfits:
        what, _, remedy = misfit.partition("; ")
        yield Finding("room", WRONG, what.partition(": ")[2] or what, remedy)


def gpus(evidence: Evidence) -> Iterator[Finding]:
    """PyTorch can use the GPUs that Ray hands out."""
    told = []
    for machine, facts in _answered(evidence):
        torch = facts.torch
        if machine.gpus and torch and (torch.refused or torch.gpus < machine.gpus):
            why = f"of which PyTorch {torch.build} can use {torch.gpus}"
            why += f" ({torch.refused})" if torch.refused else ""
            count = f"{machine.gpus:g} GPU{'s' * (machine.gpus != 1)}"
            what = f"counts as {count} for Ray, {why}"
            remedy = "install a PyTorch that fits its driver (`nvidia-smi` shows it)"
            told.append((machine.name, what, remedy))
    yield from shared("GPUs", WRONG, told)
    there = sum(machine.gpus for machine in evidence.trains)
    if not told and (there or not evidence.gpu):
        said = f"{there:g}, on {_so_many(evidence)}" if there else "none, and none is asked for"
        yield Finding("GPUs", OK, said)


def storage(evidence: Evidence) -> Iterator[Finding]:
    """All read and write one folder, and see each other's locks."""
    place = evidence.storage
    if evidence.refused:
        yield Finding.of_message("storage", evidence.refused)
        return
    told, locks = [], []
    for machine, facts in _answered(evidence):
        seen = facts.storage
        if not seen.sees and seen.refused:
            why, _, remedy = seen.refused.partition(": ")
            told.append((machine.name, f"cannot use the storage, for {why}", remedy))
        elif not seen.sees:
            remedy = "give --storage a folder that every node sees"
            told.append((machine.name, f"does not see {place}", remedy))
        elif seen.refused:
            remedy = "mount it there for writing, by this user"
            told.append((machine.name, f"cannot write {place} ({seen.refused})", remedy))
        elif not machine.heard:
            remedy = "give --storage a folder that is the same everywhere"
            told.append((machine.name, f"writes {place} unseen by this machine", remedy))
        elif seen.lock != "seen":
            why = "not seen from here" if seen.lock == "not seen" else seen.lock
            remedy = "mount it with locks that are shared (of NFS: no `nolock`, no `local_lock`)"
            locks.append((machine.name, f"has locks of its own in {place} ({why})", remedy))
    wrong = [*shared("storage", WRONG, told), *shared("storage", WARNING, locks)]
    yield from wrong or [
        Finding("storage", OK, f"{place}, read and written by {_so_many(evidence)}")
    ]


def space(evidence: Evidence) -> Iterator[Finding]:
    """There is space in the storage, and where each machine prepares its pictures."""
    places: dict[tuple[str, str], int] = {}
    for machine, facts in _answered(evidence):
        if facts.storage.free is not None:
            places["the storage", evidence.storage] = facts.storage.free
        if facts.cache_free is not None:
            places[machine.name, facts.cache] = facts.cache_free
    low = False
    for level, below in ((WRONG, NO_SPACE), (WARNING, LITTLE_SPACE)):
        told = [
            (where, f"has {decimal(free)} left in {folder}", f"free some: `du -sh {folder}/*`")
            for (where, folder), free in places.items()
            if free < below and (level == WRONG or free >= NO_SPACE)
        ]
        low = low or bool(told)
        yield from shared("space", level, told)
    if not low and places:
        yield Finding("space", OK, f"at least {decimal(min(places.values()))} free everywhere")


def pictures(evidence: Evidence) -> Iterator[Finding]:
    """The sweep's pictures are on every machine."""
    yield from _material(
        evidence, "pictures", "put them there, or name a folder that all nodes see"
    )


def weights(evidence: Evidence) -> Iterator[Finding]:
    """Inception's weights are on every machine, where a sweep scores with them."""
    yield from _material(
        evidence,
        "weights",
        "put the published file there, or leave the key away to have it fetched",
    )


def clock(evidence: Evidence) -> Iterator[Finding]:
    """The nodes' clocks tell what the driver's does."""
    off = {m.name: m.late for m in evidence.trains if abs(m.late) >= CLOCK_WARNED}
    for level in (WRONG, WARNING):
        told = [
            (name, _off(late), "set it by the network's time (`timedatectl set-ntp true`)")
            for name, late in off.items()
            if (abs(late) >= CLOCK_WRONG) == (level == WRONG)
        ]
        yield from shared("clock", level, told)
    if not off and any(m is not evidence.here for m in evidence.trains):
        yield Finding("clock", OK, f"the same on {_so_many(evidence)}, to {CLOCK_WARNED:g} s")


def limits(evidence: Evidence) -> Iterator[Finding]:
    """Ray may open files, and has memory to share objects in."""
    machines = {m.name: m for m in (evidence.here, *evidence.trains)}.values()
    files, memory = [], []
    for machine in machines:
        facts = machine.facts
        if facts and facts.open_files is not None and 0 <= facts.open_files < FEW_FILES:
            files.append((machine.name, f"may open {facts.open_files} files", "`ulimit -n 65536`"))
        if facts and facts.memory_free is not None and facts.memory_free < LITTLE_MEMORY:
            what = f"has {decimal(facts.memory_free)} in /dev/shm, so that Ray takes the disk"
            memory.append((machine.name, what, "enlarge it (of a container: `--shm-size=1g`)"))
    yield from shared("limits", WARNING, files)
    yield from shared("limits", WARNING, memory)
    if not files and not memory:
        yield Finding("limits", OK, "open files and /dev/shm suffice")


CHECKS: tuple[Callable[[Evidence], Iterator[Finding]], ...] = (
    nodes,
    versions,
    room,
    gpus,
    storage,
    space,
    pictures,
    weights,
    clock,
    limits,
)


def _material(evidence: Evidence, kind: str, remedy: str) -> Iterator[Finding]:
    missing, fetched, ready = [], [], set()
    for machine, facts in _answered(evidence):
        for one in facts.pictures if kind == "pictures" else facts.weights:
            if one.missing:
                what, _, own = one.missing.partition(": ")
                missing.append((machine.name, f"lacks {one.name}: {own or what}", remedy))
            elif one.fetched and not one.prepared:
                later = "a sweep does that first, and downloads what is lacking: it needs a network"
                fetched.append((machine.name, f"has not prepared {one.name}", later))
            else:
                later = ", prepared when a sweep begins" if one.prepared is False else ""
                ready.add(one.name + later)
    bad = [*shared(kind, WRONG, missing), *shared(kind, WARNING, fetched)]
    yield from bad
    if not bad and ready:
        yield Finding(kind, OK, f"{'; '.join(sorted(ready))} (on {_so_many(evidence)})")


def _off(late: float) -> str:
    amount = f"{abs(late):.0f} s" if abs(late) < 120 else f"{abs(late) / 60:.0f} minutes"
    return f"is {amount} {'ahead of' if late > 0 else 'behind'} this machine's clock"


def _facts(machine: Machine) -> Facts:
    assert machine.facts is not None, "this machine always answers"
    return machine.facts


def _answered(evidence: Evidence) -> list[tuple[Machine, Facts]]:
    return [(m, m.facts) for m in evidence.trains if m.facts is not None]


def _so_many(evidence: Evidence) -> str:
    machines = [machine.name for machine in evidence.trains]
    return names(machines) if len(machines) == 1 else f"{len(machines)} nodes"
