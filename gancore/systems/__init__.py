"""What one training step is: the GAN systems, one a file."""

from gancore.systems import (
    adversarial,
    conditional,
    cycle,
    presets,
    progressive,
    semi_supervised,
)
from gancore.systems.latent import FromLatents
from gancore.systems.material import Material
from gancore.systems.registry import Product, Staged, System, systems

__all__ = [
    "FromLatents",
    "Material",
    "Product",
    "Staged",
    "System",
    "adversarial",
    "conditional",
    "cycle",
    "presets",
    "progressive",
    "semi_supervised",
    "systems",
]
