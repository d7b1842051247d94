"""A sweep on two machines with caches of their own: each prepares once, and no trial does."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

import faults
from faults import act

# MLflow 3.17 asks SQLAlchemy 2.1 for what that will drop; nothing of ours can help it.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
]

PICTURES = '''
import json, os, time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import ray

from gancore.data import Pictures, datasets


@datasets.register("slow_pictures")
@dataclass(frozen=True, kw_only=True)
class Slow:
    """Pictures that take a second to read, and note who read them.

    Args:
        marks: The file of notes.
    """

    channels: ClassVar[int] = 1
    classes: ClassVar[int] = 2
    marks: str = ""

    def read(self, split, resolution, /):
        actor = ray.get_runtime_context().get_actor_id() if ray.is_initialized() else None
        said = {"cache": os.environ["GANSWEEP_CACHE"], "split": split, "trial": bool(actor)}
        with open(self.marks, "a") as marks:
            marks.write(json.dumps(said) + "\\n")
        time.sleep(1)
        shape = (8, 1, resolution, resolution)
        return Pictures(np.zeros(shape, np.uint8), np.arange(8) % 2)

    def identity(self):
        return "always the same"
'''


def test_each_machine_prepares_once_and_no_trial_does(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    data = {"name": "slow_pictures", "resolution": 8, "marks": str(marks)}
    file = faults.scripted(
        tmp_path / "s",
        {("*", "*"): act.sleep(0.5)},
        base={"data": data, "model": "mlp", "latent": 8, "epochs": 3},
        plugins=["scripted_trials", "slow_pictures"],
        search={"trials_each": 4},
    )
    (file.parent / "slow_pictures.py").write_text(PICTURES)
    caches = [tmp_path / "a", tmp_path / "b"]
    machines = [faults.Node(2, environment={"GANSWEEP_CACHE": str(cache)}) for cache in caches]
    storage = tmp_path / "runs"
    with faults.nodes(machines) as cluster:
        for name in ("first", "second"):
            words = ("run", file, "--name", name, "--address", cluster.address)
            options = {"storage": storage, "environment": cluster.environment, "name": name}
            with faults.cli(*words, home=tmp_path / name, **options) as command:
                command.assert_told(0, 240)
                results, (_, err) = command.results, command.end()
            assert "could not prepare" not in err
            trained = Counter(r.starts[-1]["ray_node"] for r in results.trials.values())
            assert sum(trained.values()) == 8
            assert len(trained) == 2, "trials ran on both machines"
    read = [json.loads(line) for line in marks.read_text().splitlines()]
    splits = [{"cache": str(c), "split": s} for c in caches for s in ("train", "test")]
    assert not any(one.pop("trial") for one in read)
    assert sorted(read, key=str) == sorted(splits, key=str)
