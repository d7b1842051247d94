"""What a sweep file means, key by key, and how two files differ in that: notes and order aside."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from gancore.config import flatten
from sweeps import plugins
from sweeps.space import Dimension, Range, Tie
from sweeps.spec import SweepSpec
from sweeps.yamlfile import Document, Where

ABSENT = "nothing"
"""Stands for a key that one of two files lacks."""

Kind = Literal["harmless", "more", "other"]

_WHY = {
    "search.trials_each": "trials that have run are not taken back",
    "base.epochs": "a run that is over is not made shorter",
    "confirm": "confirmations that have run are not taken back",
    "scientific": "an arm that has run is not taken back",
    "stop_on": "trials that ended, or did not, were judged by other verdicts",
    "schedule": "trials have been stopped by other rungs",
    "objective": "what has run was scored otherwise",
    "plugins": "the sweep keeps the code that it began with",
}


@dataclass(frozen=True)
class Edit:
    """A key of which a file says something else than the sweep does.

    Args:
        kind: `harmless` changes no trial; `more` adds to what there is, for `gansweep extend`;
            `other` makes it another sweep.
        line: In the file; 0 where it has none.
    """

    key: str
    old: Any
    new: Any
    kind: Kind
    line: int = 0

    def __str__(self) -> str:
        return f"{self.key}: {show(self.old)} in the sweep, {show(self.new)} here"

    @property
    def change(self) -> str:
        """What has become of the key, once it is taken over."""
        return f"{self.key}: {show(self.old)} -> {show(self.new)}"

    @property
    def why(self) -> str:
        """Why it may not be."""
        parts = (self.key, self.key.partition(".")[0])
        return next((_WHY[part] for part in parts if part in _WHY), "that would be another sweep")


def meaning(spec: SweepSpec) -> dict[str, Any]:
    """What a specification asks for: plain values by key, every default written out.

    Equal for files that differ only in comments, order, or in saying what is so anyway.
    """
    varied = {d.path for d in (*spec.space.scientific, *spec.space.nuisance)}
    varied |= {tie.path for tie in spec.space.ties}
    told: dict[str, Any] = {}
    for system in spec.composer.systems or (None,):
        section = "base" if len(spec.composer.systems) < 2 else f"base.{system}"
        for path, value in flatten(spec.composer.fixed(system)):
            if path not in varied and path != "seed" and not path.startswith("evaluation."):
                told[f"{section}.{path}"] = value
    told |= {f"scientific.{d.path}": _dimension(d) for d in spec.space.scientific}
    told |= {f"nuisance.{d.path}": _dimension(d) for d in spec.space.nuisance}
    told |= {f"nuisance.{tie.path}": _tie(tie) for tie in spec.space.ties}
    for name in ("search", "schedule", "objective", "budget"):
        told |= {f"{name}.{key}": value for key, value in asdict(getattr(spec, name)).items()}
    told |= {f"resources.{key}": value for key, value in spec.resources.as_json().items()}
    if told.pop("resources.auto", False):
        told["resources.gpu"] = "auto"
    if spec.resources.of:
        told["resources.of"] = [case.as_written() for case in spec.resources.of]
    if spec.confirm:
        told |= {f"confirm.{key}": value for key, value in asdict(spec.confirm).items()}
    told["stop_on"] = sorted(spec.stop_on)
    told |= {f"plugins.{name}": _code(spec, name) for name in spec.plugins}
    # As a file would give it back, where tuples are lists.
    plain: dict[str, Any] = json.loads(json.dumps(told))
    return plain


def edits(asked: Mapping[str, Any], now: Mapping[str, Any], file: Document) -> list[Edit]:
    """The keys of which a file says something else than a sweep was asked for, by their lines.

    Args:
        asked, now: The `meaning` of both.
        file: Where the new one stands.
    """
    found = []
    for key in dict.fromkeys((*now, *asked)):
        old, new = asked.get(key, ABSENT), now.get(key, ABSENT)
        if not _same(key, old, new):
            found.append(Edit(key, old, new, _kind(key, old, new), line_of(file, key)))
    return sorted(found, key=lambda edit: (edit.line, edit.key))


def line_of(file: Document, key: str) -> int:
    """The line of a dotted key, or of the nearest thing around it that the file has."""
    value, rest = file.value, key
    where: Where = ()
    while rest and isinstance(value, Mapping):
        fitting = [k for k in value if rest == k or rest.startswith(f"{k}.")]
        if not fitting:
            break
        longest = max(fitting, key=len)
        value, where, rest = value[longest], (*where, longest), rest[len(longest) + 1 :]
    return file.line_of(where) if where else 0


def show(value: Any) -> str:
    """A value as a file would have it, cut off where it is long."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."


def _kind(key: str, old: Any, new: Any) -> Kind:
    section = key.partition(".")[0]
    if section in ("budget", "resources"):
        return "harmless"
    if section == "plugins" and old == ABSENT:
        return "more"
    grows = (_number(new) or 0) > (_number(old) or math.inf)
    if key in ("search.trials_each", "base.epochs") and grows:
        return "more"
    if section == "confirm" and (old == ABSENT or grows):
        return "more"
    if section == "scientific" and frozenset() < _values(old) < _values(new):
        return "more"
    return "other"


def _same(key: str, old: Any, new: Any) -> bool:
    if key.startswith("scientific.") and _values(old):  # In which order arms stand means nothing.
        return _values(old) == _values(new)
    if type(old) is type(new):
        return bool(old == new)
    return _number(old) is not None and _number(old) == _number(new)


def _number(value: Any) -> float | None:
    """A number, of which `1` and `1.0` are the same."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _values(told: Any) -> frozenset[str]:
    """The values of a scientific dimension, with the condition under which each exists."""
    if not isinstance(told, Mapping):
        return frozenset()
    when = json.dumps(told.get("when"), sort_keys=True)
    return frozenset(f"{json.dumps(value)} {when}" for value in told.get("choice", ()))


def _dimension(dimension: Dimension) -> dict[str, Any]:
    values = dimension.values
    if isinstance(values, Range):
        told: dict[str, Any] = {values.scale: [values.low, values.high]}
        told |= {"points": values.points} if values.points is not None else {}
    else:
        told = {"choice": list(values.values)}
    return told | _when(dimension)


def _tie(tie: Tie) -> dict[str, Any]:
    return {"same_as": tie.to, "times": tie.times} | _when(tie)


def _when(one: Dimension | Tie) -> dict[str, Any]:
    return {"when": {path: list(v) for path, v in sorted(one.when.items())}} if one.when else {}


def _code(spec: SweepSpec, module: str) -> str:
    """Twelve hex digits of a plug-in's sources."""
    digest = hashlib.sha256()
    for file in plugins.find(module, spec.folder):
        digest.update(f"\0{file.name}\0".encode() + file.read_bytes())
    return f"code {digest.hexdigest()[:12]}"
