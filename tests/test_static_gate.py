"""What no source file of ours may do, whatever it is for."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(file for name in ("gancore", "sweeps") for file in (ROOT / name).rglob("*.py"))

RUN = {
    "eval",
    "exec",
    "compile",
    "input",
    "__import__",
    "os.system",
    "os.popen",
    "subprocess.getoutput",
    "subprocess.getstatusoutput",
}
"""Run a text, or ask a shell or a person."""

UNPICKLE = {
    "pickle",
    "_pickle",
    "cloudpickle",
    "ray.cloudpickle",
    "marshal",
    "shelve",
    "joblib",
    "dill",
    "torch.package",
    "torch.hub.load",
    "torch.hub.load_state_dict_from_url",
    "torch.jit.load",
    "torch.export.load",
    "pandas.read_pickle",
    "numpy.lib.format",
    "numpy.loads",
    "ray.tune.Tuner.restore",
    "ray.tune.ExperimentAnalysis",
}
"""Modules and functions that run what they read, with all that is in them."""

UNPICKLE_BY_NAME = {"load_model", "read_pickle", "Tuner.restore", "ExperimentAnalysis"}
"""Of whichever module they are had."""

YAML = {"yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "yaml.unsafe_load_all"}
YAML |= {"yaml.full_load_all"}

WORLD = ("0.0.0.0", "::", "[::]")

IMPORTERS = {"sweeps/plugins.py", "sweeps/__init__.py"}
"""Who imports by a name that is no literal: a plug-in, in one place, and our own by a table."""

ERRORS = {"UnpicklingError", "PicklingError", "PickleError"}
"""What may be had of `pickle`: `torch.load` raises them."""


def origins(tree: ast.Module) -> dict[str, str]:
    """What each name of a module stands for, by its imports: `t` for `torch`, `loads` for
    `pickle.loads`; a name that is given to another stands for the same."""
    table: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                table[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                table[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Attribute | ast.Name):
            for target in node.targets:
                meant = resolved(node.value, table)
                if isinstance(target, ast.Name) and "." in meant:
                    table.setdefault(target.id, meant)
    return table


def resolved(node: ast.expr, table: dict[str, str]) -> str:
    """The dotted name that an expression stands for, as far as it is one."""
    name = ast.unparse(node).replace("builtins.", "")
    first, dot, rest = name.partition(".")
    usual = {"np": "numpy", "pd": "pandas", "tune": "ray.tune"}
    return table.get(first, usual.get(first, first)) + dot + rest


def keyword(call: ast.Call, name: str) -> str | None:
    return next((ast.unparse(k.value) for k in call.keywords if k.arg == name), None)


def faults(file: Path) -> Iterator[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    table = origins(tree)
    place = file.relative_to(ROOT).as_posix() if file.is_relative_to(ROOT) else file.name
    for node in ast.walk(tree):
        where = f"{file.name}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (f"{where}: {told}" for told in imported(node))
        elif isinstance(node, ast.Call):
            yield from (f"{where}: {told}" for told in called(node, table, place))
        elif isinstance(node, ast.Assert) and not narrows(node.test):
            yield f"{where}: assert is no check: `python -O` leaves it out"
        elif isinstance(node, ast.keyword | ast.Assign | ast.Dict):
            yield from (f"{where}: listens to the world" for _ in worldly(node))


def imported(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    else:
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    for name in names:
        if within(name, UNPICKLE) and name.rpartition(".")[2] not in ERRORS:
            yield f"{name} runs what it reads"


def within(name: str, forbidden: set[str]) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in forbidden)


def called(call: ast.Call, table: dict[str, str], place: str) -> Iterator[str]:
    name = resolved(call.func, table)
    yield from forbidden(name)
    yield from loosely(name, call)
    if keyword(call, "shell") not in (None, "False"):
        yield "shell=True"
    if name == "importlib.import_module" and place not in IMPORTERS:
        first = call.args[0] if call.args else None
        if not (isinstance(first, ast.Constant) and isinstance(first.value, str)):
            yield "imports what it is told"
    for argument in call.args:
        if isinstance(argument, ast.Constant) and argument.value in WORLD:
            yield "listens to the world"


def forbidden(name: str) -> Iterator[str]:
    """What may not be called at all."""
    if name in RUN or within(name, {"runpy", "code", "pty"}):
        yield f"{name} runs a text"
    if name.startswith(("os.exec", "os.spawn", "os.posix_spawn")):
        yield f"{name}: use subprocess with a list"
    known = any(name == one or name.endswith(f".{one}") for one in UNPICKLE_BY_NAME)
    if known or within(name, UNPICKLE):
        yield f"{name} runs what it reads"
    if name in ("torch.serialization.add_safe_globals", "torch.serialization.safe_globals"):
        yield f"{name} lets a checkpoint name what is run"
    if name in YAML:
        yield name
    if name.endswith(("extractall", "unpack_archive")):
        yield "unpacks an archive unseen"


def loosely(name: str, call: ast.Call) -> Iterator[str]:
    """What may be called in one way only."""
    if name == "torch.load" and (
        keyword(call, "weights_only") != "True" or keyword(call, "pickle_module")
    ):
        yield "torch.load without weights_only=True"
    if name == "numpy.load":
        positional = ast.unparse(call.args[2]) if len(call.args) > 2 else None
        if (keyword(call, "allow_pickle") or positional) != "False":
            yield "np.load without allow_pickle=False"


def narrows(test: ast.expr) -> bool:
    """Whether an `assert` tells the type checker what is so, and is no check of what came in."""
    if isinstance(test, ast.Compare):
        nothing = test.comparators[-1]
        return isinstance(test.ops[-1], ast.IsNot) and ast.unparse(nothing) == "None"
    return isinstance(test, ast.Call) and ast.unparse(test.func) == "isinstance"


def worldly(node: ast.keyword | ast.Assign | ast.Dict) -> Iterator[ast.Constant]:
    """Constants that name every interface, as a keyword, a value of a table, or by a name."""
    values = node.values if isinstance(node, ast.Dict) else [node.value]
    for value in values:
        if isinstance(value, ast.Constant) and value.value in WORLD:
            yield value


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_source_runs_what_it_reads_or_opens_a_door(file: Path) -> None:
    assert list(faults(file)) == []


PLANTED = [
    "eval('1')",
    "import builtins\nbuiltins.exec('1')",
    "__import__('os')",
    "from os import system\nsystem('ls')",
    "import os as o\no.execvp('sh', [])",
    "import subprocess\nsubprocess.getoutput('ls')",
    "import subprocess\nsubprocess.run('ls', shell=True)",
    "import runpy\nrunpy.run_path('x')",
    "from pickle import loads",
    "import pickle as p",
    "import ray\nray.cloudpickle.loads(b'')",
    "from torch import load\nload('x')",
    "import torch as t\nt.load('x')",
    "import torch\nread = torch.load\nread('x')",
    "import torch\ntorch.load('x', weights_only=False)",
    "import torch\ntorch.load('x', weights_only=True, pickle_module=evil)",
    "import torch\ntorch.jit.load('x')",
    "import torch\ntorch.hub.load('a', 'b')",
    "import torch\ntorch.export.load('x.pt2')",
    "import torch\ntorch.serialization.add_safe_globals([print])",
    "import numpy as n\nn.load(path, 'r', True)",
    "from numpy import load\nload(path)",
    "import mlflow\nmlflow.pytorch.load_model('x')",
    "from ray.tune import Tuner\nTuner.restore('x', trainable)",
    "import pandas as frames\nframes.read_pickle('x')",
    "import yaml\nyaml.load_all(text, Loader)",
    "from yaml import unsafe_load\nunsafe_load(text)",
    "archive.extractall(path)",
    "from importlib import import_module\nimport_module(name)",
    "server(host='0.0.0.0')",
    "HOST = '::'",
    "options = {'--host': '0.0.0.0'}",
    "assert user_is_ok",
]


@pytest.mark.parametrize("line", PLANTED)
def test_the_gate_shuts(line: str, tmp_path: Path) -> None:
    file = tmp_path / "planted.py"
    file.write_text(line + "\n")
    assert len(list(faults(file))) == 1


@pytest.mark.parametrize(
    "line",
    [
        "import torch\ntorch.load(path, weights_only=True)",
        "import numpy as np\nnp.load(path, 'r', False)",
        "import yaml\nyaml.safe_load(text)",
        "import re\nre.compile('x')",
        "assert found is not None",
        "assert isinstance(found, int)",
        "import importlib\nimportlib.import_module('torch')",
    ],
)
def test_the_gate_lets_the_safe_way_pass(line: str, tmp_path: Path) -> None:
    file = tmp_path / "planted.py"
    file.write_text(line + "\n")
    assert list(faults(file)) == []


def test_there_is_something_to_look_at() -> None:
    assert len(SOURCES) > 50
