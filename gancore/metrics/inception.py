"""The Inception network of 2015 that published FIDs rest on."""

from __future__ import annotations

import hashlib
import socket
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from gancore.metrics.registry import (
    FeatureNetwork,
    FeatureNetworkUnavailable,
    Labelled,
    features,
)
from gancore.pictures import WEIGHTS_FILE, WEIGHTS_SHA256
from gancore.torchvision_import import ensure_torchvision

SHA256 = WEIGHTS_SHA256
"""Of the published weights; their file name ends in its first digits, which are soon forged."""

_TIMEOUT_SECONDS = 20.0


@features.register("inception")
@dataclass(frozen=True, kw_only=True)
class Inception:
    """Inception v3 as TensorFlow published it in 2015 (Szegedy et al. 2016, arXiv:1512.00567).

    Its 2,048 pool features, by torch-fidelity's port, which resizes to 299 pixels the way
    TensorFlow 1 did. Grey pictures are repeated over three channels.
    """

    gives: ClassVar[tuple[str, ...]] = ("logits",)

    def load(
        self, _real: Labelled, _held_out: Labelled, folder: Path, weights: str | None
    ) -> FeatureNetwork:
        path = Path(weights) if weights else downloaded(folder)
        return Pool(path, _checked_digest(path))


class Pool(FeatureNetwork):
    """The graph up to its last pooling layer.

    Args:
        weights: A file whose hash has been checked, since the port unpickles it.
        digest: Of that file.
    """

    def __init__(self, weights: Path, digest: str) -> None:
        super().__init__()
        self.size = 2048
        self.digest = digest
        self.graph = extractor(weights)

    def forward(self, images: Tensor) -> Tensor:
        pool: Tensor = self.graph(images.expand(-1, 3, -1, -1))[0]
        return pool

    def logits(self, features: Tensor) -> Tensor:
        """Of 1,008 outputs, without their bias: the published code of the Inception score drops it.

        torch-fidelity calls them `logits_unbiased`.
        """
        scores: Tensor = features @ self.graph.fc.weight.T
        return scores

    def modes(self, _features: Tensor) -> None:
        """None: ImageNet's classes are no modes of the data."""


def extractor(weights: Path) -> Any:
    """torch-fidelity's extractor with the given weights."""
    ensure_torchvision()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of its dependencies, at import.
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        return FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(weights)
        )


def _checked_digest(path: Path) -> str:
    """sha256 of the published weights.

    Raises:
        FeatureNetworkUnavailable: The file is missing or another one; it is not opened as
            weights, since that would run what it holds.
    """
    if not path.is_file():
        raise FeatureNetworkUnavailable(f"no Inception weights at {path}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != SHA256:
        raise FeatureNetworkUnavailable(
            f"{path} is not the published Inception: its sha256 begins {digest[:8]}, "
            f"theirs {SHA256[:8]}"
        )
    return digest


def downloaded(folder: Path) -> Path:
    """The published weights in a folder, fetched where they are not there yet.

    Raises:
        FeatureNetworkUnavailable: They cannot be had.
    """
    path = folder / WEIGHTS_FILE
    if path.is_file():
        return path
    ensure_torchvision()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT_SECONDS)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(URL_INCEPTION_V3, str(path), SHA256, progress=False)
    except (OSError, RuntimeError) as error:
        raise FeatureNetworkUnavailable(
            f"cannot download the Inception weights ({error}); fetch {URL_INCEPTION_V3} "
            "elsewhere and name the file as objective.inception_weights"
        ) from None
    finally:
        socket.setdefaulttimeout(before)
    return path
