"""Families of one paper against its layers: the first GAN's, Salimans' and R3GAN's."""

import pytest
import torch
from torch import nn

from gancore.models import ImageShape, models
from gancore.models.blocks import Dropout, Noise
from gancore.models.maxout import Maxout
from gancore.models.noisy import Fitted, UnitConv2d, UnitLinear
from gancore.models.r3gan import Block


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_a_maxout_unit_is_the_largest_of_its_pieces() -> None:
    told = Maxout(3)(torch.tensor([[1.0, 5, 2, -1, -3, -2]]))
    assert told.tolist() == [[5, -1]]


def test_the_first_gan_has_the_layers_of_its_authors_code() -> None:
    """mnist.yaml: 100-1200-1200-784 of ReLUs; 784-240-240-1 of maxout units with 5 pieces."""
    family = models.build("maxout")
    generator = family.generator(100, ImageShape(1, 28))
    discriminator = family.discriminator(ImageShape(1, 28))
    sizes = [
        [(m.in_features, m.out_features) for m in network.modules() if isinstance(m, nn.Linear)]
        for network in (generator, discriminator)
    ]
    assert sizes[0] == [(100, 1200), (1200, 1200), (1200, 784)]
    assert sizes[1] == [(784, 1200), (240, 1200), (240, 1)]
    shares = [m.share for m in discriminator.modules() if isinstance(m, Dropout)]
    assert shares == [0.2, 0.5, 0.5]
    for network, bound in ((generator, 0.05), (discriminator, 0.005)):
        for layer in network.modules():
            if isinstance(layer, nn.Linear):
                assert layer.weight.abs().max().item() == pytest.approx(bound, rel=0.05)
                assert not layer.bias.any()


def test_the_noisy_mlp_has_the_layers_of_its_authors_code() -> None:
    """train_mnist_feature_matching.py: 784-1000-500-250-250-250 with noise before each; 10 more."""
    family = models.build("noisy_mlp")
    discriminator = family.discriminator(ImageShape(1, 28))
    body = [m for m in discriminator.body.modules() if isinstance(m, UnitLinear | Noise)]
    told = [m.out_features if isinstance(m, UnitLinear) else m.deviation for m in body]
    assert told == [0.3, 1000, 0.5, 500, 0.5, 250, 0.5, 250, 0.5, 250]
    noise, head = discriminator.new_head(10)
    assert (noise.deviation, head.out_features) == (0.5, 10)
    # Only the head learns the length of its rows.
    lengths = {n for n, _ in discriminator.named_parameters() if n.endswith("length")}
    assert lengths == {"head.1.length"}
    assert isinstance(head.length, nn.Parameter)
    generator = family.generator(100, ImageShape(1, 28))
    widths = [m.out_features for m in generator.modules() if isinstance(m, nn.Linear)]
    assert widths == [500, 500, 784]
    assert sum(isinstance(m, nn.BatchNorm1d) for m in generator.modules()) == 2


def test_the_noisy_cnn_has_the_layers_of_its_authors_code() -> None:
    """train_cifar_feature_matching.py: nine convolutions and dropout; deconvolutions by 5x5."""
    family = models.build("noisy_cnn")
    discriminator = family.discriminator(ImageShape(3, 32))
    told = [
        (m.out_channels, m.kernel_size[0], m.stride[0], m.padding[0])
        for m in discriminator.modules()
        if isinstance(m, UnitConv2d)
    ]
    assert told == [
        *[(96, 3, 1, 1), (96, 3, 1, 1), (96, 3, 2, 1)],
        *[(192, 3, 1, 1), (192, 3, 1, 1), (192, 3, 2, 1)],
        *[(192, 3, 1, 0), (192, 1, 1, 0), (192, 1, 1, 0)],
    ]
    shares = [m.share for m in discriminator.modules() if isinstance(m, Dropout)]
    assert shares == [0.2, 0.5, 0.5]
    generator = family.generator(100, ImageShape(3, 32))
    deconvolutions = [m for m in generator.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert [(m.in_channels, m.out_channels) for m in deconvolutions] == [
        *[(512, 256), (256, 128), (128, 3)]
    ]
    assert {m.kernel_size for m in deconvolutions} == {(5, 5)}


@pytest.mark.parametrize("name", ["noisy_mlp", "noisy_cnn"])
def test_noise_is_for_learning_alone(name: str) -> None:
    discriminator = models.build(name).discriminator(ImageShape(1, 8))
    pictures = torch.randn(3, 1, 8, 8)
    assert not torch.equal(discriminator(pictures), discriminator(pictures))
    discriminator.eval()
    assert torch.equal(discriminator(pictures), discriminator(pictures))
    assert any(isinstance(m, Fitted) for m in discriminator.modules())


def test_r3gan_has_as_many_weights_as_its_authors_networks_for_cifar() -> None:
    """Networks.py there, preset CIFAR10 of train.py: 768 channels at four resolutions, 2 blocks,
    twice as many channels within, groups of 16; we add a bias to the layers beside pictures and to
    the head.
    """
    with torch.device("meta"):
        family = models.build("r3gan", width=768, max_width=768, blocks=2, expansion=2, group=16)
        generator = family.generator(64, ImageShape(3, 32))
        discriminator = family.discriminator(ImageShape(3, 32))
    block = 2 * 768 * 1536 + 1536 * 16 * 9 + 2 * 1536
    assert count(generator) == 16 * 768 + 64 * 768 + 8 * block + 3 * 768 + 3
    assert count(discriminator) == (3 * 768 + 768) + 8 * block + 16 * 768 + (768 + 1)


def test_an_r3gan_block_begins_as_the_identity_and_keeps_what_passes_it_in_size() -> None:
    """Fixup: the last layer is 0, the others are L^(-1/4) times He's for a leaky ReLU."""
    torch.manual_seed(0)
    block = Block(64, 2, 16, depth=16)
    x = torch.randn(8, 64, 12, 12)
    assert torch.equal(block(x), x)
    entered = block.enter(x)
    assert entered.var().item() == pytest.approx(2 / 1.04 * 16**-0.5, rel=0.05)
    # Through the leaky ReLU and on, the mean square is what it was, but for L^(-1/2) again.
    active = nn.functional.leaky_relu(entered, 0.2)
    mixed = block.mix(active)[:, :, 1:-1, 1:-1]
    assert mixed.square().mean().item() == pytest.approx(
        entered.square().mean().item() * 16**-0.5, rel=0.1
    )
