"""Model families: each a generator and the discriminator that goes with it."""

from gancore.models import (
    cycle,
    dcgan,
    infogan,
    maxout,
    mlp,
    noisy,
    progan,
    r3gan,
    resnet,
    sndcgan,
)
from gancore.models.blocks import Discriminator
from gancore.models.conditional import (
    ClassifyingDiscriminator,
    ConcatDiscriminator,
    ConditionalGenerator,
    ProjectionDiscriminator,
)
from gancore.models.registry import ImageShape, ModelFamily, models

__all__ = [
    "ClassifyingDiscriminator",
    "ConcatDiscriminator",
    "ConditionalGenerator",
    "Discriminator",
    "ImageShape",
    "ModelFamily",
    "ProjectionDiscriminator",
    "cycle",
    "dcgan",
    "infogan",
    "maxout",
    "mlp",
    "models",
    "noisy",
    "progan",
    "r3gan",
    "resnet",
    "sndcgan",
]
