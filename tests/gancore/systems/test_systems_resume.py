"""Every system, resumed after any epoch, equals a run that was never interrupted."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from resuming import Whole, assert_all_parts_matter, assert_goes_on, uninterrupted

from gancore.config import RunConfig
from gancore.growth import Growth
from gancore.training import load_system

SMALL = {"data": "digits", "latent": 8, "seed": 3, "evaluation": {"samples": 60}}
MLP = {"name": "mlp", "width": 16}

CONDITIONAL: dict[str, dict[str, Any]] = {
    "concat": {"loss": "wasserstein_gp", "discriminator": {"steps": 2}},
    "projection": {"loss": "hinge", "lr_decay": "linear"},
    "auxiliary": {"penalty": {"name": "r1", "weight": 1.0, "interval": 3}},
}
SEMI_SUPERVISED: dict[str, dict[str, Any]] = {
    "features": {"shift": 1},
    "loss": {"shift": 1, "labelled_batch": 13},  # An epoch ends amid a round of them.
}
PRESETS: dict[str, dict[str, Any]] = {
    "mmgan": {"width": 16, "units": 8, "pieces": 2},
    "nsgan": {"width": 16, "units": 8, "pieces": 2},
    "dcgan": {"width": 4, "max_width": 8},
    "wgan": {"width": 4},
    "wgan_gp": {"width": 4},
    "r3gan": {"width": 8, "max_width": 16, "blocks": 1, "group": 4},
}
"""Options that make the networks of each preset small."""

CASES: dict[str, dict[str, Any]] = {
    **{
        f"conditional, {how}": {
            "system": {"name": "conditional", "conditioning": how},
            **{"model": MLP, "batch": 250, "epochs": 3, **more},
        }
        for how, more in CONDITIONAL.items()
    },
    **{
        f"semi_supervised, {matching}": {
            "system": {
                "name": "semi_supervised",
                **{"labels": 50, "matching": matching, "consistency": 1.0, **more},
            },
            **{"model": {"name": "noisy_mlp", "width": 0.05}, "batch": 250, "epochs": 3},
        }
        for matching, more in SEMI_SUPERVISED.items()
    },
    "semi_supervised, convolutions, no average": {
        "system": {"name": "semi_supervised", "labels": 50},
        "model": {"name": "noisy_cnn", "width": 4, "generator_width": 4},
        **{"batch": 250, "epochs": 2, "ema_kimg": 0},
    },
    **{
        name: {"system": name, "model": options, "epochs": 2, "latent": 8}
        for name, options in PRESETS.items()
    },
}

Runs = Callable[[str], Whole]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    @cache
    def of(case: str) -> Whole:
        folder = tmp_path_factory.mktemp("checkpoints")
        return uninterrupted(RunConfig.of({**SMALL, **CASES[case]}), folder)

    return of


@pytest.mark.parametrize(
    ("case", "after"), [(case, n) for case in CASES for n in range(1, CASES[case]["epochs"])]
)
def test_killed_after_any_epoch_a_run_goes_on(case: str, after: int, runs: Runs) -> None:
    assert_goes_on(runs(case), after)


@pytest.mark.parametrize("case", [c for c in CASES if c not in PRESETS])
def test_leaving_out_any_part_of_the_state_is_seen(case: str, runs: Runs) -> None:
    assert_all_parts_matter(runs(case))


EDGES: dict[str, Any] = {
    "system": {
        "name": "progressive",
        **{"first": 4, "fade_kimg": 3, "stable_kimg": 1.5, "lengths": {4: 3}, "batches": {8: 100}},
    },
    "model": {"name": "progan", "capacity": 64, "max_width": 8},
    **{"batch": 125, "epochs": 6, "discriminator": {"steps": 2}},
}
"""Both batches divide the 1,500 digits, so that epochs end exactly where phases do."""


@pytest.fixture(scope="module")
def growing(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return uninterrupted(RunConfig.of({**SMALL, **EDGES}), tmp_path_factory.mktemp("growing"))


def test_the_epochs_of_the_growing_run_end_at_every_kind_of_place(growing: Whole) -> None:
    """Stable at 4 pixels, at the edge to 8, inside its fade, where the fade ends, stable at 8."""
    shown = [state["system"]["shown"] for state in growing.states]
    assert shown == [1500, 3000, 4500, 6000, 7500, 9000]
    growth = Growth.of(
        **{"first": 4, "last": 8, "fade_kimg": 3, "stable_kimg": 1.5, "lengths": {4: 3}},
        **{"batch": 125, "batches": {8: 100}},
    )
    assert [(p.begins, p.begins + p.fade) for p in growth] == [(0, 0), (3000, 6000)]
    places = [(report["resolution"], report["alpha"]) for report in growing.reports]
    assert places == [(4, 1), (8, 0), (8, 0.5), (8, 1), (8, 1), (8, 1)]


@pytest.mark.parametrize("after", range(1, EDGES["epochs"]))
def test_killed_anywhere_a_growing_run_goes_on(after: int, growing: Whole) -> None:
    assert_goes_on(growing, after)


@pytest.mark.parametrize("after", [3])
def test_leaving_out_any_part_of_a_growing_state_is_seen(after: int, growing: Whole) -> None:
    assert_all_parts_matter(growing, after)


def test_a_growing_checkpoint_gives_the_generator_of_its_resolution(growing: Whole) -> None:
    systems = [load_system(growing.folder / f"epoch-{epoch:04d}.pt") for epoch in (1, 2)]
    assert [system.grid().shape for system in systems] == [(1, 32, 32), (1, 64, 64)]
