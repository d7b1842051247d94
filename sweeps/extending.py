"""Adds trials, arms, epochs or seeds to a sweep that has run, as if it had been planned so."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml

from gancore.catalogue import Catalogue
from gancore.files import write_atomically
from sweeps import journal, planfile
from sweeps.edits import Edit, edits, meaning
from sweeps.errors import UserError
from sweeps.journal import Journal
from sweeps.naming import uid_of
from sweeps.plan import Arm, Plan, Trial, make_plan
from sweeps.results import Results, TrialResult
from sweeps.schedule.decision import GO_ON
from sweeps.schedule.scheduled import Scheduled
from sweeps.spec import SweepSpec, load
from sweeps.yamlfile import Document, Problem, SpecError, parse_yaml

COPY = "sweep.yaml"
"""The sweep file in the sweep's own folder."""


def differing(plan: Plan, place: Path, spec: SweepSpec, file: Document) -> list[Edit]:
    """What a file asks of a sweep that it does not do yet, or does otherwise."""
    asked = plan.asked
    if not asked:  # The plan is older than that it says so.
        asked = meaning(load(place / COPY, plugins=place / "plugins"))
    return edits(asked, meaning(spec), file)


def adopted(plan: Plan, found: list[Edit], spec: SweepSpec) -> dict[str, Any] | None:
    """The `amend` record of edits that change no trial; None where there are none."""
    if not found:
        return None
    asked = {**plan.asked, **{edit.key: edit.new for edit in found}}
    return {
        "edits": [edit.change for edit in found],
        "asked": asked,
        "budget": asdict(spec.budget),
        "resources": spec.resources.as_json(),
    }


def extension(plan: Plan, place: Path, spec: SweepSpec, file: Document) -> dict[str, Any]:
    """The `amend` record that makes a sweep what a larger file asks for.

    Raises:
        UserError: The file asks for something else, for nothing more, or for what could only have
            been planned from the start; with every such key and its line.
    """
    found = differing(plan, place, spec, file)
    refuse(
        [(e, f"{e}; {e.why}") for e in found if e.kind == "other"]
        + [(e, f"{e}; {why}") for e in found if e.kind == "more" and (why := _why_not(plan, e))],
        file,
    )
    if not any(edit.kind == "more" for edit in found):
        raise UserError(
            f"{file.file or 'this'} asks for nothing that {place.name!r} does not have: raise "
            "search.trials_each, base.epochs or confirm.seeds, or add a value under scientific"
        )
    larger = make_plan(spec)
    longer = next((edit.new for edit in found if edit.key == "base.epochs"), None)
    return {
        "edits": [edit.change for edit in found],
        "text": spec.text,
        "source": larger.source,
        "asked": larger.asked,
        "search": asdict(spec.search),
        "confirm": asdict(spec.confirm) if spec.confirm else None,
        "budget": asdict(spec.budget),
        "resources": spec.resources.as_json(),
        "plugins": list(spec.plugins),
        "arms": [vars(arm) for arm in _arms(plan, larger)],
        "epochs": longer,
        "trials": [asdict(trial) for trial in _added(plan, larger, place.name)],
    }


def refuse(wrong: list[tuple[Edit, str]], file: Document) -> None:
    """Raises SpecError with the line of every key that is wrong, if any is."""
    if wrong:
        raise SpecError([Problem(edit.line, "", words) for edit, words in wrong], file.file)


def enlarged(text: str, file: str, wanted: Mapping[str, int]) -> str:
    """A sweep file with other numbers at some keys, such as `search.trials_each`.

    What is said above its first key stays; other comments are lost.
    """
    value = parse_yaml(text, file).value
    for key, number in wanted.items():
        section, _, last = key.partition(".")
        inner = value.setdefault(section, {})
        if not isinstance(inner, dict):
            raise SpecError([Problem(0, section, "expected a mapping")], file)
        inner[last] = number
    head = []
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            break
        head.append(line)
    return "\n".join([*head, yaml.safe_dump(value, sort_keys=False, allow_unicode=True)])


def settle(place: Path, log: Journal) -> None:
    """Carries out what an `amend` record asks, all of it or what a crash has left of it.

    Trials that had trained all of their epochs go on, unless a rung that now lies where they ended
    stops them: they are judged there in the order in which they came. Confirmations go on when the
    search is over, if they still count.
    """
    amended = [r for r in journal.read(place, journal.DRIVER) if r["kind"] == "amend"]
    if not amended:
        return
    plan = Plan.read(place)
    texts = [record["text"].encode() for record in amended if "text" in record]
    if texts and (place / COPY).read_bytes() != texts[-1]:
        write_atomically(place / COPY, texts[-1])
    if planfile.read(place).get("asked") != plan.asked:
        plan.write(place)
    results = Results.read(place)
    short = [r for r in results.trials.values() if r.trial.phase == "explore" and _is_short(r)]
    replayed = Scheduled(results).replayed if short else {}
    for result in short:
        uid, epoch = result.trial.uid, result.epoch
        decision = replayed.get((uid, epoch), GO_ON)
        if decision.action == "stop":
            log.append("stop", trial=uid, epoch=epoch, reason=decision.reason)
        else:
            reopened(result, log, waits=decision.reason)


def reopened(result: TrialResult, log: Journal, waits: str = "") -> bool:
    """Lets a trial go on that has ended where it was once planned to; whether it had.

    Args:
        waits: Why it must wait for others first.
    """
    if not _is_short(result):
        return False
    result.add(
        log.append(
            "reopen",
            trial=result.trial.uid,
            epoch=result.epoch,
            waits=bool(waits),
            reason=waits or f"extended from {result.epoch} to {result.trial.epochs} epochs",
        )
    )
    return True


def _is_short(result: TrialResult) -> bool:
    return result.state == "completed" and result.epoch < result.trial.epochs


def _why_not(plan: Plan, edit: Edit) -> str:
    """Why a sweep that has run cannot be given more of something."""
    if plan.search.method == "pbt" and edit.key in ("search.trials_each", "base.epochs"):
        return "a population has been bred by who there was, and to its end: plan a new sweep"
    if edit.key != "base.epochs":
        return ""
    configs = [trial.config for trial in plan.trials]
    if any(config["lr_decay"] != "none" for config in configs):
        return "learning rates have fallen over the shorter run (lr_decay): plan a new sweep"
    known = Catalogue.read_source()["systems"]
    foreign = {config["system"]["name"] for config in configs} - set(known)
    if foreign:
        return (
            f"system {min(foreign)!r} is a plug-in's, which may plan by a run's length: plan a new "
            "sweep"
        )
    return ""


def _arms(plan: Plan, larger: Plan) -> list[Arm]:
    """The arms that there are, and after them the new ones."""
    known = [arm.values for arm in plan.arms]
    return [*plan.arms, *(arm for arm in larger.arms if arm.values not in known)]


def _added(plan: Plan, larger: Plan, name: str) -> Iterator[Trial]:
    """The trials that a larger plan has beyond those that there are.

    Raises:
        UserError: It would have had others in the place of some.
    """
    label = {
        arm.label: next((a.label for a in plan.arms if a.values == arm.values), arm.label)
        for arm in larger.arms
    }
    there = {(t.arm, t.draw): t for t in plan.trials if t.phase == "explore" and t.source is None}
    learns = plan.search.method == "tpe"
    number = plan.next_number
    for trial in larger.trials:
        arm = label[trial.arm]
        known = there.get((arm, trial.draw))
        if known is None:
            yield replace(trial, uid=uid_of(number, arm, plan.digits), arm=arm)
            number += 1
        elif not (learns and trial.draw >= plan.search.warm_up) and not _alike(known, trial):
            raise UserError(
                f"{known.uid} of {name!r} would have been another trial in a sweep planned so "
                "from the start: plan a new sweep"
            )


def _alike(one: Trial, other: Trial) -> bool:
    """Whether two trials are the same but for their names and lengths."""

    def told(trial: Trial) -> str:
        config = {**trial.config, "epochs": 0}
        varied = dict(trial.varied)
        return json.dumps([trial.seed, varied, config], sort_keys=True)

    return told(one) == told(other)
