"""The layers at the edge of the networks are the library's, computed another way."""

import pytest
import torch
from torch import Tensor, nn

from gancore.models.blocks import EdgeConv2d, EdgeConvTranspose2d, FromLatent, ToLogit

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


def test_the_last_layer_is_a_convolution_that_covers_the_map() -> None:
    ours = ToLogit(6).to(DOUBLE)
    theirs = nn.Conv2d(6, 1, 4).to(DOUBLE)
    with torch.no_grad():
        theirs.weight.copy_(ours.weight.view(1, 4, 4, 6).permute(0, 3, 1, 2))
        theirs.bias.copy_(ours.bias)  # type: ignore[union-attr]
    x = torch.randn(3, 6, 4, 4, dtype=DOUBLE)
    torch.testing.assert_close(ours(x), theirs(x).flatten())
