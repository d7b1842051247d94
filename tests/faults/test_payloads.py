"""Thirty texts that would act, in every place that a stranger or a colleague names: none acts."""

from __future__ import annotations

import csv
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner
from evil_sweep import PAYLOADS, write_evil_sweep
from markdown_it import MarkdownIt
from scripted_sweep import script_sweep

from sweeps import journal
from sweeps.cli import main
from sweeps.compare.analysis import analysis
from sweeps.folder import NAME
from sweeps.report import write_report
from sweeps.report.tables import latex
from sweeps.results import Results, safe_cell
from sweeps.tracking import notes
from sweeps.tracking.memory import Sent


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_evil_sweep(tmp_path_factory.mktemp("evil") / "scripted")


@pytest.fixture(scope="module")
def report(evil: Path) -> Path:
    results = Results.read(evil)
    return write_report([results], evil / "report", analysis([results]))


class Tags(HTMLParser):
    """Every tag of a page with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def acting(tags: Tags) -> list[object]:
    """What of a page would act, or ask others for something."""
    return [
        (tag, name, value)
        for tag, attributes in tags.found
        for name, value in attributes.items()
        if name.startswith("on")
        or "javascript:" in (value or "").lower()
        or re.match(r"(https?:)?//", value or "")
    ]


def test_there_are_thirty() -> None:
    assert len(set(PAYLOADS)) == len(PAYLOADS) >= 30


def test_the_page_has_the_tags_of_a_harmless_one(report: Path, tmp_path: Path) -> None:
    results = Results.read(script_sweep(tmp_path / "good", each=6, seeds=2, grids=2))
    good = Tags(write_report([results], tmp_path / "report", analysis([results])).read_text())
    bad = Tags(report.read_text())
    assert [tag for tag, _ in bad.found] == [tag for tag, _ in good.found]
    assert acting(bad) == []


def test_no_cell_of_a_table_is_a_formula(evil: Path, report: Path) -> None:
    Results.read(evil).write_csv()
    seen = set()
    for file in (evil / "results.csv", *report.parent.glob("*.csv")):
        with file.open(newline="") as stream:
            cells = [cell for row in csv.reader(stream) for cell in row]
        seen.update(cells)
        for cell in cells:
            assert re.fullmatch(r"-?[\d.e+-]+", cell) or cell.strip()[:1] not in (
                "=",
                "+",
                "-",
                "@",
            )
    for payload in PAYLOADS:  # They are all there, quoted where they must be.
        assert payload in seen or f"'{payload}" in seen
    assert safe_cell("\uff1d1+1") == "'\uff1d1+1"


@pytest.mark.parametrize("payload", PAYLOADS)
def test_latex_sees_letters(payload: str) -> None:
    shown = latex(payload)
    for command in (r"\textbackslash{}", r"\textasciitilde{}", r"\textasciicircum{}"):
        shown = shown.replace(command, "")
    shown = re.sub(r"\\text(less|greater)\{\}", "", re.sub(r"\\[&%$#_{}]", "", shown))
    assert not re.search(r"[\\&%$#_{}~^\n]", shown)


def test_the_tables_of_a_paper_have_no_command_but_ours(report: Path) -> None:
    ours = r"textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbf"
    ours += r"|begin|end|toprule|midrule|bottomrule|[&%$#_{}\\]"
    for file in report.parent.glob("*.tex"):
        assert re.sub(rf"\\({ours})", "", file.read_text()).count("\\") == 0
        assert "$x$" not in file.read_text()


def test_mlflows_note_shows_them_as_text(evil: Path) -> None:
    results = Results.read(evil)
    pages = notes.Pages("7", "abc", {o: Sent("run") for o in (journal.DRIVER, *results.trials)})
    note = notes.of_sweep(results, "finished", pages)
    told = [notes.of_trial(results, r, "completed", pages) for r in results.trials.values()]
    for each in told:
        assert acting(Tags(MarkdownIt("commonmark", {"html": True}).render(each))) == []
    # As lenient as a page could be: tags pass, and addresses alone become links.
    shown = MarkdownIt("commonmark", {"html": True}).enable("table").render(note)
    tags = Tags(shown)
    allowed = {"p", "strong", "code", "pre", "table", "thead", "tbody", "tr", "th", "td", "a"}
    assert {tag for tag, _ in tags.found} <= allowed
    assert acting(tags) == []
    links = [attributes["href"] for tag, attributes in tags.found if tag == "a"]
    assert all(link and link.startswith("#/experiments/7/runs") for link in links)
    assert [tag for tag, _ in tags.found].count("pre") == 1
    assert "https://evil" not in note.partition("`sweep.yaml`")[0]


@pytest.mark.parametrize("command", [["show"], ["compare", "--json"], ["show", "--json"], ["list"]])
def test_a_terminal_is_told_no_command(evil: Path, command: list[str], tmp_path: Path) -> None:
    name = [] if command == ["list"] else [str(evil)]
    out = ["--out", str(tmp_path)] if "compare" in command else []
    done = CliRunner().invoke(
        main, [*command, *name, *out, "--storage", str(evil.parent)], catch_exceptions=False
    )
    assert done.exit_code == 0
    assert "\x1b" not in done.output
    assert "\x07" not in done.output


@pytest.mark.parametrize("payload", PAYLOADS)
def test_none_of_them_can_name_a_file(payload: str) -> None:
    assert not NAME.fullmatch(payload)
