"""The training loop, its reports and its state."""

from gancore.training.checkpoint import Checkpoint, DamagedCheckpoint, load_system
from gancore.training.loop import Training, train
from gancore.training.report import EpochReport

__all__ = [
    "Checkpoint",
    "DamagedCheckpoint",
    "EpochReport",
    "Training",
    "load_system",
    "train",
]
