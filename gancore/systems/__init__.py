"""What one training step is: the GAN systems, one a file."""

from gancore.systems import adversarial
from gancore.systems.registry import System, systems

__all__ = ["System", "adversarial", "systems"]
