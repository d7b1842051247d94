"""CycleGAN's networks against appendix 7.2 of the paper (arXiv:1703.10593)."""

import pytest
import torch
from torch import nn

from gancore.models import ImageShape, models
from gancore.models.cycle import Block


def test_the_256_pixel_networks_have_the_papers_layers() -> None:
    with torch.device("meta"):
        family, shape = models.build("cycle"), ImageShape(3, 256)
        translator, judge = family.generator(0, shape), family.discriminator(shape)
    convolutions = [
        (m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0])
        for m in translator
        if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)
    ]
    assert convolutions == [
        (3, 64, 7, 1),  # c7s1-64
        (64, 128, 3, 2),  # d128
        (128, 256, 3, 2),  # d256
        (256, 128, 3, 2),  # u128
        (128, 64, 3, 2),  # u64
        (64, 3, 7, 1),  # c7s1-3
    ]
    assert sum(isinstance(m, Block) for m in translator) == 9  # R256
    assert sum(p.numel() for p in translator.parameters()) == 11_378_179
    layers = [(m.out_channels, m.stride[0]) for m in judge if isinstance(m, nn.Conv2d)]
    assert layers == [(64, 2), (128, 2), (256, 2), (512, 1), (1, 1)]  # C64-C128-C256-C512
    assert sum(p.numel() for p in judge.parameters()) == 2_764_737


@pytest.mark.parametrize(("layers", "seen"), [(1, 16), (2, 34), (3, 70)])
def test_a_logit_sees_a_patch(layers: int, seen: int) -> None:
    """By the gradient of one logit; instance norm, which sees all, is taken out."""
    torch.manual_seed(0)
    judge = models.build("cycle", width=2, layers=layers).discriminator(ImageShape(1, 128))
    plain = nn.Sequential(*(m for m in judge if not isinstance(m, nn.InstanceNorm2d)))
    for parameter in plain.parameters():
        nn.init.uniform_(parameter, 0.1, 0.2)
    pictures = torch.ones(1, 1, 128, 128, requires_grad=True)
    logits = plain(pictures)
    middle = logits.shape[1] // 2
    (slope,) = torch.autograd.grad(logits[0, middle, middle], pictures)
    rows = slope[0, 0].abs().sum(1).nonzero()
    assert rows.max() - rows.min() + 1 == seen


@pytest.mark.parametrize("resolution", [8, 16, 28, 32])
def test_a_translator_keeps_the_shape(resolution: int) -> None:
    family, shape = models.build("cycle", width=4, layers=1), ImageShape(1, resolution)
    translated = family.generator(0, shape)(torch.randn(2, 1, resolution, resolution))
    assert translated.shape == (2, 1, resolution, resolution)
    assert translated.abs().max() <= 1
    assert family.discriminator(shape)(translated).dim() == 3


@pytest.mark.parametrize(("resolution", "blocks"), [(128, 6), (256, 9)])
def test_the_number_of_blocks_follows_the_resolution(resolution: int, blocks: int) -> None:
    with torch.device("meta"):
        translator = models.build("cycle").generator(0, ImageShape(3, resolution))
    assert sum(isinstance(m, Block) for m in translator) == blocks
