"""The shape of the code: who may know whom, how long things are, and that the README is true."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tree import ROOT, modules, render, sentence, written

from gancore.catalogue import KINDS, Catalogue
from sweeps.cli import main

FILE_LINES = 400
FUNCTION_LINES = 60
MODULES = [str(m.relative_to(ROOT)) for m in modules()]


def test_imports_go_one_way() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_readmes_tree_says_what_the_files_say() -> None:
    assert written() == render(), "run `python tests/tree.py`"


@pytest.mark.parametrize("page", ["README.md", "docs/CLUSTER.md", "docs/RELIABILITY.md"])
def test_links_lead_somewhere(page: str) -> None:
    file = ROOT / page
    for target in re.findall(r"\]\(([^)\s]+)\)", file.read_text()):
        path, _, anchor = target.partition("#")
        if "://" not in target:
            assert (there := file.parent / path if path else file).exists(), target
            assert not anchor or anchor in anchors(there), target


def anchors(page: Path) -> set[str]:
    """Of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_the_readmes_commands_and_options_exist() -> None:
    call = r"(?:`|^ +|^\$ |&& |bin/)gansweep ([a-z][^`|\n]*)"
    said = re.findall(call, (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(said) > 20
    for words in (line.split() for line in said):
        command = main.commands.get(words[0].rstrip(",.:"))
        assert command is not None, words
        known = {name for option in command.params for name in option.opts}
        used = {word.rstrip(",.:;") for word in words if word.startswith("--")}
        assert used <= known, words


@pytest.mark.parametrize("module", MODULES)
def test_a_module_says_in_one_sentence_what_it_is(module: str) -> None:
    told = sentence(ROOT / module)
    assert told.endswith("."), told
    assert len(told) <= 120


@pytest.mark.parametrize("module", MODULES)
def test_files_and_functions_fit_the_mind(module: str) -> None:
    text = (ROOT / module).read_text()
    assert text.count("\n") <= FILE_LINES
    assert Path(module).stem not in ("utils", "helpers", "common", "misc")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and node.end_lineno is not None:
            assert node.end_lineno - node.lineno < FUNCTION_LINES, node.name


@pytest.mark.parametrize(
    ("package", "heavy"),
    [
        ("gancore", ("torch", "ray", "mlflow", "sweeps", "yaml")),
        ("gancore.data", ("torch", "torchvision", "sklearn", "ray", "sweeps", "yaml")),
        ("gancore.training", ("ray", "mlflow", "sweeps", "yaml", "torchvision", "sklearn")),
        ("sweeps", ("torch", "ray", "mlflow", "numpy")),
        ("sweeps.trial", ("torch", "ray", "mlflow")),
        ("sweeps.tracking", ("mlflow", "torch", "ray")),
        ("sweeps.report", ("matplotlib", "mlflow", "torch", "ray")),
    ],
)
def test_importing_a_package_loads_nothing_heavy(package: str, heavy: tuple[str, ...]) -> None:
    script = f"import sys, {package}; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


HOMES = {
    "systems": "gancore.systems",
    "losses": "gancore.losses",
    "penalties": "gancore.losses",
    "models": "gancore.models",
    "datasets": "gancore.data",
    "metrics": "gancore.metrics",
    "features": "gancore.metrics",
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_read_from_source_is_what_runs(kind: str) -> None:
    table = getattr(importlib.import_module(HOMES[kind]), kind)
    read = Catalogue.read()[kind]
    assert sorted(read) == table.names()
    for name, entry in read.items():
        live = table.options(name)
        assert entry.options.keys() == live.keys(), name
        for option in live.values():
            told = entry.options[option.name]
            assert (told.kind, told.range, told.choices, told.optional, told.default) == (
                option.kind,
                option.range,
                option.choices,
                option.optional,
                option.default,
            ), f"{name}.{option.name}"
            assert told.help, f"{name}.{option.name} has no line under Args"
        assert entry.facts == table.facts(name), name
        assert entry.summary.endswith("."), name
