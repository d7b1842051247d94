"""Named data sets, each as one uint8 array that every trial of a machine shares."""

from gancore.data.arrays import cache_root, load
from gancore.data.batches import Batch, Batches, to_uint8, to_unit
from gancore.data.bundled import Digits, Mnist5k
from gancore.data.folder import Folder
from gancore.data.public import CIFAR10, CIFAR100, MNIST, SVHN, FashionMNIST
from gancore.data.registry import Dataset, DataUnavailable, Pictures, Split, datasets

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "MNIST",
    "SVHN",
    "Batch",
    "Batches",
    "DataUnavailable",
    "Dataset",
    "Digits",
    "FashionMNIST",
    "Folder",
    "Mnist5k",
    "Pictures",
    "Split",
    "cache_root",
    "datasets",
    "load",
    "to_uint8",
    "to_unit",
]
