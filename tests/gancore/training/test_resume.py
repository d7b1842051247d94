"""A resumed run equals one that was never interrupted, bit for bit."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from resuming import assert_bit_equal, told

from gancore.config import RunConfig
from gancore.training import train
from gancore.training.checkpoint import DamagedCheckpoint, load, newest, prune, save

EPOCHS = 4

CASES: dict[str, dict[str, Any]] = {
    "dcgan, batch norm, lazy r1, two critic steps, cosine decay": {
        "model": {"name": "dcgan", "width": 4, "norm": "batch"},
        "loss": "nonsaturating",
        "penalty": {"name": "r1", "weight": 1.0, "interval": 3},
        "discriminator": {"steps": 2},
        "lr_decay": "cosine",
    },
    "resnet, spectral norm, relativistic, dragan": {
        "model": {"name": "resnet", "width": 4, "norm": "spectral"},
        "loss": "relativistic_average",
        "penalty": {"name": "dragan", "weight": 1.0},
    },
    "mlp, clipped critic": {
        "model": {"name": "mlp", "width": 16},
        "loss": "wasserstein",
        "discriminator": {"steps": 3},
        "lr_decay": "linear",
    },
    "mlp, gradient penalty, no average, bfloat16": {
        "model": {"name": "mlp", "width": 16},
        "loss": "wasserstein_gp",
        "ema_kimg": 0.0,
        "precision": "bfloat16",
    },
}


def run_config(case: dict[str, Any]) -> RunConfig:
    small = {"data": {"name": "digits"}, "latent": 8, "batch": 128, "epochs": EPOCHS, "seed": 3}
    return RunConfig.of({**small, "evaluation": {"samples": 64}, **case})


@pytest.fixture(scope="module", params=CASES, ids=list(CASES))
def uninterrupted(request: pytest.FixtureRequest) -> tuple[RunConfig, list[Any], list[Any]]:
    config = run_config(CASES[request.param])
    training = train(config, device="cpu")
    states, reports = [], []
    for report in training:
        assert not report.diverged, report.evidence
        reports.append(told(report))
        states.append(copy.deepcopy(training.state_dict()))
    return config, states, reports


@pytest.mark.parametrize("killed_after", range(1, EPOCHS))
def test_killed_after_any_epoch_it_goes_on_as_if_nothing_had_happened(
    killed_after: int, uninterrupted: tuple[RunConfig, list[Any], list[Any]], tmp_path: Path
) -> None:
    config, states, reports = uninterrupted
    first = train(config, device="cpu")
    for _ in range(killed_after):
        next(first)
    path = save(tmp_path, first.checkpoint())
    torch.manual_seed(999)  # Whatever the new process draws elsewhere must not matter.
    again = train(config, state=load(path).state, device="cpu")
    for epoch, report in enumerate(again, start=killed_after + 1):
        assert_bit_equal(told(report), reports[epoch - 1])
        assert_bit_equal(again.state_dict(), states[epoch - 1])
    assert again.epoch == EPOCHS


def test_a_state_is_gone_on_from_with_other_rates_and_momenta(tmp_path: Path) -> None:
    first = train(run_config({"model": {"name": "mlp", "width": 16}}), device="cpu")
    next(first)
    state = load(save(tmp_path, first.checkpoint())).state
    for changes in ({"generator": {"lr": 1e-3}}, {"discriminator": {"beta1": 0.9}}):
        config = run_config({"model": {"name": "mlp", "width": 16}, **changes})
        changed = train(config, state=state, device="cpu")
        report = next(changed)
        again = train(first.config, state=state, device="cpu")
        assert told(report) != told(next(again)), changes


def test_leaving_out_any_part_of_the_state_is_seen(
    uninterrupted: tuple[RunConfig, list[Any], list[Any]],
) -> None:
    config, states, reports = uninterrupted
    fresh = train(config, device="cpu").state_dict()["system"]
    parts = [part for part, value in states[0]["system"].items() if value is not None]
    for part in parts:
        poorer = copy.deepcopy(states[0])
        if part == "steps" and config.discriminator.steps == 1 and config.penalty.name != "r1":
            poorer["system"][part] = 1  # Any other count: the average's ramp and laziness see it.
        else:
            poorer["system"][part] = fresh[part]
        resumed = train(config, state=poorer, device="cpu")
        differs = False
        for epoch, report in enumerate(resumed, start=2):
            try:
                assert_bit_equal(told(report), reports[epoch - 1])
                assert_bit_equal(resumed.state_dict(), states[epoch - 1])
            except AssertionError:
                differs = True
        assert differs, part


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path) -> None:
    training = train(run_config(CASES["mlp, clipped critic"]), device="cpu")
    paths = []
    for _ in range(3):
        next(training)
        paths.append(save(tmp_path, training.checkpoint()))
    content = bytearray(paths[2].read_bytes())
    content[len(content) // 2] ^= 1
    paths[2].write_bytes(content)
    paths[1].with_suffix(".json").unlink()

    with pytest.raises(DamagedCheckpoint, match="checksum"):
        load(paths[2])
    found, troubles = newest(tmp_path, at_most=9)
    assert found is not None
    assert found.epoch == 1
    assert len(troubles) == 2
    assert newest(tmp_path, at_most=0) == (None, [])

    prune(tmp_path, keep={1})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["epoch-0001.json", "epoch-0001.pt"]
