"""Trials that sleep and count in place of training, through all of the product but the networks.

A plug-in of the sweep swaps `gancore.training.train` in every worker. What a trial does in an epoch
stands in a table by its number in the plan and the epoch: `{"0:2": "kill"}`; `*` is any.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

PLUGIN = """
import json, os, signal, sys, time
from pathlib import Path
import torch
import gancore.training
from gancore.metrics import Passport
from gancore.models import ImageShape
from gancore.training.checkpoint import Checkpoint
from gancore.training.report import EpochReport

HERE = Path(__file__).parent
PASSPORT = Passport(
    metric="fid64", features="classifier", features_digest="x", accuracy=None, real=10,
    generated=64, data_name="digits", data="d", split="train", resolution=8, shown_at=8,
    channels=1, weights="ema",
)

class System:
    def passport(self):
        return PASSPORT
    def grid(self):
        return torch.zeros(1, 16, 16, dtype=torch.uint8)

class Training:
    def __init__(self, config, sweep, state):
        self.config, self.system, self.device = config, System(), torch.device("cpu")
        self.epoch = state["epoch"] if state else 0
        plan = json.loads((sweep / "plan.json").read_text())["trials"]
        asked = config.as_mapping()
        from gancore.config import RunConfig
        configs = [RunConfig.of(trial["config"]).as_mapping() for trial in plan]
        self.number = configs.index(asked)
    def __iter__(self):
        return self
    def __next__(self):
        if self.epoch >= self.config.epochs:
            raise StopIteration
        self.epoch += 1
        script = json.loads((HERE / "script.json").read_text())
        for key in (f"{self.number}:{self.epoch}", f"*:{self.epoch}", "*:*"):
            if key in script:
                act(*script[key].split(" ", 1))
        score = 100.0 - self.number - self.epoch / 10
        return EpochReport(
            epoch=self.epoch, kimg=1.0, scores={"fid64": score}, passport=PASSPORT, statistics={},
            seconds_training=0.1, seconds_evaluation=0.1, pictures=10, grid=self.system.grid(),
        )
    def state_dict(self):
        return {"epoch": self.epoch}
    def checkpoint(self):
        plain = self.config.as_mapping()
        return Checkpoint(self.epoch, self.state_dict(), plain, ImageShape(1, 8))

def act(what, argument=""):
    if what == "mark-and-hang":
        Path(argument).touch()
        time.sleep(1e6)
    elif what == "sleep":
        time.sleep(float(argument))
    elif what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "oom":
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    elif what == "raise":
        raise ValueError(argument)
    elif what == "say":
        for _ in range(int(argument)):
            sys.stdout.buffer.write(os.urandom(1 << 20))
        sys.stdout.flush()
    else:
        raise ValueError(f"no script has the word {what!r}")

def train(config, *, state=None, evaluation=None, **_other):
    return Training(config, evaluation.parent, state)

gancore.training.train = train
"""


def sweep_file(folder: Path, script: Mapping[str, str], **changes: Any) -> Path:
    """A sweep of such trials; its name is the folder's."""
    plugin = folder / "short_plugin"
    plugin.mkdir(parents=True)
    (plugin / "__init__.py").write_text(PLUGIN)
    (plugin / "script.json").write_text(json.dumps(script))
    content: dict[str, Any] = {
        "plugins": ["short_plugin"],
        "base": {"data": "digits", "model": "mlp", "latent": 8, "epochs": 3},
        "scientific": {"loss.name": ["hinge", "minimax"]},
        "nuisance": {"generator.lr": {"log_uniform": [1e-5, 1e-3]}},
        "search": {"trials_each": 1},
        "schedule": "none",
        "objective": {"samples": 64},
        **changes,
    }
    file = folder / f"{folder.name}.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return file
