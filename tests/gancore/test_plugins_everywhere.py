"""A component of every kind from a module of the user's, used together; gancore knows of none."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gancore.catalogue import KINDS, Catalogue
from gancore.config import RunConfig
from sweeps import journal
from sweeps.plan import make_plan
from sweeps.spec import load
from sweeps.yamlfile import SpecError

MODULE = '''
"""One component of every kind."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from gancore.data import Pictures, datasets
from gancore.losses import losses, penalties
from gancore.metrics import FeatureNetwork, features, metrics
from gancore.models import Discriminator, models
from gancore.schema import Count, Positive
from gancore.systems import systems
from gancore.systems.adversarial import Adversarial


@losses.register("my_loss")
@dataclass(frozen=True, kw_only=True)
class MyLoss:
    """Bounded on both sides."""

    height: Positive = 1.0

    def discriminator(self, real, fake):
        return self.height * (fake - real).tanh()

    def generator(self, _real, fake):
        return -self.height * fake.tanh()


@penalties.register("my_penalty")
@dataclass(frozen=True, kw_only=True)
class MyPenalty:
    """Small logits."""

    active: ClassVar[bool] = True

    weight: Positive = 0.1
    interval: Count = 1

    def __call__(self, discriminator, real, _fake, _random):
        return self.weight * discriminator(real).square()


@models.register("my_model")
@dataclass(frozen=True, kw_only=True)
class MyModel:
    """Two layers each."""

    width: Count = 8

    def generator(self, latent, shape):
        picture = (shape.channels, shape.resolution, shape.resolution)
        layers = nn.Linear(latent, self.width), nn.ReLU(), nn.Linear(self.width, math.prod(picture))
        return nn.Sequential(*layers, nn.Tanh(), nn.Unflatten(1, picture))

    def discriminator(self, shape):
        pixels = shape.channels * shape.resolution**2
        body = nn.Sequential(nn.Flatten(), nn.Linear(pixels, self.width), nn.ReLU())
        return Discriminator(body, self.width)


@datasets.register("my_data")
@dataclass(frozen=True, kw_only=True)
class MyData:
    """Stripes of many shades."""

    size: ClassVar[int] = 8
    channels: ClassVar[int] = 1
    pictures: ClassVar[int] = 300
    features: ClassVar[str] = "my_features"

    darkest: Count = 40

    def read(self, split, resolution, /):
        count = self.pictures if split == "train" else 60
        shades = np.random.RandomState(0).randint(self.darkest, 256, (count, 1, 1, resolution))
        images = np.broadcast_to(shades, (count, 1, resolution, resolution))
        return Pictures(images.astype(np.uint8), None)

    def identity(self):
        return repr(self)


class Brightness(FeatureNetwork):
    """The mean of each column."""

    size = 8
    digest = "columns"

    def forward(self, images):
        return images.float().mean((1, 2)) / 255


@features.register("my_features")
@dataclass(frozen=True, kw_only=True)
class MyFeatures:
    """Nothing to learn."""

    def load(self, _real, _held_out, _folder, _weights):
        return Brightness()


@metrics.register("my_metric")
@dataclass(frozen=True, kw_only=True)
class MyMetric:
    """How far apart the mean features are."""

    goal: ClassVar[str] = "min"

    def score(self, real, generated):
        return (real.moments.mean - generated.moments.mean).norm().item()


@systems.register("my_system")
class MySystem(Adversarial):
    """A generator that is paid for brightness too.

    Args:
        light: What brightness is worth.
    """

    preset: ClassVar[dict[str, Any]] = {"data": "my_data", "model": "my_model", "latent": 5}

    def __init__(self, config, material, *, light: Positive = 0.5):
        self.light = light
        super().__init__(config, material)

    def generator_loss(self, real, fake, told):
        self.means.add(brightness=fake.mean())
        return super().generator_loss(real, fake, told) - self.light * fake.mean()
'''

SPEC: dict[str, Any] = {
    "plugins": ["mine"],
    "base": {
        "system": {"name": "my_system", "light": 2},
        "penalty": "my_penalty",
        **{"batch": 50, "epochs": 1},
    },
    "scientific": {"loss.name": ["my_loss", "hinge"]},
    "nuisance": {
        "loss.height": {"uniform": [0.5, 2], "when": {"loss.name": "my_loss"}},
        "model.width": [8],
        "data.darkest": [50],
    },
    "objective": {"metric": "my_metric", "samples": 100, "features": "my_features"},
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(MODULE)
    path = tmp_path / "everything.yaml"
    path.write_text(json.dumps(SPEC))  # JSON is YAML.
    return path


def test_a_plugin_of_every_kind_is_planned_without_being_run(file: Path) -> None:
    trial = make_plan(load(file)).trials[0]
    catalogue = Catalogue.read([file.parent / "mine.py"])
    own = {kind: [n for n in catalogue[kind] if n.startswith("my_")] for kind in KINDS}
    assert sorted(map(len, own.values())) == [1] * len(KINDS)
    run = RunConfig.of(trial.config, catalogue)
    assert (run.data.name, run.latent, run.model.name) == ("my_data", 5, "my_model")
    assert dict(run.system.options) == {"light": 2.0}
    assert "mine" not in sys.modules


def test_what_a_plugins_components_do_not_take_is_refused_with_its_line(file: Path) -> None:
    wrong = {**SPEC, "nuisance": {"model.widht": [8]}}
    wrong["base"] = {**SPEC["base"], "system": {"name": "my_system", "light": -1}}
    file.write_text(json.dumps(wrong, indent=1))
    with pytest.raises(SpecError) as error:
        load(file)
    told = str(error.value)
    assert "system.light: expected a number > 0, got -1" in told
    assert "unknown key 'model.widht' (did you mean 'model.width'?)" in told


def test_plugins_of_every_kind_train_together(file: Path, tmp_path: Path) -> None:
    """In a process of its own: what is registered here would stay for other tests."""
    out = tmp_path / "out"
    command = [sys.executable, "-W", "error", "-m", "sweeps.cli", "try", str(file)]
    path = os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    ran = subprocess.run(
        [*command, "--out", str(out)], env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    (uid,) = (folder.name for folder in (out / "trials").iterdir())
    records = {record["kind"]: record for record in journal.read(out, uid)}
    assert records["end"]["state"] == "completed"
    values, passport = records["epoch"]["values"], records["start"]["passport"]
    assert {"my_metric100", "brightness", "penalty"} <= values.keys()
    assert passport["features"] == "my_features"
    assert passport["data_name"] == "my_data"
    assert (passport["resolution"], passport["real"], passport["generated"]) == (8, 300, 100)
    assert (out / "trials" / uid / "checkpoints" / "epoch-0001.pt").is_file()
