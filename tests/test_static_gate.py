"""What no source file of ours may do, whatever it is for."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(file for name in ("gancore", "sweeps") for file in (ROOT / name).rglob("*.py"))


def calls(file: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def keyword(call: ast.Call, name: str) -> str | None:
    return next((ast.unparse(k.value) for k in call.keywords if k.arg == name), None)


def faults(file: Path) -> Iterator[str]:
    for name, call in calls(file):
        where = f"{file.name}:{call.lineno}"
        if name in ("eval", "exec", "compile", "os.system", "os.popen", "input"):
            yield f"{where}: {name}"
        if name.split(".")[0] in ("pickle", "cloudpickle", "marshal", "shelve", "joblib", "dill"):
            yield f"{where}: {name} runs what it reads"
        if name == "torch.load" and keyword(call, "weights_only") != "True":
            yield f"{where}: torch.load without weights_only=True"
        if name in ("np.load", "numpy.load") and keyword(call, "allow_pickle") != "False":
            yield f"{where}: np.load without allow_pickle=False"
        if name in ("yaml.load", "yaml.unsafe_load", "yaml.full_load"):
            yield f"{where}: {name}"
        if keyword(call, "shell") not in (None, "False"):
            yield f"{where}: shell=True"
        if name.endswith(("extractall", "unpack_archive")):
            yield f"{where}: unpacks an archive unseen"
        if "0.0.0.0" in ast.unparse(call):
            yield f"{where}: listens to the world"


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_source_runs_what_it_reads_or_opens_a_door(file: Path) -> None:
    assert list(faults(file)) == []


@pytest.mark.parametrize(
    "line",
    [
        "eval('1')",
        "pickle.loads(b'')",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text, Loader)",
        "subprocess.run('ls', shell=True)",
        "archive.extractall(path)",
        "server(host='0.0.0.0')",
    ],
)
def test_the_gate_shuts(line: str, tmp_path: Path) -> None:
    file = tmp_path / "planted.py"
    file.write_text(line + "\n")
    assert len(list(faults(file))) == 1


def test_there_is_something_to_look_at() -> None:
    assert len(SOURCES) > 50
