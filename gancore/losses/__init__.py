"""What the two players minimise, and the penalties on the discriminator's gradient."""

from gancore.losses import adversarial
from gancore.losses.penalties import input_gradient
from gancore.losses.registry import Loss, Penalty, losses, penalties

__all__ = ["Loss", "Penalty", "adversarial", "input_gradient", "losses", "penalties"]
