"""Every GAN of the papers by its name: the papers' numbers, and how they are overruled."""

from typing import Any

import pytest

from gancore import systems as gancore_systems  # noqa: F401  (registers them)
from gancore.catalogue import Catalogue
from gancore.config import RunConfig, flatten
from gancore.systems import systems
from sweeps import SweepSpec, make_plan

SGD = {"optimizer": "sgd", "beta1": 0.5}

PAPERS: dict[str, dict[str, Any]] = {
    # mnist.yaml of the authors' code (github.com/goodfeli/adversarial): SGD.learning_rate .1,
    # init_momentum .5, batch_size 100, nvis 100, 1200 ReLUs, 240 maxout units of 5 pieces, input
    # dropout .2 and .5. d_obj of __init__.py there is half the sum that our loss is.
    "mmgan": {
        "loss": {"name": "minimax"},
        "model": {"name": "maxout"},
        "generator": {**SGD, "lr": 0.1},
        "discriminator": {**SGD, "lr": 0.1 / 2, "steps": 1},
        **{"latent": 100, "batch": 100, "ema_kimg": 0},
    },
    "nsgan": {
        "loss": {"name": "nonsaturating"},
        "model": {"name": "maxout"},
        "generator": {**SGD, "lr": 0.1},
        "discriminator": {**SGD, "lr": 0.1 / 2, "steps": 1},
        **{"latent": 100, "batch": 100, "ema_kimg": 0},
    },
    # arXiv:1511.06434, section 4 and figure 1: Adam at 0.0002 with beta1 0.5, batches of 128, 100
    # latents, 1024 channels at 4x4 of 64 pixels, batch norm in both players.
    "dcgan": {
        "loss": {"name": "nonsaturating"},
        "model": {"name": "dcgan", "width": 128, "max_width": 1024, "norm": "batch"},
        "generator": {"optimizer": "adam", "lr": 0.0002, "beta1": 0.5, "beta2": 0.999},
        "discriminator": {"optimizer": "adam", "lr": 0.0002, "beta1": 0.5, "steps": 1},
        **{"latent": 100, "batch": 128, "ema_kimg": 0},
    },
    # arXiv:1701.07875, algorithm 1: alpha 0.00005, c 0.01, m 64, n_critic 5; main.py of the
    # authors' code: RMSprop as PyTorch has it (decay 0.99), nz 100, ngf and ndf 64.
    "wgan": {
        "loss": {"name": "wasserstein", "clip": 0.01},
        "model": {"name": "dcgan", "width": 64, "norm": "batch"},
        "generator": {"optimizer": "rmsprop", "lr": 0.00005, "beta1": 0, "beta2": 0.99},
        "discriminator": {
            **{"optimizer": "rmsprop", "lr": 0.00005, "beta1": 0, "beta2": 0.99, "steps": 5}
        },
        **{"latent": 100, "batch": 64, "ema_kimg": 0},
    },
    # gan_cifar_resnet.py of the authors' code: LR 2e-4 with DECAY, betas 0 and 0.9, N_CRITIC 5,
    # BATCH_SIZE 64, DIM_G = DIM_D = 128, 128 latents; lambda 10 of arXiv:1704.00028, algorithm 1.
    "wgan_gp": {
        "loss": {"name": "wasserstein_gp", "gp_weight": 10},
        "model": {"name": "resnet", "width": 128},
        "generator": {"optimizer": "adam", "lr": 2e-4, "beta1": 0, "beta2": 0.9},
        "discriminator": {"optimizer": "adam", "lr": 2e-4, "beta1": 0, "beta2": 0.9, "steps": 5},
        **{"latent": 128, "batch": 64, "ema_kimg": 0, "lr_decay": "linear"},
    },
    # train.py of the authors' code, preset FFHQ-64: lr from 2e-4, beta2 to 0.99, half-life to 500k
    # pictures, NoiseDimension 64, batches of 256 (arXiv:2501.05441, appendix); betas[0] 0.
    "r3gan": {
        "loss": {"name": "relativistic_pairing"},
        "penalty": {"name": "r1_r2", "weight": 1},
        "model": {"name": "r3gan"},
        "generator": {"optimizer": "adam", "lr": 2e-4, "beta1": 0, "beta2": 0.99},
        "discriminator": {"optimizer": "adam", "lr": 2e-4, "beta1": 0, "beta2": 0.99, "steps": 1},
        **{"latent": 64, "batch": 256, "ema_kimg": 500, "lr_decay": "cosine"},
    },
    # arXiv:1710.10196, appendix A.1: Adam at 0.001 with betas 0 and 0.99, 512 latents, drift 0.001,
    # lambda 10, batches of 16 (but smaller ones beyond 128 pixels), average with decay 0.999 a
    # step of 16: a half-life of about 10,000 pictures (smoothing_kimg of the authors' code).
    "progressive": {
        "loss": {"name": "wasserstein_gp", "drift": 0.001},
        "model": {"name": "progan"},
        "generator": {"optimizer": "adam", "lr": 0.001, "beta1": 0, "beta2": 0.99},
        "discriminator": {"optimizer": "adam", "lr": 0.001, "beta1": 0, "beta2": 0.99, "steps": 1},
        **{"latent": 512, "batch": 16, "ema_kimg": 10},
    },
    # train_mnist_feature_matching.py of the authors' code: Adam at 0.003 with mom1 0.5, batch_size
    # 100, 100 latents.
    "semi_supervised": {
        "loss": {"name": "nonsaturating"},
        "model": {"name": "noisy_mlp"},
        "generator": {"optimizer": "adam", "lr": 0.003, "beta1": 0.5},
        "discriminator": {"optimizer": "adam", "lr": 0.003, "beta1": 0.5, "steps": 1},
        **{"latent": 100, "batch": 100},
    },
}
LONG = {"progressive": {"epochs": 1200}}
"""What a preset needs before a run makes sense at all: the paper's schedule is long."""


@pytest.mark.parametrize("name", PAPERS)
def test_the_name_alone_gives_the_papers_run(name: str) -> None:
    run = RunConfig.of({"system": name, **LONG.get(name, {})}).as_mapping()
    told, wanted = dict(flatten(run)), dict(flatten(PAPERS[name]))
    assert {path: told.get(path) for path in wanted} == pytest.approx(wanted)
    assert told["penalty.name"] == wanted.get("penalty.name", "none")
    assert told["lr_decay"] == wanted.get("lr_decay", told["lr_decay"])


@pytest.mark.parametrize(
    ("model", "option", "value"),
    [
        ("maxout", "width", 1200),
        ("maxout", "units", 240),
        ("maxout", "pieces", 5),
        ("maxout", "input_dropout", 0.2),
        ("maxout", "dropout", 0.5),
        ("noisy_mlp", "input_noise", 0.3),
        ("noisy_mlp", "hidden_noise", 0.5),
        ("progan", "capacity", 16384),
        ("progan", "max_width", 512),
        ("progan", "group", 4),
    ],
)
def test_the_networks_of_a_preset_have_the_papers_sizes(
    model: str, option: str, value: float
) -> None:
    assert Catalogue.read()["models"][model].options[option].default == value


def test_every_preset_is_held_against_its_paper() -> None:
    entries = Catalogue.read_source()["systems"].items()
    presets = {name for name, entry in entries if "preset" in entry.facts}
    assert presets - {"cycle"} == PAPERS.keys()  # CycleGAN has a test of its own.


@pytest.mark.parametrize("name", systems.names())
def test_what_the_source_says_is_what_the_class_says(name: str) -> None:
    """A preset that is no plain table would be read as a text, and silently left out."""
    entry = Catalogue.read_source()["systems"][name]
    assert entry.facts == systems.facts(name)
    assert {k: o.default for k, o in entry.options.items()} == {
        k: o.default for k, o in systems.options(name).items()
    }


@pytest.mark.parametrize("name", PAPERS)
def test_a_preset_survives_the_way_to_plain_mappings_and_back(name: str) -> None:
    run = RunConfig.of({"system": name, **LONG.get(name, {})})
    assert RunConfig.of(run.as_mapping()) == run


def test_the_user_has_the_last_word_on_every_key() -> None:
    run = RunConfig.of(
        {
            "system": "wgan",
            "loss": {"clip": 0.1},
            "model": {"width": 8},
            "discriminator": {"steps": 2},
            "batch": 32,
        }
    )
    assert run.loss.options == {"clip": 0.1}
    assert (run.model.name, dict(run.model.options)) == ("dcgan", {"width": 8, "norm": "batch"})
    assert (run.discriminator.steps, run.discriminator.lr) == (2, 5e-5)
    assert (run.batch, run.latent) == (32, 100)


def test_a_component_of_another_name_takes_nothing_of_the_presets() -> None:
    run = RunConfig.of({"system": "wgan", "loss": "hinge", "model": {"name": "mlp"}})
    assert (run.loss.name, dict(run.loss.options)) == ("hinge", {})
    assert (run.model.name, dict(run.model.options)) == ("mlp", {})
    assert run.discriminator.steps == 5


def test_without_a_preset_the_defaults_stand() -> None:
    assert RunConfig.of({"system": "adversarial"}) == RunConfig.of({})


def test_in_a_sweep_over_systems_each_has_its_own_preset() -> None:
    spec = SweepSpec.of(
        {
            "name": "papers",
            "base": {"model": {"name": "mlp"}, "batch": 50},
            "scientific": {"system.name": ["mmgan", "nsgan", "wgan_gp"]},
            "nuisance": {"generator.lr": [0.2]},
        }
    )
    runs = {t.config["system"]["name"]: RunConfig.of(t.config) for t in make_plan(spec).trials}
    assert {name: run.loss.name for name, run in runs.items()} == {
        "mmgan": "minimax",
        "nsgan": "nonsaturating",
        "wgan_gp": "wasserstein_gp",
    }
    assert {name: run.latent for name, run in runs.items()} == {
        **{"mmgan": 100, "nsgan": 100, "wgan_gp": 128}
    }
    assert {name: run.discriminator.lr for name, run in runs.items()} == {
        **{"mmgan": 0.05, "nsgan": 0.05, "wgan_gp": 2e-4}
    }
    # `base` and what varies stand above every preset.
    assert {(run.model.name, run.batch, run.generator.lr) for run in runs.values()} == {
        ("mlp", 50, 0.2)
    }
