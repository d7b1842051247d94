"""ProGAN's networks against table 2 and the sections of the paper (arXiv:1710.10196)."""

import subprocess
import sys
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gancore.models import ImageShape, models
from gancore.models.progan import EqualConv2d, EqualLinear, MinibatchDeviation, PixelNorm

TABLE_2_GENERATOR = [
    # resolution, channels after its convolutions
    (4, 512),
    (8, 512),
    (16, 512),
    (32, 512),
    (64, 256),
    (128, 128),
    (256, 64),
    (512, 32),
    (1024, 16),
]


def built(resolution: int = 16, **options: int) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    family = models.build("progan", **{"capacity": 64, "max_width": 8, **options})
    shape = ImageShape(3, resolution)
    return family.generator(12, shape), family.discriminator(shape)


def test_the_layers_and_parameters_at_1024_pixels_are_the_papers() -> None:
    """Table 2: 23.1M trainable parameters in each player."""
    with torch.device("meta"):
        family = models.build("progan")
        shape = ImageShape(3, 1024)
        generator, discriminator = family.generator(512, shape), family.discriminator(shape)
    outputs = [stage[-3].out_channels for stage in generator.stages]
    resolutions = [4 * 2**n for n in range(len(generator.stages))]
    assert list(zip(resolutions, outputs, strict=True)) == TABLE_2_GENERATOR
    for network in (generator, discriminator):
        assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(23.1, abs=0.05)
    # Each stage of the discriminator but the last: conv R -> R, conv R -> R / 2, halving.
    convolutions = [
        [(m.in_channels, m.out_channels) for m in stage if isinstance(m, nn.Conv2d)]
        for stage in discriminator.stages
    ]
    widths = [width for _, width in TABLE_2_GENERATOR]
    pairs = pairwise(widths)
    assert convolutions[1:] == [[(fine, fine), (fine, coarse)] for coarse, fine in pairs]
    assert convolutions[0] == [(513, 512)]  # The standard deviation is one more channel.


@pytest.mark.slow
def test_one_step_at_1024_pixels_fits_into_20_gigabytes() -> None:
    """Forward and backward of both players at batch 1, with the gradient penalty."""
    code = """
import resource, torch
from gancore.models import ImageShape, models
family, shape = models.build("progan"), ImageShape(3, 1024)
generator, discriminator = family.generator(512, shape), family.discriminator(shape)
pictures = generator(torch.randn(1, 512))
(-discriminator(pictures).mean()).backward()
real = torch.rand(1, 3, 1024, 1024, requires_grad=True)
logits = discriminator(real)
(slope,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
(10 * (slope.flatten(1).norm(dim=1) - 1) ** 2 - logits).mean().backward()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)
"""
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert 1 < float(told.stdout) < 20


@pytest.mark.parametrize("resolution", [8, 16])
def test_alpha_0_is_the_stage_before_and_alpha_1_the_stage(resolution: int) -> None:
    generator, discriminator = built()
    latents = torch.randn(4, 12)
    generator.grow(resolution // 2, 1.0)
    coarse = generator(latents)
    generator.grow(resolution, 0.0)
    begun = generator(latents)
    torch.testing.assert_close(begun, F.interpolate(coarse, scale_factor=2, mode="nearest"))
    generator.grow(resolution, 1.0)
    grown = generator(latents)
    generator.grow(resolution, 0.25)
    torch.testing.assert_close(generator(latents), 0.75 * begun + 0.25 * grown)

    pictures = torch.randn(4, 3, resolution, resolution)
    discriminator.grow(resolution // 2, 1.0)
    before = discriminator(F.avg_pool2d(pictures, 2))
    discriminator.grow(resolution, 0.0)
    torch.testing.assert_close(discriminator(pictures), before)


def test_minibatch_deviation_is_zero_on_copies_and_right_on_two() -> None:
    layer = MinibatchDeviation(4)
    same = torch.randn(1, 3, 5, 5).expand(4, -1, -1, -1)
    told = layer(same)
    assert told.shape == (4, 4, 5, 5)
    torch.testing.assert_close(told[:, 3], torch.full((4, 5, 5), 1e-4), atol=1e-6, rtol=0)
    apart = torch.stack([torch.zeros(3, 5, 5), torch.full((3, 5, 5), 2.0)])
    torch.testing.assert_close(layer(apart)[:, 3], torch.ones(2, 5, 5))


def test_minibatch_deviation_takes_groups_that_divide_the_batch() -> None:
    for count in range(1, 10):
        assert MinibatchDeviation(4)(torch.randn(count, 2, 3, 3)).shape == (count, 3, 3, 3)


def test_group_0_leaves_the_minibatch_deviation_out() -> None:
    _, discriminator = built(group=0)
    assert not any(isinstance(m, MinibatchDeviation) for m in discriminator.modules())


def test_pixel_norm_has_unit_mean_square_and_stands_in_the_generator_only() -> None:
    vectors = PixelNorm()(torch.randn(4, 7, 3, 3) * 9)
    torch.testing.assert_close(vectors.square().mean(1), torch.ones(4, 3, 3))
    generator, discriminator = built()
    assert any(isinstance(m, PixelNorm) for m in generator.modules())
    assert not any(isinstance(m, PixelNorm) for m in discriminator.modules())


@pytest.mark.parametrize("layer", [EqualConv2d(48, 64, 3, padding=1), EqualLinear(48, 64)])
def test_an_equalised_layer_keeps_the_size_of_what_passes(layer: nn.Module) -> None:
    """He's constant at run time: weights are N(0, 1), outputs of a unit input have variance 2."""
    torch.manual_seed(0)
    assert layer.weight.std().item() == pytest.approx(1, rel=0.05)  # type: ignore[union-attr, operator]
    x = torch.randn(64, 48, 8, 8) if isinstance(layer, nn.Conv2d) else torch.randn(4096, 48)
    inner = layer(x)[..., 2:6, 2:6] if isinstance(layer, nn.Conv2d) else layer(x)
    assert inner.var().item() == pytest.approx(2, rel=0.1)


def test_layers_that_are_not_reached_yet_get_no_gradient() -> None:
    generator, discriminator = built()
    for network in (generator, discriminator):
        network.grow(8, 1.0)
    discriminator(generator(torch.randn(2, 12))).sum().backward()
    assert all(p.grad is None for p in generator.stages[2].parameters())
    assert all(p.grad is None for p in discriminator.stages[2].parameters())
