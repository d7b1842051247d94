"""What arms are called where there is little room: any two of them are told apart."""

from __future__ import annotations

from collections.abc import Sequence

CUT = "\u2026"


def unlike(labels: Sequence[str]) -> list[str]:
    """Labels without the values between commas that all of them have alike."""
    parts = [label.split(",") for label in labels]
    if len(parts) < 2 or len({len(own) for own in parts}) > 1:
        return list(labels)
    kept = [k for k, values in enumerate(zip(*parts, strict=True)) if len(set(values)) > 1]
    if len(kept) == len(parts[0]):
        return list(labels)
    return [",".join([*(own[k] for k in kept), CUT]) for own in parts]


def cut(label: str, letters: int) -> str:
    """A label without its middle where it is too long: those that begin alike mostly end unlike."""
    if len(label) <= letters:
        return label
    tail = letters // 2
    return f"{label[: letters - 1 - tail]}{CUT}{label[-tail:]}"


def in_a_line(labels: Sequence[str], letters: int) -> list[str]:
    """Each in so many letters."""
    fits = all(len(label) <= letters for label in labels)
    return [cut(label, letters) for label in (labels if fits else unlike(labels))]
