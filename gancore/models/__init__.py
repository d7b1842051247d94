"""Model families: each a generator and the discriminator that goes with it."""

from gancore.models import dcgan, mlp, resnet
from gancore.models.registry import ImageShape, ModelFamily, models

__all__ = ["ImageShape", "ModelFamily", "dcgan", "mlp", "models", "resnet"]
