"""Every option of every GAN system acts."""

import copy
from typing import Any

import pytest
import torch
from resuming import bit_equal
from trained_sweep import RUNS

from gancore.config import RunConfig
from gancore.systems import Material, systems

SMALL: dict[str, dict[str, Any]] = {
    "cycle": next(run for run in RUNS.values() if run["system"] == "cycle"),
    "progressive": {
        "system": {"first": 4, "fade_kimg": 0.5, "stable_kimg": 0.5},
        "model": {"name": "progan", "max_width": 8},
    },
}
"""Of systems for which a run of `adversarial` would be none."""

ASIDE: dict[str, dict[str, Any]] = {"class_weight": {"conditioning": "auxiliary"}}
"""Without what else an option has nothing to act on."""

TURNED: dict[str, Any] = {
    "batches": {4: 100},
    "conditioning": "concat",
    "consistency": 1.0,
    "fade_kimg": 0.25,
    "first": 8,
    "lengths": {4: 0.25},
    "matching": "loss",
    "shift": 1,
    "stable_kimg": 0.25,
}


def learnt(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """All that a system knows after an epoch."""
    small = {"data": "digits", "model": {"name": "mlp", "width": 16}, "latent": 8, "batch": 125}
    run = {**small, "epochs": 1, "evaluation": {"samples": 60}, **SMALL.get(name, {})}
    own = run.get("system", {}) if isinstance(run.get("system"), dict) else {}
    config = RunConfig.of({**run, "system": {"name": name, **own, **options}})
    material = Material(config, torch.device("cpu"))
    system = systems.build(name, config, material, **config.system.options)
    for _ in system.train(1, 0.0):
        pass
    return copy.deepcopy(system.state_dict())


@pytest.mark.parametrize(
    ("name", "option"), [(n, option) for n in systems.names() for option in systems.options(n)]
)
def test_every_option_of_a_system_acts(name: str, option: str) -> None:
    aside = ASIDE.get(option, {})
    default = systems.options(name)[option].default
    value = TURNED[option] if option in TURNED else type(default)(default / 2)
    assert not bit_equal(learnt(name, aside), learnt(name, {**aside, option: value}))
