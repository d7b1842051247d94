"""A disk of 8 MB that fills up in mid-sweep, the real one: a tmpfs (C1; bar 7)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import faults
from sweeps import tracking
from sweeps.results import Results

# MLflow 3.17 asks SQLAlchemy 2.1 for what that will drop; nothing of ours can help it.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
]

SWEEP = {
    # Three megabytes a checkpoint.
    "base": {"data": "digits", "model": {"name": "mlp", "width": 256}, "latent": 16, "epochs": 6},
    "scientific": {"loss.name": ["hinge", "wasserstein_gp"]},
    "search": {"trials_each": 1},
    "schedule": "none",
    "objective": {"samples": 100},
}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    if _mount("-t", "tmpfs", "-o", "size=8m", "tmpfs", place):
        pytest.skip("this user may mount nothing")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def _mount(*words: str | Path) -> int:
    return subprocess.run(["mount", *words], capture_output=True, check=False).returncode


def test_a_disk_that_fills_up_ends_in_order_and_goes_on_once_there_is_room(
    tmp_path: Path, disk: Path
) -> None:
    file = tmp_path / "full.yaml"
    file.write_text(yaml.safe_dump(SWEEP))
    calm = tmp_path / "calm"
    with faults.cli("run", file, home=tmp_path / "home", storage=calm, name="full") as command:
        command.assert_told(0, 200)
    with faults.cli("run", file, home=tmp_path / "home1", storage=disk, name="full") as command:
        command.assert_told(5, 200)
        _, err = command.end()
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert "No space left on device" in line
    assert f"gansweep resume {disk / 'full'}" in line
    reached = {u: r.epoch for u, r in Results.read(disk / "full").trials.items()}
    assert not any(r.state == "failed" for r in Results.read(disk / "full").trials.values())
    assert _mount("-o", "remount,size=64m", disk) == 0
    with faults.cli(
        "resume", "full", home=tmp_path / "home2", storage=disk, name="full"
    ) as command:
        command.assert_told(0, 200)
    faults.assert_sound(disk / "full", calm / "full", store=tracking.default_uri(disk))
    for uid, result in Results.read(disk / "full").trials.items():
        again = [start["from_epoch"] for start in result.starts[1:]]
        assert all(reached[uid] - epoch <= 1 for epoch in again[:1])
