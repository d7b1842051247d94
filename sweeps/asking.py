"""What a sweep file asks, of a sweep to be and of one that has begun."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sweeps import folder, journal, planfile
from sweeps.edits import Edit
from sweeps.errors import Busy, UserError
from sweeps.extending import COPY, adopted, differing, enlarged, extension, refuse
from sweeps.plan import Plan, digest_of, make_plan
from sweeps.results import Results
from sweeps.spec import SweepSpec, load, read
from sweeps.yamlfile import Document, parse_yaml

Source = str | Path | Mapping[str, Any] | SweepSpec
"""A sweep: its file, its keys and values, or its specification."""


def load_spec(source: Source) -> SweepSpec:
    """A checked specification from any of its forms, its schedule calibrated where it asks so.

    Raises:
        UserError: The file is wrong, or its curves cannot be used.
    """
    if isinstance(source, SweepSpec):
        return source
    return _calibrated(SweepSpec.of(source) if isinstance(source, Mapping) else load(Path(source)))


def again(place: Path, source: Source, spec: SweepSpec) -> dict[str, Any] | None:
    """What to amend for a sweep to go on that is asked for a second time; None where nothing.

    Raises:
        Busy: It is finished, or the file asks for something else: the name is in use.
    """
    plan, file = Plan.read(place), _document(source, spec)
    found = differing(plan, place, spec, file)
    try:
        _refuse(found, file, place.name)
    except UserError as error:
        raise Busy(f"{error}\n{folder.taken(place)}") from None
    if Results.read(place).state == "finished":
        raise Busy(f"{folder.taken(place)}; it is finished, and this file asks for the same")
    return adopted(plan, found, spec)


def edited(place: Path, source: Source | None) -> dict[str, Any] | None:
    """What to amend for a sweep to go on by a file as it is now; None where nothing.

    Args:
        source: None takes the sweep's own copy, if somebody has edited that.

    Raises:
        UserError: The file asks for more than the sweep does, or for something else.
    """
    plan = Plan.read(place)
    if source is None:
        source = place / COPY
        if not _copy_edited(place, plan):
            return None
        spec = load(source, plugins=place / "plugins")
    else:
        spec = load_spec(source)
    file = _document(source, spec)
    found = differing(plan, place, spec, file)
    _refuse(found, file, place.name)
    return adopted(plan, found, spec)


def larger(place: Path, source: Source | None, wanted: Mapping[str, int]) -> SweepSpec:
    """The larger sweep that a file asks for, with some of its numbers set.

    Args:
        source: None takes the sweep's own file.
        wanted: The numbers by their keys, such as `search.trials_each`.

    Raises:
        UserError: The file is wrong.
    """
    if source is None:
        source = place / COPY
        spec = load(source, plugins=place / "plugins")
    else:
        spec = load_spec(source)
    if not wanted:
        return spec
    text = enlarged(spec.text, str(source), wanted)
    return _calibrated(read(text, place.name, spec.folder))


def more(
    place: Path, source: Source | None, spec: SweepSpec, wanted: Mapping[str, int]
) -> dict[str, Any]:
    """What to amend for a sweep to become a larger one.

    Args:
        wanted: Numbers that were set in it: then no line of a file is to blame.

    Raises:
        UserError: It asks for nothing more, for something else, or for what could only have been
            planned from the start.
    """
    file = Document() if wanted else _document(place / COPY if source is None else source, spec)
    return extension(Plan.read(place), place, spec, file)


def _calibrated(spec: SweepSpec) -> SweepSpec:
    schedule = spec.schedule
    if schedule.calibrate is None:
        return spec
    from sweeps.simulate import calibrated

    plan = make_plan(spec)
    curves = spec.folder / schedule.calibrate
    grace, eta = calibrated(
        curves, plan.epochs, plan.goal, variant=schedule.variant, brackets=schedule.brackets
    )
    return replace(spec, schedule=replace(schedule, grace=grace, eta=eta))


def _refuse(found: list[Edit], file: Document, name: str) -> None:
    """Refuses what cannot just be taken over, and says what is to be done about it."""
    told = {
        "more": f"that is more of the same: `gansweep extend {name} {file.file or 'FILE'}` adds it",
        "other": "give the new question another --name",
    }
    refuse(
        [
            (edit, f"{edit}; {edit.why}: {told['other']}")
            if edit.kind == "other"
            else (edit, f"{edit}; {told['more']}")
            for edit in found
            if edit.kind != "harmless"
        ],
        file,
    )


def _copy_edited(place: Path, plan: Plan) -> bool:
    """Whether somebody has edited the file in the sweep's own folder."""
    copy = place / COPY
    if not plan.source or not copy.is_file():
        return False
    texts = {planfile.read(place).get("source"), plan.source}
    texts |= {record.get("source") for record in journal.read(place, journal.DRIVER)}
    return digest_of(copy.read_bytes().decode("utf-8-sig", "replace")) not in texts


def _document(source: Source, spec: SweepSpec) -> Document:
    """A specification's own text, for the lines of its keys."""
    if isinstance(source, str | Path):
        return parse_yaml(spec.text, str(source))
    try:
        return Document(text=spec.text, value=json.loads(spec.text))
    except ValueError:
        return parse_yaml(spec.text, "") if spec.text else Document()
