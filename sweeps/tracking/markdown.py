"""Texts of other people inside Markdown: shown as they are, never a link, a picture or a tag."""

from __future__ import annotations

import re

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
_MEANT = re.compile(r"[\\`*_\[\]!|~]")


def plain(text: str) -> str:
    """A text on one line whose every character stands for itself."""
    letters = (_ENTITIES.get(letter, letter) for letter in " ".join(text.split()))
    shown = _MEANT.sub(r"\\\g<0>", "".join(letters))
    return shown.replace("://", ":&#47;/")  # An address alone would become a link.


def code(text: str) -> str:
    """A text as code within a line."""
    shown = " ".join(text.split()).replace("|", "\\|")
    fence = "`" * (_longest(shown) + 1)
    return f"{fence}{shown}{fence}" if fence == "`" else f"{fence} {shown} {fence}"


def block(text: str, language: str) -> str:
    """Lines as code; a fence of their own in them does not end it."""
    fence = "`" * max(3, _longest(text) + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _longest(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
