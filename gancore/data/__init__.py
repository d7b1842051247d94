"""Named data sets, each as one uint8 array that every trial of a machine shares.

What needs PyTorch is in `batches` alone: to prepare pictures takes a node none of its seconds.
"""

from gancore.cache import cache_root
from gancore.data.arrays import is_prepared, load
from gancore.data.bundled import Digits, Mnist5k
from gancore.data.domains import Styles, TwoClasses, TwoFolders, domain
from gancore.data.folder import Folder
from gancore.data.public import CIFAR10, CIFAR100, MNIST, SVHN, FashionMNIST
from gancore.data.registry import Dataset, DataUnavailable, Pictures, Split, datasets
from gancore.data.synthetic import Grid, Ring, StackedMnist

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "MNIST",
    "SVHN",
    "DataUnavailable",
    "Dataset",
    "Digits",
    "FashionMNIST",
    "Folder",
    "Grid",
    "Mnist5k",
    "Pictures",
    "Ring",
    "Split",
    "StackedMnist",
    "Styles",
    "TwoClasses",
    "TwoFolders",
    "cache_root",
    "datasets",
    "domain",
    "is_prepared",
    "load",
]
