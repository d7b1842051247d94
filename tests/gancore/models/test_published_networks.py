"""The networks and search spaces of the large studies, against their tables and their code."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gancore.config import RunConfig
from gancore.models import ImageShape, models
from gancore.systems import Material, systems
from sweeps import make_plan
from sweeps.space import Choice, Dimension, Range
from sweeps.spec import SweepSpec, load

FOLDER = Path(__file__).parents[3] / "search_spaces"
LOSSES = ("minimax", "nonsaturating", "least_squares", "wasserstein", "wasserstein_gp")
LAYERS = nn.Linear | nn.Conv2d | nn.ConvTranspose2d
NORMS = nn.BatchNorm1d | nn.BatchNorm2d


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def table(network: nn.Module) -> list[Any]:
    """Inputs and outputs of every layer, with kernel, stride and padding of what convolves."""
    layers: list[Any] = []
    for m in network.modules():
        if isinstance(m, nn.Linear):
            layers.append((m.in_features, m.out_features))
        elif isinstance(m, nn.Conv2d | nn.ConvTranspose2d):
            window = (m.kernel_size[0], m.stride[0], m.padding[0])
            layers.append((m.in_channels, m.out_channels, *window))
        elif isinstance(m, NORMS):
            layers.append(("norm", m.num_features, m.eps))
        elif isinstance(m, nn.LeakyReLU):
            layers.append(("leaky", m.negative_slope))
        elif isinstance(m, nn.ReLU | nn.Tanh):
            layers.append(type(m).__name__)
    return layers


def test_infogan_has_the_layers_of_the_studys_code() -> None:
    """abstract_gan.py: 64-1024-7x7x128-14x14x64-28x28x1 and its mirror image, batch norm within."""
    family, shape = models.build("infogan", norm="batch"), ImageShape(1, 28)
    assert table(family.generator(64, shape)) == [
        *[(64, 1024), ("norm", 1024, 1e-3), ("leaky", 0.2)],
        *[(1024, 7 * 7 * 128), ("norm", 7 * 7 * 128, 1e-3), ("leaky", 0.2)],
        *[(128, 64, 4, 2, 1), ("norm", 64, 1e-3), ("leaky", 0.2)],
        *[(64, 1, 4, 2, 1), "Tanh"],
    ]
    assert table(family.discriminator(shape)) == [
        *[(1, 64, 4, 2, 1), ("leaky", 0.2)],
        *[(64, 128, 4, 2, 1), ("norm", 128, 1e-3), ("leaky", 0.2)],
        *[(7 * 7 * 128, 1024), ("norm", 1024, 1e-3), ("leaky", 0.2)],
        (1024, 1),
    ]


def test_infogan_has_as_many_weights_as_its_layers_add_up_to() -> None:
    """Less the biases before batch norm, which subtracts them."""
    for channels, resolution in [(1, 28), (3, 32), (3, 64)]:
        shape, flat = ImageShape(channels, resolution), 128 * (resolution // 4) ** 2
        generator = 64 * 1024 + 2 * 1024 + 1024 * flat + 2 * flat
        generator += 128 * 64 * 16 + 2 * 64 + 64 * channels * 16 + channels
        weights = channels * 64 * 16 + 64 * 128 * 16 + flat * 1024 + 1024
        ends = 64 + 1  # The biases of the first and the last layer.
        with torch.device("meta"):
            normed = models.build("infogan", norm="batch")
            assert count(normed.generator(64, shape)) == generator
            assert count(normed.discriminator(shape)) == weights + ends + 2 * 128 + 2 * 1024
            plain = models.build("infogan", norm="none").discriminator(shape)
        assert count(plain) == weights + ends + 128 + 1024


def test_infogan_is_the_first_papers_at_no_leak() -> None:
    """arXiv:1606.03657: rectifiers in the generator, leaky ones in the discriminator."""
    family = models.build("infogan", leak=0.0)
    slopes = [
        {m.negative_slope for m in network.modules() if isinstance(m, nn.LeakyReLU)}
        for network in (
            family.generator(4, ImageShape(1, 8)),
            family.discriminator(ImageShape(1, 8)),
        )
    ]
    assert slopes == [{0.0}, {0.2}]


def test_sndcgan_has_the_layers_of_table_3() -> None:
    """arXiv:1802.05957, with the norm after the dense layer that compare_gan has."""
    family, shape = models.build("sndcgan", norm="none"), ImageShape(3, 32)
    assert table(family.generator(128, shape)) == [
        *[(128, 4 * 4 * 512), ("norm", 4 * 4 * 512, 2e-5), "ReLU"],
        *[(512, 256, 4, 2, 1), ("norm", 256, 2e-5), "ReLU"],
        *[(256, 128, 4, 2, 1), ("norm", 128, 2e-5), "ReLU"],
        *[(128, 64, 4, 2, 1), ("norm", 64, 2e-5), "ReLU"],
        *[(64, 3, 3, 1, 1), "Tanh"],
    ]
    assert table(family.discriminator(shape)) == [
        *[(3, 64, 3, 1, 1), ("leaky", 0.1), (64, 128, 4, 2, 1), ("leaky", 0.1)],
        *[(128, 128, 3, 1, 1), ("leaky", 0.1), (128, 256, 4, 2, 1), ("leaky", 0.1)],
        *[(256, 256, 3, 1, 1), ("leaky", 0.1), (256, 512, 4, 2, 1), ("leaky", 0.1)],
        *[(512, 512, 3, 1, 1), ("leaky", 0.1), (4 * 4 * 512, 1)],
    ]


@pytest.mark.parametrize("resolution", [32, 48])
def test_sndcgan_has_as_many_weights_as_its_layers_add_up_to(resolution: int) -> None:
    """At the papers' two sizes: CIFAR-10's, and STL-10's at 48 pixels."""
    shape, flat = ImageShape(3, resolution), 512 * (resolution // 8) ** 2
    generator = 128 * flat + 2 * flat
    generator += 16 * (512 * 256 + 256 * 128 + 128 * 64) + 2 * (256 + 128 + 64)
    generator += 9 * 64 * 3 + 3
    discriminator = 9 * (3 * 64 + 128**2 + 256**2 + 512**2)
    discriminator += 16 * (64 * 128 + 128 * 256 + 256 * 512)
    discriminator += 64 + 2 * (128 + 256 + 512) + flat + 1
    with torch.device("meta"):
        family = models.build("sndcgan", norm="none")
        assert count(family.generator(128, shape)) == generator
        assert count(family.discriminator(shape)) == discriminator


@pytest.mark.parametrize(("name", "layers"), [("infogan", 4), ("sndcgan", 8)])
def test_spectral_norm_bounds_every_layer_of_the_discriminator(name: str, layers: int) -> None:
    torch.manual_seed(0)
    family = models.build(name, norm="spectral", width=4)
    discriminator = family.discriminator(ImageShape(1, 16))
    for _ in range(60):  # one power iteration each
        discriminator(torch.randn(2, 1, 16, 16))
    found = [m for m in discriminator.modules() if isinstance(m, LAYERS)]
    norms = [torch.linalg.matrix_norm(m.weight.detach().flatten(1), ord=2).item() for m in found]
    assert norms == pytest.approx([1] * layers, abs=0.03)


@pytest.mark.parametrize("norm", ["none", "layer", "spectral", "batch"])
@pytest.mark.parametrize("name", ["infogan", "sndcgan"])
def test_a_logit_depends_on_other_pictures_with_batch_norm_alone(name: str, norm: str) -> None:
    torch.manual_seed(0)
    discriminator = models.build(name, norm=norm, width=4).discriminator(ImageShape(1, 16))
    discriminator(torch.randn(2, 1, 16, 16))
    pictures = torch.randn(4, 1, 16, 16)
    if norm == "spectral":  # While it learns, every pass moves its estimate of the norm.
        discriminator.eval()
    alone = torch.allclose(discriminator(pictures)[:2], discriminator(pictures[:2]), atol=1e-6)
    assert alone is (norm != "batch")


@pytest.mark.parametrize("name", ["infogan", "sndcgan"])
def test_both_begin_with_the_weights_of_the_studies_code(name: str) -> None:
    """A normal deviate cut off at two deviations has a variance of 0.7737 of the whole one's."""
    torch.manual_seed(0)
    family, shape = models.build(name, norm="none"), ImageShape(3, 32)
    for network in (family.generator(128, shape), family.discriminator(shape)):
        for layer in network.modules():
            if isinstance(layer, LAYERS):
                assert layer.bias is None or not layer.bias.any()
                cut = name == "infogan" and isinstance(layer, nn.Conv2d)
                assert (layer.weight.abs().max().item() <= 0.04) is cut
                if layer.weight.numel() > 10_000:
                    deviation = 0.02 * 0.7737**0.5 if cut else 0.02
                    assert layer.weight.std().item() == pytest.approx(deviation, rel=0.03)


def dimensions(spec: SweepSpec) -> dict[str, Dimension]:
    return {d.path: d for d in (*spec.space.scientific, *spec.space.nuisance)}


def ranges(spec: SweepSpec) -> dict[str, Any]:
    """What is drawn from: the ends of a range in powers of ten where it is a logarithmic one."""
    found: dict[str, Any] = {}
    for path, dimension in dimensions(spec).items():
        values = dimension.values
        if isinstance(values, Choice):
            found[path] = values.values
        elif isinstance(values, Range):
            ends = torch.tensor([values.low, values.high], dtype=torch.float64)
            log = values.scale == "log_uniform"
            found[path] = tuple((ends.log10() if log else ends).round(decimals=9).tolist())
    return found


def followers(spec: SweepSpec) -> dict[str, str]:
    """What both players share, by the path that follows the other."""
    return {tie.path: tie.to for tie in spec.space.ties if tie.times is None}


def test_the_wide_ranges_are_those_of_params_py() -> None:
    """compare_gan, branch v1; Adam takes no beta1 of 1."""
    spec = load(FOLDER / "lucic2018_wide.yaml")
    assert followers(spec) == {
        "discriminator.lr": "generator.lr",
        "discriminator.beta1": "generator.beta1",
    }
    assert ranges(spec) == {
        "loss.name": LOSSES,
        "penalty.name": ("none", "dragan"),
        "generator.lr": (-5, -2),
        "generator.beta1": (0, 0.999),
        "discriminator.steps": (1, 5),
        "model.norm": ("none", "batch"),
        "loss.clip": (-3, 0),
        "loss.gp_weight": (-1, 2),
        "penalty.weight": (-1, 2),
    }


def test_the_narrow_ranges_are_those_of_params_py() -> None:
    spec = load(FOLDER / "lucic2018_narrow.yaml")
    assert followers(spec) == {"discriminator.lr": "generator.lr"}
    assert ranges(spec) == {
        "loss.name": LOSSES,
        "penalty.name": ("none", "dragan"),
        "generator.lr": (-4, -3),
        "model.norm": ("none", "batch"),
        "loss.clip": (-2, 0),
        "loss.gp_weight": (-1, 1),
        "penalty.weight": (-1, 1),
    }
    trials = make_plan(spec).trials
    for trial in trials:
        run = trial.config
        assert run["generator"]["beta1"] == run["discriminator"]["beta1"] == 0.5
        assert run["discriminator"]["steps"] == 1
    normed = {t.arm for t in trials if t.config["model"]["norm"] == "batch"}
    assert {t.arm for t in trials} - normed == {"nonsaturating,dragan", "wasserstein_gp"}


@pytest.mark.parametrize(("file", "draws"), [("lucic2018_wide", 100), ("lucic2018_narrow", 50)])
def test_each_loss_has_as_many_draws_as_in_the_study(file: str, draws: int) -> None:
    plan = make_plan(load(FOLDER / f"{file}.yaml"))
    games = {
        **{(loss, "none"): draws for loss in LOSSES},
        ("nonsaturating", "dragan"): draws,
    }
    found = [(t.config["loss"]["name"], t.config["penalty"]["name"]) for t in plan.trials]
    assert {game: found.count(game) for game in found} == games
    for trial in plan.trials:
        run = trial.config
        assert (run["batch"], run["latent"], run["ema_kimg"]) == (64, 64, 0)
        assert run["generator"]["beta2"] == run["discriminator"]["beta2"] == 0.999
        # Every regulariser has its weight drawn, and nothing else has one.
        regulariser = {
            "loss.clip": run["loss"]["name"] == "wasserstein",
            "loss.gp_weight": run["loss"]["name"] == "wasserstein_gp",
            "penalty.weight": run["penalty"]["name"] == "dragan",
        }
        assert {path: path in trial.varied for path in regulariser} == regulariser
    assert plan.search.seed == 123


def test_the_epochs_are_the_studys_steps() -> None:
    """15,625 steps of 64 of MNIST's 60,000 pictures, rounded up; 200,000 of CIFAR-10's 50,000."""
    wide = make_plan(load(FOLDER / "lucic2018_wide.yaml")).trials[0]
    narrow = make_plan(load(FOLDER / "lucic2018_narrow.yaml")).trials[0]
    kurach = make_plan(load(FOLDER / "kurach2019.yaml")).trials[0]
    assert wide.epochs == narrow.epochs == -(-15_625 * 64 // 60_000)
    assert kurach.epochs == 200_000 * 64 / 50_000


@pytest.mark.parametrize(
    ("name", "size", "epochs"), [("fashion_mnist", 28, 17), ("cifar10", 32, 100)]
)
def test_another_data_set_of_the_study_needs_two_lines(
    tmp_path: Path, name: str, size: int, epochs: int
) -> None:
    """Those that the head of the wide file gives."""
    text = (FOLDER / "lucic2018_wide.yaml").read_text()
    line = f"data: {{name: {name}, resolution: {size}}}"
    assert f"{line} and epochs: {epochs}" in " ".join(text.split())
    changed = text.replace("\n  data: {name: mnist, resolution: 28}", f"\n  {line}")
    changed = changed.replace("\n  epochs: 17", f"\n  epochs: {epochs}")
    (tmp_path / "other.yaml").write_text(changed)
    trials = make_plan(load(tmp_path / "other.yaml")).trials
    assert {(t.config["data"]["name"], t.epochs) for t in trials} == {(name, epochs)}
    assert len(trials) == 600


def test_kurachs_settings_are_all_combinations_of_rates_and_triples() -> None:
    """Both players alike; the arm with a penalty has two weights more."""
    plan = make_plan(load(FOLDER / "kurach2019.yaml"))
    settings: dict[tuple[str, str], set[Any]] = {}
    for trial in plan.trials:
        generator, discriminator = trial.config["generator"], dict(trial.config["discriminator"])
        steps = discriminator.pop("steps")
        assert generator == discriminator
        triple = (generator["beta1"], generator["beta2"], steps)
        arm = (trial.config["model"]["norm"], trial.config["penalty"]["name"])
        weight = trial.config["penalty"].get("weight")
        settings.setdefault(arm, set()).add((generator["lr"], triple, weight))
    triples = [(0.5, 0.9, 5), (0.5, 0.999, 1), (0.5, 0.999, 5), (0.9, 0.999, 5)]
    rates = [1e-4, 2e-4, 1e-3]
    plain = set(product(rates, triples, [None]))
    assert settings == {
        ("none", "none"): plain,
        ("spectral", "none"): plain,
        ("spectral", "wgan_gp"): set(product(rates, triples, [1, 10])),
    }
    assert len(plan.trials) == 12 + 12 + 24


def first_of_each_arm() -> list[Any]:
    files = ("lucic2018_wide", "kurach2019")
    trials = [t for file in files for t in make_plan(load(FOLDER / f"{file}.yaml")).trials]
    return list({(t.config["model"]["name"], t.arm): t for t in reversed(trials)}.values())


@pytest.mark.parametrize("trial", [pytest.param(t, id=t.uid) for t in first_of_each_arm()])
def test_the_first_trial_of_each_arm_takes_a_step(trial: Any) -> None:
    """Every weight of both players moves, as the plan has it but for the width.

    But for the last bias of a critic, which cancels in the difference that it maximises.
    """
    run = RunConfig.of({**trial.config, "model": {**trial.config["model"], "width": 8}})
    shape = ImageShape(3, 32) if run.data.name == "cifar10" else ImageShape(1, 28)
    system: Any = systems.build("adversarial", run, Material(run, torch.device("cpu"), shape=shape))
    system.begin_epoch(1, 0.0)
    players = {"generator": system.generator, "discriminator": system.discriminator}
    before = {
        (name, key): parameter.detach().clone()
        for name, player in players.items()
        for key, parameter in player.network.named_parameters()
    }
    random = torch.Generator().manual_seed(0)
    for _ in range(run.discriminator.steps):
        system.step(torch.rand(8, shape[0], shape[1], shape[1], generator=random) * 2 - 1)
    assert system.alive()
    still = {
        (name, key)
        for name, player in players.items()
        for key, parameter in player.network.named_parameters()
        if torch.equal(parameter, before[name, key])
    }
    critic = run.loss.name in ("wasserstein", "wasserstein_gp")
    assert still == ({("discriminator", "head.bias")} if critic else set())
