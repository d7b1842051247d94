"""The sweep files that come with gansweep: each asks a question, and all of its runs can start."""

from itertools import product, takewhile
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


def test_kurachs_grid_is_table_1_of_the_paper_each_with_each() -> None:
    plan = make_plan(load(FOLDER / "kurach2019.yaml"))
    settings: dict[str, list[tuple[object, ...]]] = {}
    for trial in plan.trials:
        one, other = trial.config["generator"], trial.config["discriminator"]
        assert [one[k] for k in ("lr", "beta1", "beta2")] == [
            other[k] for k in ("lr", "beta1", "beta2")
        ]
        triple = (one["beta1"], one["beta2"], other["steps"])
        settings.setdefault(trial.arm, []).append(
            (one["lr"], triple, trial.config["penalty"].get("weight"))
        )
    triples = [(0.5, 0.9, 5), (0.5, 0.999, 1), (0.5, 0.999, 5), (0.9, 0.999, 5)]
    for arm, found in settings.items():
        weights = [1.0, 10.0] if "wgan_gp" in arm else [None]
        assert len(found) == len(set(found))
        assert set(found) == set(product([2e-4, 1e-4, 1e-3], triples, weights))
    assert len(settings) == 3


@pytest.mark.parametrize("name", ["wide", "narrow"])
def test_lucics_players_have_one_learning_rate_and_one_momentum(name: str) -> None:
    for trial in make_plan(load(FOLDER / f"lucic2018_{name}.yaml")).trials:
        for key in ("lr", "beta1", "beta2"):
            assert trial.config["generator"][key] == trial.config["discriminator"][key]
