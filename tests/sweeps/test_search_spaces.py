"""The sweep files that come with gansweep: each asks a question, and all of its runs can start."""

from itertools import takewhile
from pathlib import Path

import pytest
import yaml

from gancore.growth import Growth
from sweeps import SweepSpec, make_plan
from sweeps.spec import load

FOLDER = Path(__file__).parents[2] / "search_spaces"
FILES = sorted(FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_every_file_begins_with_its_question_and_can_be_run(file: Path) -> None:
    """Or with the name of the file whose question it asks in another size."""
    lines = file.read_text().splitlines()
    head = " ".join(takewhile(lambda line: line.startswith("#"), lines))
    assert "?" in head or any(other.name in head for other in FILES)
    assert make_plan(load(file)).trials


def test_the_large_run_that_progan_speaks_of_can_be_run_too() -> None:
    lines = (FOLDER / "progan.yaml").read_text().splitlines()
    large = yaml.safe_load("\n".join(line[4:] for line in lines if line.startswith("#   ")))
    apart = {key: large.pop(key) for key in ("objective", "resources")}
    question = {"scientific": {"model.group": [0, 4]}, **apart}
    run = make_plan(SweepSpec.of({"name": "faces", "base": large, **question})).trials[0].config
    paper = {"fade_kimg": 800, "stable_kimg": 800, "lengths": None}
    growth = Growth.of(first=4, last=1024, **paper, batch=16, batches=run["system"]["batches"])
    assert not growth.unreached(run["epochs"], 30_000)
    assert growth.unreached(run["epochs"] - 80, 30_000)
