"""A sweep folder, a checkpoint, an archive that a stranger made: what opening it may do."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import py_compile
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from trained_sweep import PLAIN, train_sweep
from written_sweep import write_sweep

from gancore.data import DataUnavailable
from gancore.data.folder import Folder
from gancore.training import DamagedCheckpoint, checkpoint
from sweeps import planfile, plugins, resume, trust
from sweeps.cli import main
from sweeps.errors import DamagedSweep, UserError
from sweeps.plan import Plan, Trial


def gansweep(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(main, [str(w) for w in words], catch_exceptions=False)
    return done.exit_code, done.output


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_sweep(tmp_path_factory.mktemp("trained") / "small", [PLAIN])


@pytest.fixture
def trained(trained_once: Path, tmp_path: Path) -> Path:
    """A copy to write into."""
    return Path(shutil.copytree(trained_once, tmp_path / "small"))


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user who has run nothing yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config"


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a stranger's code would write; what it put on the path and imported is taken back."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "path_hooks", [*sys.path_hooks])
    monkeypatch.setitem(sys.modules, "of_a_stranger", None)
    monkeypatch.delitem(sys.modules, "of_a_stranger")
    return tmp_path / "it ran"


def add_plugin(place: Path, marker: Path, name: str = "of_a_stranger") -> Path:
    planfile.write(place, {**planfile.read(place), "plugins": [name]})
    file = place / "plugins" / f"{name}.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"open({str(marker)!r}, 'w').close()\n")
    return file


COMMANDS = ("sample", "evaluate", "export", "sync", "resume")


@pytest.mark.parametrize("command", COMMANDS)
def test_plug_ins_of_a_stranger_do_not_run(
    trained: Path, marker: Path, config: Path, command: str
) -> None:
    add_plugin(trained, marker)
    code, told = gansweep(command, trained)
    assert code == 2
    assert told.count("\n") == 1
    assert "of_a_stranger.py" in told
    assert "--trust" in told
    assert not marker.exists()
    assert not config.exists()


@pytest.mark.usefixtures("config")
def test_trust_is_of_what_was_there_when_it_was_given(trained: Path, marker: Path) -> None:
    file = add_plugin(trained, marker)
    assert gansweep("sample", trained, PLAIN, "--count", 4, "--trust")[0] == 0
    assert marker.exists()
    assert gansweep("sample", trained, PLAIN, "--count", 4)[0] == 0
    for change in (file, file.with_name("json.py"), trained / "plugins" / "more" / "deep.txt"):
        change.parent.mkdir(exist_ok=True)
        before = change.read_bytes() if change.exists() else None
        change.write_text("print(1)\n")
        with pytest.raises(UserError, match="would run"):
            trust.check(trained)
        change.write_bytes(before) if before is not None else change.unlink()
        trust.check(trained)


@pytest.mark.usefixtures("config")
def test_ones_own_run_is_trusted_and_moves_with_its_folder(tmp_path: Path, marker: Path) -> None:
    place = write_sweep(tmp_path / "own")
    add_plugin(place, marker)
    trust.remember(place)  # As `run` does when it has put them there.
    trust.check(place.rename(tmp_path / "moved"))
    notes = [*(tmp_path / "config" / "gansweep" / "trusted").iterdir()]
    assert len(notes) == 1
    assert (notes[0].parent.stat().st_mode & 0o777) == 0o700


@pytest.mark.usefixtures("config")
def test_a_sweep_without_plug_ins_asks_for_no_trust(tmp_path: Path) -> None:
    trust.check(write_sweep(tmp_path / "plain"))


def test_byte_code_beside_a_trusted_source_is_not_read(tmp_path: Path) -> None:
    """It is what an import would rather take, and no digest of the sources tells of it."""
    folder, marker = tmp_path / "plugins", tmp_path / "it ran"
    folder.mkdir()
    source = folder / "innocent.py"
    source.write_text(f"open({str(marker)!r}, 'w').close()\n")
    facts = source.stat()
    py_compile.compile(str(source))
    source.write_text("#".ljust(facts.st_size - 1) + "\n")
    os.utime(source, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    script = "import sys, pathlib\nfrom sweeps import plugins\n"
    script += "plugins.run(['innocent'], pathlib.Path(sys.argv[1]))\n"
    for line, ran in (
        ("import sys\nsys.path.insert(0, sys.argv[1])\nimport innocent", True),
        (script, False),
    ):
        marker.unlink(missing_ok=True)
        subprocess.run([sys.executable, "-c", line, str(folder)], check=True, cwd=Path.cwd())
        assert marker.exists() == ran  # The first shows that the trap works.


def test_a_package_of_plug_ins_is_imported_from_its_sources(tmp_path: Path) -> None:
    package = tmp_path / "own_package_of_a_test"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("from own_package_of_a_test.inner import VALUE\n")
    (package / "inner" / "__init__.py").write_text("VALUE = 3\n")
    path, hooks = [*sys.path], [*sys.path_hooks]
    try:
        plugins.run(["own_package_of_a_test"], tmp_path)
        assert sys.modules["own_package_of_a_test"].VALUE == 3
    finally:
        sys.path[:], sys.path_hooks[:] = path, hooks
    assert not [*tmp_path.rglob("*.pyc")]


class Payload:
    """A program in the disguise of weights."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return open, (str(self.marker), "w")


def put(place: Path, content: bytes) -> Path:
    """A file in the place of a trial's best checkpoint, whose checksum is right."""
    folder = place / "trials" / PLAIN / "checkpoints"
    best = json.loads((folder.parent / "best.json").read_text())["checkpoint"]
    path = folder / best
    path.write_bytes(content)
    facts = json.loads(path.with_suffix(".json").read_text())
    facts["sha256"] = hashlib.sha256(content).hexdigest()
    facts = {k: v for k, v in facts.items() if k not in ("format", "facts_sha256", "owner")}
    path.with_suffix(".json").write_text(json.dumps(facts))
    return path


def saved(value: object, file: Path) -> bytes:
    torch.save(value, file)
    return file.read_bytes()


@pytest.mark.parametrize("command", ["sample", "evaluate", "export"])
@pytest.mark.parametrize("how", ["pickle", "torch", "nested", "bytes"])
def test_a_program_in_a_checkpoint_is_told_in_a_line_and_not_run(
    trained: Path, tmp_path: Path, command: str, how: str
) -> None:
    marker, payload = tmp_path / "it ran", Payload(tmp_path / "it ran")
    content = {
        "pickle": lambda: pickle.dumps(payload),
        "torch": lambda: saved(payload, tmp_path / "x.pt"),
        "nested": lambda: saved({"epoch": 1, "system": {"steps": payload}}, tmp_path / "x.pt"),
        "bytes": lambda: b"\x80\x02nothing",
    }[how]()
    path = put(trained, content)
    code, told = gansweep(command, trained, PLAIN)
    assert code == 5
    assert told.startswith("error: ")
    assert str(path) in told
    assert told.count("\n") == 1
    assert not marker.exists()


def test_weights_of_another_size_are_refused_before_any_is_copied(
    trained: Path, tmp_path: Path
) -> None:
    folder = trained / "trials" / PLAIN / "checkpoints"
    best = json.loads((folder.parent / "best.json").read_text())["checkpoint"]
    state = torch.load(folder / best, weights_only=True)
    weights = state["system"]["generator"]["network"]
    name = [*weights][-1]
    # A view of one number that claims to be a terabyte.
    weights[name] = torch.zeros(1).expand(2**38)
    path = put(trained, saved(state, tmp_path / "x.pt"))
    with pytest.raises(DamagedCheckpoint, match=rf"{name} is \[{2**38}, .* there and \["):
        checkpoint.load_system(path)


HOSTILE = (
    "../../../escaped",
    "/tmp/escaped",
    "a/b",
    "..",
    ".hidden",
    "-x",
    "a\nb",
    "a\0b",
    "",
    "x" * 101,
)


@pytest.mark.parametrize("uid", HOSTILE)
@pytest.mark.parametrize("key", ["uid", "repeats", "source"])
def test_a_plan_that_leads_outside_is_refused(tmp_path: Path, uid: str, key: str) -> None:
    place = write_sweep(tmp_path / "sweep")
    plan = planfile.read(place)
    plan["trials"][0][key] = uid
    planfile.write(place, plan)  # With a checksum that is right: a stranger can make one too.
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DamagedSweep, match=r"plan\.json"):
        Plan.read(place)
    with pytest.raises(DamagedSweep):
        resume(place)
    assert sorted(tmp_path.rglob("*")) == before


@given(st.text(st.characters(codec="utf-8"), max_size=120))
@settings(max_examples=200, deadline=None)
def test_a_trial_whose_name_is_taken_stays_inside(uid: str) -> None:
    try:
        Trial(uid=uid, arm="a", draw=0, seed=0, varied={}, config={})
    except ValueError:
        return
    root = Path("/sweep/trials")
    assert (root / uid).resolve().parent == root


@pytest.mark.parametrize(
    "name", ["../../../../etc/passwd", "/etc/passwd", "epoch-1.pt/../x", "best.json"]
)
def test_a_best_checkpoint_elsewhere_is_refused(trained: Path, name: str) -> None:
    file = trained / "trials" / PLAIN / "best.json"
    file.write_text(json.dumps({"epoch": 1, "checkpoint": name}))
    code, told = gansweep("sample", trained, PLAIN)
    assert (code, told.count("\n")) == (5, 1)
    assert "names no checkpoint of the trial" in told


def test_a_link_out_of_the_folder_is_refused(trained: Path, tmp_path: Path) -> None:
    folder = trained / "trials" / PLAIN
    (folder / "checkpoints").rename(tmp_path / "elsewhere")
    (folder / "checkpoints").symlink_to(tmp_path / "elsewhere")
    code, told = gansweep("sample", trained, PLAIN)
    assert code == 2
    assert "leads out of the sweep's folder" in told


def archive(path: Path) -> Path:
    """Entries that lead outside, a link among them."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as out:
            out.writestr("../escaped.png", b"x")
    else:
        with tarfile.open(path, "w:gz") as out:
            entry = tarfile.TarInfo("../escaped.png")
            out.addfile(entry)
            link = tarfile.TarInfo("link")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc"
            out.addfile(link)
    return path


@pytest.mark.parametrize("name", ["pictures.zip", "pictures.tar.gz", "PICTURES.TGZ"])
def test_an_archive_is_refused_by_name_and_not_unpacked(tmp_path: Path, name: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    path = archive(inside / name)
    with pytest.raises(DataUnavailable, match=r"is an archive.*unpack it yourself") as refused:
        Folder(path=str(path)).read("train", 8)
    assert name in str(refused.value)
    assert [*tmp_path.rglob("*")] == [inside, path]


def test_unlike_classes_of_the_splits_are_named(tmp_path: Path) -> None:
    for kind in ("train/cat", "train/dog", "test/dog", "test/eel"):
        (tmp_path / kind).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / kind / "a.png")
    with pytest.raises(DataUnavailable, match="test/ lacks 'cat'; train/ lacks 'eel'"):
        Folder(path=str(tmp_path)).read("train", 8)


def test_half_a_download_is_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision compares the md5 before it opens what it has, so a torn file is no data."""
    from gancore.data.public import MNIST
    from gancore.torchvision_import import ensure_torchvision

    ensure_torchvision()
    from torchvision.datasets import mnist, utils

    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, _ in mnist.MNIST.resources:
        (raw / name).write_bytes(b"\x1f\x8b half of it")
    asked = []

    def download(_url: str, filename: str) -> None:
        asked.append(Path(filename).name)
        raise OSError("planted: no network")

    monkeypatch.setattr(utils, "_get_redirect_url", lambda url, **_: url)
    monkeypatch.setattr(utils, "_urlretrieve", download)
    with pytest.raises(DataUnavailable, match="MNIST can be had neither"):
        MNIST(root=str(tmp_path)).read("train", 28)
    assert set(asked) == {mnist.MNIST.resources[0][0]}
