"""The GANs of the papers by name: `system: wgan_gp` needs nothing else.

A preset says what a `RunConfig` is where the user says nothing else: networks, optimisers and sizes
as the paper or its authors' code have them. Latents are Gaussian in all, where some papers draw
them uniformly.
"""

from __future__ import annotations

from typing import Any, ClassVar

from gancore.systems.adversarial import Adversarial
from gancore.systems.registry import systems


@systems.register("mmgan")
class MinimaxGAN(Adversarial):
    """The first GAN (Goodfellow et al. 2014, arXiv:1406.2661) with its saturating game, equation 1.

    Networks and settings are those of the authors' code for MNIST: a generator of ReLUs, a maxout
    discriminator with dropout, stochastic gradient descent with momentum, batches of 100. The
    discriminator's rate is half of theirs, since its loss is twice theirs. Their rates fall by
    4e-6 a step and their momentum rises to 0.7; here both stay.
    """

    preset: ClassVar[dict[str, Any]] = {
        "loss": "minimax",
        "model": "maxout",
        "generator": {"optimizer": "sgd", "lr": 0.1, "beta1": 0.5},
        "discriminator": {"optimizer": "sgd", "lr": 0.05, "beta1": 0.5},
        "latent": 100,
        "batch": 100,
        "ema_kimg": 0,
    }


@systems.register("nsgan")
class NonSaturatingGAN(Adversarial):
    """The first GAN with the generator's loss that its section 3 advises (arXiv:1406.2661).

    It is the one that the authors' code has; all else as in `mmgan`.
    """

    preset: ClassVar[dict[str, Any]] = {
        "loss": "nonsaturating",
        "model": "maxout",
        "generator": {"optimizer": "sgd", "lr": 0.1, "beta1": 0.5},
        "discriminator": {"optimizer": "sgd", "lr": 0.05, "beta1": 0.5},
        "latent": 100,
        "batch": 100,
        "ema_kimg": 0,
    }


@systems.register("dcgan")
class DeepConvolutionalGAN(Adversarial):
    """DCGAN (Radford et al. 2016, arXiv:1511.06434, section 4).

    Batch norm in both players, weights from N(0, 0.02), Adam at 2e-4 with beta1 0.5, batches of
    128; at 64 pixels 1,024 channels where the generator begins.
    """

    preset: ClassVar[dict[str, Any]] = {
        "loss": "nonsaturating",
        "model": {"name": "dcgan", "width": 128, "max_width": 1024, "norm": "batch"},
        "generator": {"lr": 2e-4, "beta1": 0.5},
        "discriminator": {"lr": 2e-4, "beta1": 0.5},
        "latent": 100,
        "batch": 128,
        "ema_kimg": 0,
    }


@systems.register("wgan")
class WassersteinGAN(Adversarial):
    """WGAN (Arjovsky et al. 2017, arXiv:1701.07875, algorithm 1).

    DCGAN's networks in the sizes of the authors' code, RMSProp at 5e-5 without momentum, weights in
    [-0.01, 0.01], five critic steps, where their code now and then has 100.
    """

    preset: ClassVar[dict[str, Any]] = {
        "loss": {"name": "wasserstein", "clip": 0.01},
        "model": {"name": "dcgan", "width": 64, "norm": "batch"},
        "generator": {"optimizer": "rmsprop", "lr": 5e-5, "beta1": 0.0, "beta2": 0.99},
        "discriminator": {
            "optimizer": "rmsprop",
            "lr": 5e-5,
            "beta1": 0.0,
            "beta2": 0.99,
            "steps": 5,
        },
        "latent": 100,
        "batch": 64,
        "ema_kimg": 0,
    }


@systems.register("wgan_gp")
class WassersteinGANWithPenalty(Adversarial):
    """WGAN-GP (Gulrajani et al. 2017, arXiv:1704.00028, algorithm 1 and appendix F).

    The settings of their residual networks for CIFAR-10: 128 channels, Adam at 2e-4 (betas 0 and
    0.9) falling to 0, lambda 10, five critic steps, batches of 64. Their generator's batches are
    twice as large, and their critic takes the mean over 8x8 places where `resnet` sums over 4x4.
    """

    preset: ClassVar[dict[str, Any]] = {
        "loss": {"name": "wasserstein_gp", "gp_weight": 10.0},
        "model": {"name": "resnet", "width": 128},
        "generator": {"lr": 2e-4, "beta1": 0.0, "beta2": 0.9},
        "discriminator": {"lr": 2e-4, "beta1": 0.0, "beta2": 0.9, "steps": 5},
        "lr_decay": "linear",
        "latent": 128,
        "batch": 64,
        "ema_kimg": 0,
    }


@systems.register("r3gan")
class RegularisedRelativisticGAN(Adversarial):
    """R3GAN (Huang et al. 2024, arXiv:2501.05441): a modern baseline without tricks.

    The relativistic pairing loss with R1 and R2, residual networks without normalisation, Adam with
    beta1 0 and an average of the generator. Batch, first rate, last beta2 and last half-life are
    those of their FFHQ at 64 pixels; their gamma lies between 150 and 0.005, by the data. The
    authors anneal rate, gamma, beta2 and half-life over the run; here the rate falls by a cosine,
    and the others stay.
    """

    preset: ClassVar[dict[str, Any]] = {
        "loss": "relativistic_pairing",
        "penalty": {"name": "r1_r2", "weight": 1.0},
        "model": "r3gan",
        "generator": {"lr": 2e-4, "beta1": 0.0, "beta2": 0.99},
        "discriminator": {"lr": 2e-4, "beta1": 0.0, "beta2": 0.99},
        "lr_decay": "cosine",
        "latent": 64,
        "batch": 256,
        "ema_kimg": 500,
    }
