"""Checkpoints and caches: damage and strangers are known for what they are, and run nothing."""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from counted_sweep import EPOCHS, FIRST, SECOND, attempt, counted_sweep, curve, ran, result_of
from hypothesis import given, settings
from hypothesis import strategies as st

from gancore.config import RunConfig
from gancore.data import arrays
from gancore.metrics import classifier
from gancore.models import ImageShape
from gancore.training.checkpoint import Checkpoint, DamagedCheckpoint, load, newest, path_of, save
from sweeps.results import Results
from sweeps.troubles import troubles

CONFIG = RunConfig.of({"data": "digits", "model": "mlp"}).as_mapping()


def saved(folder: Path, *epochs: int) -> Path:
    for epoch in epochs:
        state = {"epoch": epoch, "weights": torch.arange(50.0)}
        save(folder, Checkpoint(epoch, state, CONFIG, ImageShape(1, 8), {"trial": "t"}))
    return folder


def cut(suffix: str, share: float) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        file = path_of(folder, 3).with_suffix(suffix)
        content = file.read_bytes()
        file.write_bytes(content[: int(share * len(content))])

    return damage


def facts(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """The facts altered, and not the checksum."""

    def damage(folder: Path) -> None:
        file = path_of(folder, 3).with_suffix(".json")
        content = json.loads(file.read_text())
        file.write_text(json.dumps(change(content) or content))

    return damage


def renamed(folder: Path) -> None:
    for suffix in (".pt", ".json"):
        shutil.copy(path_of(folder, 2).with_suffix(suffix), path_of(folder, 3).with_suffix(suffix))


class Payload:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.marker),))


def payload(folder: Path) -> None:
    """A state that runs something, with every checksum right."""
    state: Any = Payload(folder / "ran")
    save(folder, Checkpoint(3, state, CONFIG, ImageShape(1, 8)))


DAMAGES: dict[str, Callable[[Path], None]] = {
    **{f"state cut at {s:.1%}": cut(".pt", s) for s in (0, 0.3, 0.9, 0.999)},
    **{f"facts cut at {s:.1%}": cut(".json", s) for s in (0, 0.3, 0.9)},
    "state gone": lambda folder: path_of(folder, 3).unlink(),
    "facts gone": lambda folder: path_of(folder, 3).with_suffix(".json").unlink(),
    "facts a list": facts(lambda _: [1]),
    "facts of another epoch": facts(lambda f: f.update(epoch=2)),
    "facts of another run": facts(lambda f: f["config"].update(batch=1)),
    "facts of another owner": facts(lambda f: f["owner"].update(trial="u")),
    "facts without a key": facts(lambda f: f.pop("shape") and None),
    "facts without their checksum": facts(lambda f: f.pop("facts_sha256") and None),
    "facts of a later format": facts(lambda f: f.update(format=2)),
    "facts that are no text": lambda f: path_of(f, 3).with_suffix(".json").write_bytes(b"\xff\xfe"),
    "another epoch's files": renamed,
    "a payload": payload,
}


@pytest.mark.parametrize("name", DAMAGES)
def test_every_damage_is_named_and_the_one_before_taken(tmp_path: Path, name: str) -> None:
    """C5, C6, C8, E13."""
    DAMAGES[name](saved(tmp_path, 2, 3))
    (tmp_path / "epoch-old.pt").write_text("a file of somebody else's")
    with pytest.raises(DamagedCheckpoint, match=r"epoch-0003\.(pt|json)") as told:
        load(path_of(tmp_path, 3))
    assert "\n" not in str(told.value)
    found, wrong = newest(tmp_path, at_most=9)
    assert found is not None
    assert (found.epoch, len(wrong)) == (2, 0 if name == "state gone" else 1)
    assert not (tmp_path / "ran").exists()


@settings(max_examples=150, deadline=None)
@given(facts=st.booleans(), position=st.integers(0, 10**6), flip=st.integers(1, 255))
def test_no_altered_byte_alters_what_is_loaded(facts: bool, position: int, flip: int) -> None:
    """C6: every byte of both files."""
    with tempfile.TemporaryDirectory() as place:
        path = path_of(saved(Path(place), 3), 3)
        whole = load(path)
        file = path.with_suffix(".json") if facts else path
        content = bytearray(file.read_bytes())
        content[position % len(content)] ^= flip
        file.write_bytes(content)
        try:
            found = load(path)
        except DamagedCheckpoint:
            return
        assert facts  # White space between them may change; nothing else.
        assert (found.epoch, found.config, found.owner) == (3, whole.config, whole.owner)


def test_epochs_are_numbers(tmp_path: Path) -> None:
    """C5."""
    saved(tmp_path, 9999, 10000)
    found, _ = newest(tmp_path, at_most=20000)
    assert found is not None
    assert found.epoch == 10000


def test_a_checkpoint_of_another_trial_is_not_taken(tmp_path: Path) -> None:
    """C9: swapped files; both are named, and the numbers are each trial's own."""
    place = counted_sweep(tmp_path)
    reference = counted_sweep(tmp_path / "reference")
    for uid in (FIRST, SECOND):
        running = attempt(place, uid)
        next(running)
        next(running)
        running.close()
    folders = [place / "trials" / uid / "checkpoints" for uid in (FIRST, SECOND)]
    folders[0].rename(tmp_path / "aside")
    folders[1].rename(folders[0])
    (tmp_path / "aside").rename(folders[1])
    for uid, other in ((FIRST, SECOND), (SECOND, FIRST)):
        result = ran(place, uid)
        assert (result.state, curve(result)) == ("completed", curve(ran(reference, uid)))
        assert result.starts[-1]["from_epoch"] == 0
        said = [line for line in troubles(Results.read(place)) if line.startswith(uid)]
        assert len(said) == 2
        assert all(f"it is of trial {other}, not of {uid}" in line for line in said)


def test_a_checkpoint_of_another_run_is_told_by_what_differs(tmp_path: Path) -> None:
    """C9: another resolution, under the trial's own name and of its own attempt."""
    place = counted_sweep(tmp_path)
    running = attempt(place)
    next(running)
    running.close()
    folder = place / "trials" / FIRST / "checkpoints"
    kept = load(path_of(folder, 1))
    other = {**kept.config, "data": {**kept.config["data"], "resolution": 8}}
    save(folder, Checkpoint(1, kept.state, other, kept.shape, kept.owner))
    result = ran(place)
    assert (result.state, result.starts[-1]["from_epoch"]) == ("completed", 0)
    (line,) = result.starts[-1]["troubles"]
    assert line.endswith("it is of another run: data.resolution is 8, not None")


def test_a_source_that_is_not_the_source_is_refused(tmp_path: Path) -> None:
    """C9: whoever takes another's state over takes that one's, and no third one's."""
    from dataclasses import replace

    from sweeps.plan import Plan

    place = counted_sweep(tmp_path)
    for uid in (FIRST, SECOND):
        running = attempt(place, uid)
        next(running)
        running.close()
    plan = Plan.read(place)
    heir = replace(plan.trial(FIRST), uid="002-hinge", source=FIRST, begins=1)
    plan.joined([heir]).write(place)
    source, third = (place / "trials" / uid / "checkpoints" for uid in (FIRST, SECOND))
    shutil.copytree(place, tmp_path / "sound" / "counted")
    result = ran(tmp_path / "sound" / "counted", heir.uid)
    assert (result.state, result.starts[0]["from_epoch"]) == ("completed", 1)
    assert [point.epoch for point in result.points] == [*range(2, EPOCHS + 1)]
    for suffix in (".pt", ".json"):
        name = path_of(source, 1).with_suffix(suffix).name
        shutil.copy(third / name, source / name)
    result = ran(place, heir.uid)
    assert result.state == "failed"
    assert f"it is of trial {SECOND}, not of {FIRST}" in result.reason


def test_a_payload_in_a_cache_is_not_run(tmp_path: Path) -> None:
    """E13: of prepared pictures, and of the feature network; both are made anew."""
    marker = tmp_path / "ran"
    evil = np.array([Payload(marker)], dtype=object)
    with (tmp_path / "images.npy").open("wb") as stream:
        np.save(stream, evil, allow_pickle=True)
    size = (tmp_path / "images.npy").stat().st_size
    about = {"bytes": {"images.npy": size}, "fingerprint": "f"}
    (tmp_path / "about.json").write_text(json.dumps(about))
    assert arrays._open(tmp_path) is None

    content = io.BytesIO()
    torch.save({"x": Payload(marker)}, content)
    (tmp_path / "network.pt").write_bytes(content.getvalue())
    made = {"channels": 1, "classes": 10, "accuracy": 0.9, "digest": "d"}
    (tmp_path / "network.json").write_text(json.dumps(made))
    assert classifier._read(tmp_path / "network.pt") is None
    assert not marker.exists()


def test_a_damaged_checkpoint_is_said_and_the_one_before_taken(tmp_path: Path) -> None:
    """C5: end to end; the numbers are those of an undisturbed trial."""
    place = counted_sweep(tmp_path)
    running = attempt(place)
    for _ in range(3):
        next(running)
    running.close()
    cut(".pt", 0.3)(place / "trials" / FIRST / "checkpoints")
    result = ran(place)
    assert curve(result) == curve(ran(counted_sweep(tmp_path / "reference")))
    assert result.starts[-1]["from_epoch"] == 2
    (line,) = troubles(Results.read(place))
    assert "epoch-0003.pt: the content does not match its checksum" in line
    assert line.endswith("it went on from epoch 2")
    assert result_of(place).voids == []
