"""A sweep's folder: names, owners, lookup."""

import subprocess
import sys
from pathlib import Path

import pytest

from sweeps import folder
from sweeps.errors import Busy, UserError


@pytest.mark.parametrize(
    "name", ["../x", "/abs", "a/b", "", ".hidden", "-dash", "a\nb", "a\0b", "x" * 101, "a b", "ünï"]
)
def test_a_name_that_could_leave_its_place_makes_nothing(tmp_path: Path, name: str) -> None:
    with (
        pytest.raises(UserError, match="cannot name a sweep"),
        folder.built(tmp_path / "runs", name),
    ):
        pass
    assert list(tmp_path.rglob("*")) in ([], [tmp_path / "runs"])


def test_a_name_in_use_is_refused_with_the_way_on(tmp_path: Path) -> None:
    with folder.built(tmp_path, "q") as draft:
        (draft / "plan.json").touch()
    with pytest.raises(Busy, match="gansweep resume q"), folder.built(tmp_path, "q"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["q"]


def test_the_owner_is_named_and_a_dead_one_is_none(tmp_path: Path) -> None:
    holder = (
        "import sys, pathlib; from sweeps import folder\n"
        "with folder.owned(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "held\n"
    assert folder.is_owned(tmp_path)
    with pytest.raises(Busy, match=f"process {process.pid} on "), folder.owned(tmp_path):
        pass
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()
    assert not folder.is_owned(tmp_path)
    with folder.owned(tmp_path):
        pass


def test_what_is_not_there_is_told_with_what_is(tmp_path: Path) -> None:
    (tmp_path / "known").mkdir()
    (tmp_path / "known" / "plan.json").write_text("{}")
    (tmp_path / "mlartifacts").mkdir()
    with pytest.raises(UserError, match=r"no sweep 'other' in .* \(there: known\)"):
        folder.find(tmp_path, "other")
    assert folder.find(tmp_path, "known") == tmp_path / "known"
    assert folder.find(tmp_path, str(tmp_path / "known")) == tmp_path / "known"
