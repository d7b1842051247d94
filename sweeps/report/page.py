"""The report's page: one file that opens offline and asks nothing of any network."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from gancore.files import write_atomically
from sweeps.report.data import report_data, shown_trials
from sweeps.report.pictures import write_pictures
from sweeps.report.tables import write_tables
from sweeps.report.wall import BUDGET, hang_wall
from sweeps.results import Results

SCRIPTS = ("draw.js", "table.js", "charts.js", "space.js", "wall.js", "script.js")
"""Joined into one in this order; the last starts it."""


def write_report(
    results: Sequence[Results],
    out: Path,
    analysis: Mapping[str, Any] | None = None,
    *,
    pictures: int = BUDGET,
) -> Path:
    """Writes `index.html`, its tables as CSV and LaTeX and its figures as PNG into a folder.

    Args:
        results: One sweep or several.
        out: The folder; what lies there under these names is replaced.
        analysis: What statistics found, in the form that `sweeps.report.data` tells; None leaves
            out what needs them.
        pictures: Bytes of the page that the sample wall may take.

    Returns:
        The page.

    Raises:
        UserError: The sweeps' scores cannot be compared.
    """
    data = report_data(results, analysis)
    beside = [*write_tables(data, out), *write_pictures(data, out)]
    data["files"] = [path.relative_to(out).as_posix() for path in beside]
    wall = hang_wall(shown_trials(results), pictures)
    page = out / "index.html"
    write_atomically(page, render(data, wall).encode())
    return page


def render(data: Mapping[str, Any], wall: Mapping[str, Any]) -> str:
    """The page of some data and pictures; equal ones give equal bytes."""
    style, theme = _template("style.css"), _template("theme.js")
    script = '(() => {\n"use strict";\n' + "\n".join(map(_template, SCRIPTS)) + "})();"
    parts = {
        "CSP": "; ".join(
            [
                "default-src 'none'",
                "img-src data:",
                f"style-src {_digest(style)}",
                f"script-src {_digest(theme)} {_digest(script)}",
                "base-uri 'none'",
                "form-action 'none'",
            ]
        ),
        "TITLE": html.escape(f"{data['title']}: {data['objective']}"),
        "HEADING": html.escape(data["title"]),
        "ANSWER": re.sub(r",(?=\S)", ",<wbr>", html.escape(data["answer"])),  # Long names break.
        "STYLE": style,
        "THEME": theme,
        "SCRIPT": script,
        "DATA": embed(data),
        "WALL": embed(wall),
    }
    before, *rest = _template("index.html").split("{{")
    return before + "".join(_filled(piece, parts) for piece in rest)


def embed(content: Any) -> str:
    """JSON that stands in a page's script element and cannot end it."""
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")


def _filled(piece: str, parts: Mapping[str, str]) -> str:
    name, rest = piece.split("}}", 1)
    return parts[name] + rest


def _template(name: str) -> str:
    return (files("sweeps.report") / "template" / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
