"""The layers at the edge of the networks are the library's, computed another way."""

import pytest
import torch
from torch import Tensor, nn

from gancore.models.blocks import (
    Dropout,
    EdgeConv2d,
    EdgeConvTranspose2d,
    Flat,
    FromLatent,
    Noise,
    fit_to_data,
)
from gancore.models.noisy import UnitConv2d, UnitLinear

WINDOWS = [(4, 2, 1), (3, 1, 1), (5, 3, 2), (1, 1, 0)]
DOUBLE = torch.float64


def thrice(layer: nn.Module, x: Tensor) -> list[Tensor]:
    """Output, gradients, and gradients of the gradient's square: what a penalty needs."""
    x = x.clone().requires_grad_()
    y = layer(x)
    parameters = list(layer.parameters())
    first = torch.autograd.grad(y.pow(3).sum(), [x, *parameters], create_graph=True)
    second = torch.autograd.grad(first[0].square().sum(), [x, *parameters])
    return [y, *first, *second]


@pytest.mark.parametrize(("kernel", "stride", "padding"), WINDOWS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_convolution(channels: int, kernel: int, stride: int, padding: int) -> None:
    ours = EdgeConv2d(channels, 6, kernel, stride=stride, padding=padding).to(DOUBLE)
    theirs = nn.Conv2d(channels, 6, kernel, stride, padding).to(DOUBLE)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, channels, 9, 11, dtype=DOUBLE)
    torch.testing.assert_close(ours.product(x), theirs(x))
    for one, other in zip(thrice(ours, x), thrice(theirs, x), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(("kernel", "stride", "padding"), WINDOWS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_transposed_convolution(channels: int, kernel: int, stride: int, padding: int) -> None:
    ours = EdgeConvTranspose2d(6, channels, kernel, stride=stride, padding=padding).to(DOUBLE)
    theirs = nn.ConvTranspose2d(6, channels, kernel, stride, padding).to(DOUBLE)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 6, 5, 7, dtype=DOUBLE)
    torch.testing.assert_close(ours.product(x), theirs(x))
    for one, other in zip(thrice(ours, x), thrice(theirs, x), strict=True):
        torch.testing.assert_close(one, other)


def test_the_first_layer_is_a_transposed_convolution_of_one_pixel() -> None:
    ours = FromLatent(10, 6).to(DOUBLE)
    theirs = nn.ConvTranspose2d(10, 6, 4).to(DOUBLE)
    with torch.no_grad():  # [4 * 4 * 6, 10] -> [10, 6, 4, 4]
        theirs.weight.copy_(ours.weight.view(4, 4, 6, 10).permute(3, 2, 0, 1))
        theirs.bias.zero_()  # type: ignore[union-attr]
        ours.bias.zero_()
    latents = torch.randn(3, 10, dtype=DOUBLE)
    torch.testing.assert_close(ours(latents), theirs(latents.view(3, 10, 1, 1)))


def test_a_head_on_a_flat_map_is_a_convolution_that_covers_the_map() -> None:
    ours = nn.Sequential(Flat(), nn.Linear(4 * 4 * 6, 1)).to(DOUBLE)
    theirs = nn.Conv2d(6, 1, 4).to(DOUBLE)
    with torch.no_grad():
        theirs.weight.copy_(ours[1].weight.view(1, 4, 4, 6).permute(0, 3, 1, 2))
        theirs.bias.copy_(ours[1].bias)  # type: ignore[union-attr]
    x = torch.randn(3, 6, 4, 4, dtype=DOUBLE)
    torch.testing.assert_close(ours(x), theirs(x).flatten(1))


@pytest.mark.parametrize("layer", [Noise(0.5), Dropout(0.5)])
def test_a_layer_that_draws_has_a_stream_of_its_own(layer: Noise | Dropout) -> None:
    x = torch.ones(4, 100)
    layer.random = torch.Generator().manual_seed(1)
    drawn = layer.train()(x)
    layer.random = torch.Generator().manual_seed(1)
    torch.manual_seed(7)
    torch.testing.assert_close(layer(x), drawn, rtol=0, atol=0)
    assert drawn.std() == pytest.approx({Noise: 0.5, Dropout: 1.0}[type(layer)], rel=0.1)
    assert drawn.mean() == pytest.approx(1, abs=0.15)  # What is expected is unchanged.
    torch.testing.assert_close(layer.eval()(x), x, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (UnitLinear(30, 8), torch.randn(200, 30) + 2),
        (UnitConv2d(3, 8, 3, padding=1), torch.randn(20, 3, 6, 6) * 4 + 2),
    ],
)
def test_weight_norm_fitted_to_data(layer: UnitLinear | UnitConv2d, x: Tensor) -> None:
    fit_to_data(layer, x)
    deviation, mean = torch.std_mean(layer(x).transpose(0, 1).flatten(1), 1)
    torch.testing.assert_close(mean, torch.zeros(8), atol=1e-5, rtol=0)
    torch.testing.assert_close(deviation, torch.ones(8))
    before = layer(x)
    with torch.no_grad():
        layer.weight *= 3  # Only the direction of a row counts.
    torch.testing.assert_close(layer(x), before)
    layer.requires_grad_(True)
    assert "length" not in dict(layer.named_parameters())
