"""CycleGAN: a resumed run equals one that was never interrupted, and what one takes away of it."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from resuming import Whole, assert_goes_on, bit_equal, told, uninterrupted

from gancore.config import RunConfig
from gancore.training import load_system, train
from gancore.training.checkpoint import save

SMALL: dict[str, Any] = {
    "system": {"name": "cycle", "buffer": 20},
    "data": {"name": "two_classes", "of": "digits", "a": 3, "b": 8, "resolution": 8},
    "model": {"width": 4, "blocks": 1, "layers": 1},
    "batch": 27,
    "epochs": 3,
    "seed": 3,
    "evaluation": {"samples": 20},
}


def run_config(**changed: Any) -> RunConfig:
    return RunConfig.of({**SMALL, **changed})


CASES: dict[str, dict[str, Any]] = {
    "as in the paper": {"lr_decay_start": 0.3},
    "average, hinge, lazy r1, two critic steps": {
        "ema_kimg": 2.0,
        "loss": "hinge",
        "penalty": {"name": "r1", "weight": 0.1, "interval": 3},
        "discriminator": {"steps": 2},
    },
}


@pytest.fixture(scope="module", params=CASES, ids=list(CASES))
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return uninterrupted(run_config(**CASES[request.param]), tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("killed_after", [1, 2])
def test_killed_after_any_epoch_it_goes_on_as_if_nothing_had_happened(
    killed_after: int, whole: Whole
) -> None:
    assert_goes_on(whole, killed_after)


def test_leaving_out_any_part_of_the_state_is_seen_in_the_reports(
    whole: Whole,
) -> None:
    config, state = whole.config, whole.states[0]
    fresh = train(config, device="cpu").state_dict()["system"]
    assert [len(history["kept"]) for history in state["system"]["histories"]] == [20, 20]
    for part, value in state["system"].items():
        if value is None:
            continue
        poorer = copy.deepcopy(state)
        poorer["system"][part] = fresh[part]
        resumed = train(config, state=poorer, device="cpu")
        seen = any(
            not bit_equal(told(report), whole.reports[epoch - 1])
            for epoch, report in enumerate(resumed, start=2)
        )
        # Of the counters only an average, a lazy penalty and rarer steps make use.
        needed = part not in ("steps", "shown") or config.ema_kimg > 0
        assert seen == needed, part


def test_what_one_takes_away_is_traced_without_its_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = train(run_config(epochs=1), device="cpu")
    next(training)
    path = save(tmp_path, training.checkpoint())

    def unread(*_: Any) -> None:
        raise AssertionError("pictures were read")

    monkeypatch.setattr("gancore.systems.material.load", unread)
    product = load_system(path).product()
    assert product.kind == "translator"
    pictures = torch.rand(5, 1, 8, 8) * 2 - 1
    rows = torch.export.Dim("rows")
    traced = torch.export.export(
        product.network, tuple(product.inputs.values()), dynamic_shapes=({0: rows},)
    )
    trained: Any = training.system
    with torch.inference_mode():
        expected = trained.translate(pictures, into=1)
    torch.testing.assert_close(traced.module()(pictures), expected)
