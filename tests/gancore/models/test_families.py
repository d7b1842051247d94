"""What every model family promises, over resolutions, channels and norms."""

import copy
import math

import pytest
import torch
from torch import nn

from gancore.models import ImageShape, models

NORMS = ("none", "batch", "layer", "spectral")
CASES = [
    ("dcgan", {"width": 4}, 8),
    ("dcgan", {"width": 4}, 16),
    ("dcgan", {"width": 4}, 32),
    ("dcgan", {"width": 2, "max_width": 8}, 128),
    ("infogan", {"width": 4, "hidden": 16}, 12),
    ("sndcgan", {"width": 4}, 24),
    ("resnet", {"width": 4}, 8),
    ("resnet", {"width": 4}, 32),
    ("resnet", {"width": 2, "max_width": 4}, 128),
    ("mlp", {"width": 16}, 8),
    ("mlp", {"width": 16, "depth": 3}, 13),
]
NORMED = ("dcgan", "resnet", "mlp", "infogan", "sndcgan")

SMALL: dict[str, dict[str, object]] = {
    "cycle": {"width": 4, "blocks": 2},
    "dcgan": {"width": 4},
    "infogan": {"width": 4, "hidden": 16},
    "sndcgan": {"width": 4},
    "maxout": {"width": 16, "units": 8},
    "mlp": {"width": 16},
    "noisy_cnn": {"width": 4, "generator_width": 4},
    "noisy_mlp": {"width": 0.05},
    "progan": {"capacity": 64, "max_width": 8},
    "r3gan": {"width": 8, "group": 4},
    "resnet": {"width": 4},
}
"""Options with which a network is quickly made; a new family needs an entry."""

DRAWERS = [n for n in models.names() if n != "cycle"]
"""Families whose generators turn latents into pictures."""


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("name", "options", "resolution"), CASES)
def test_both_players_keep_their_promise(
    name: str, options: dict[str, int], resolution: int, norm: str, channels: int
) -> None:
    family = models.build(name, norm=norm, **options)
    shape = ImageShape(channels, resolution)
    generator, discriminator = family.generator(10, shape), family.discriminator(shape)
    pictures = generator(torch.randn(4, 10))
    assert pictures.shape == (4, channels, resolution, resolution)
    assert pictures.abs().max() <= 1
    logits = discriminator(pictures)
    assert logits.shape == (4,)
    logits.sum().backward()
    # Every weight of both players learns; none is made for nothing.
    for network in (generator, discriminator):
        for key, parameter in network.named_parameters():
            assert parameter.grad is not None, key
            assert torch.isfinite(parameter.grad).all(), key


@pytest.mark.parametrize("norm", ["none", "layer", "spectral"])
@pytest.mark.parametrize("name", NORMED)
def test_a_gradient_penalty_reaches_every_layer(name: str, norm: str) -> None:
    """The gradient of the squared slope with respect to the weights: double backward."""
    family = models.build(name, norm=norm, width=8)
    discriminator = family.discriminator(ImageShape(1, 16))
    pictures = torch.randn(3, 1, 16, 16, requires_grad=True)
    (slope,) = torch.autograd.grad(discriminator(pictures).sum(), pictures, create_graph=True)
    slope.square().sum().backward()
    weights = {k: p for k, p in discriminator.named_parameters() if p.dim() > 1}
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in weights.values())


@pytest.mark.parametrize("norm", ["none", "layer", "spectral"])
@pytest.mark.parametrize("name", NORMED)
def test_without_batch_norm_a_logit_depends_on_its_own_picture_alone(name: str, norm: str) -> None:
    discriminator = models.build(name, norm=norm, width=8).discriminator(ImageShape(1, 16)).eval()
    pictures = torch.randn(4, 1, 16, 16)
    torch.testing.assert_close(discriminator(pictures)[:1], discriminator(pictures[:1]))


@pytest.mark.parametrize("name", NORMED)
def test_spectral_norm_bounds_every_layer(name: str) -> None:
    discriminator = models.build(name, norm="spectral", width=8).discriminator(ImageShape(3, 16))
    for _ in range(30):  # one power iteration each
        discriminator(torch.randn(2, 3, 16, 16))
    layers = [m for m in discriminator.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert layers
    for layer in layers:
        largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), ord=2)
        assert largest.item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", NORMED)
def test_a_copy_of_a_player_judges_alike(name: str, norm: str) -> None:
    discriminator = models.build(name, norm=norm, width=4).discriminator(ImageShape(1, 8)).eval()
    pictures = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(copy.deepcopy(discriminator)(pictures), discriminator(pictures))


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("resolution", [8, 16, 32])
@pytest.mark.parametrize("name", DRAWERS)
def test_every_family_plays(name: str, resolution: int, channels: int) -> None:
    family, shape = models.build(name, **SMALL[name]), ImageShape(channels, resolution)
    generator, discriminator = family.generator(10, shape), family.discriminator(shape)
    pictures = generator(torch.randn(4, 10))
    assert pictures.shape == (4, channels, resolution, resolution)
    assert discriminator(pictures).shape == (4,)
    features = discriminator.features(pictures)
    assert features.shape == (4, discriminator.width)
    assert discriminator.new_head(7)(features).shape == (4, 7)


@pytest.mark.parametrize("name", DRAWERS)
def test_every_logit_has_a_slope(name: str) -> None:
    """Gradient penalties differentiate twice, through every family."""
    discriminator = models.build(name, **SMALL[name]).discriminator(ImageShape(1, 16))
    pictures = torch.randn(4, 1, 16, 16, requires_grad=True)
    (slope,) = torch.autograd.grad(discriminator(pictures).sum(), pictures, create_graph=True)
    slope.square().sum().backward()
    weights = [p.grad for p in discriminator.parameters() if p.dim() > 1 and p.grad is not None]
    assert any(bool(grad.abs().sum() > 0) for grad in weights)


def _turned(default: object) -> object:
    match default:
        case bool():
            return not default
        case int() | float():
            return default / 2 if 0 < default < 1 else type(default)(default * 2)
        case None:
            return 3
        case _:
            return "layer"


@pytest.mark.parametrize(
    ("name", "option"), [(n, key) for n in models.names() for key in models.options(n)]
)
def test_every_option_changes_the_networks(name: str, option: str) -> None:
    """Their structure, as PyTorch writes it; what is no layer's argument shows in the sizes."""
    value = {"capacity": 64, "layers": 2, "max_width": 8, "hidden_noise": 0.7}.get(
        option, _turned(models.options(name)[option].default)
    )
    shape = ImageShape(1, 32)

    def told(family: object) -> list[object]:
        players = [family.generator(8, shape), family.discriminator(shape)]  # type: ignore[attr-defined]
        modules = [m for network in players for m in network.modules()]
        own = [sorted((k, v) for k, v in vars(m).items() if k[0] != "_") for m in modules]
        facts = [[(k, v) for k, v in each if isinstance(v, int | float | str)] for each in own]
        sizes = [p.shape for network in players for p in network.parameters()]
        return [*map(type, modules), *facts, *sizes]

    assert told(models.build(name)) != told(models.build(name, **{option: value}))


def test_the_dcgan_of_the_paper_has_its_layers() -> None:
    """Figure 1 of the paper: 1024-512-256-128 channels from 4x4 to 64x64 pixels."""
    family = models.build("dcgan", width=128, max_width=1024, norm="batch")
    generator = family.generator(100, ImageShape(3, 64))
    maps = [m.in_channels for m in generator.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert maps == [1024, 512, 256, 128]
    discriminator = family.discriminator(ImageShape(3, 64))
    norms = [m for m in discriminator.modules() if isinstance(m, nn.BatchNorm2d)]
    assert [m.num_features for m in norms] == [256, 512, 1024]


def test_the_dcgan_begins_with_the_papers_weights() -> None:
    generator = models.build("dcgan").generator(100, ImageShape(1, 32))
    for module in generator.modules():
        if isinstance(module, nn.ConvTranspose2d | nn.Linear) and module.weight.numel() > 10_000:
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.03)


def test_the_resnet_of_cifar_has_the_papers_size() -> None:
    """SN-GAN's generator at 32 pixels: 256 channels throughout, about 4.3 million weights."""
    generator = models.build("resnet", width=256).generator(128, ImageShape(3, 32))
    assert sum(p.numel() for p in generator.parameters()) / 1e6 == pytest.approx(4.3, abs=0.4)


@pytest.mark.parametrize("name", DRAWERS)
def test_what_comes_out_first_is_neither_flat_nor_saturated(name: str) -> None:
    """A generator that begins at the ends of tanh cannot learn, one at a constant barely."""
    generator = models.build(name).generator(64, ImageShape(1, 32))
    pictures = generator(torch.randn(16, 64))
    assert 0.005 < pictures.std().item() < 1.5
    assert math.isfinite(pictures.sum().item())
