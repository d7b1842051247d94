"""The published Inception is opened only when it is the published Inception."""

import hashlib
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gancore.metrics import features, inception
from gancore.metrics.registry import FeatureNetworkUnavailable
from gancore.pictures import WEIGHTS_FILE
from gancore.torchvision_import import ensure_torchvision


class Nothing:
    images = np.zeros((2, 1, 8, 8), np.uint8)
    labels = None
    fingerprint = "0"


def load(folder: Path, weights: Path | None) -> nn.Module:
    source = features.build("inception")
    return source.load(Nothing(), Nothing(), folder, str(weights) if weights else None)


class Trap:
    """What a malicious weights file is: unpickling it runs code."""

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path(self.path),))

    def __init__(self, path: str) -> None:
        self.path = path


def test_another_file_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    weights = tmp_path / "weights.pth"
    weights.write_bytes(pickle.dumps(Trap(str(sprung))))
    with pytest.raises(FeatureNetworkUnavailable, match="is not the published Inception"):
        load(tmp_path, weights)
    assert not sprung.exists()
    pickle.loads(weights.read_bytes())
    assert sprung.exists()  # the trap works, had it been opened


def test_a_file_with_the_first_digits_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight digits are found by trying in minutes; all 64 are not."""
    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"forged")
    digest = hashlib.sha256(b"forged").hexdigest()
    monkeypatch.setattr(inception, "SHA256", digest[:8] + "0" * 56)
    with pytest.raises(FeatureNetworkUnavailable, match="is not the published Inception"):
        load(tmp_path, weights)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FeatureNetworkUnavailable, match=r"no Inception weights at .*absent\.pth"):
        load(tmp_path, tmp_path / "absent.pth")


def test_without_a_network_it_says_where_to_put_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("Temporary failure in name resolution")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with pytest.raises(FeatureNetworkUnavailable, match=r"objective\.inception_weights") as caught:
        load(tmp_path, None)
    assert "\n" not in str(caught.value)
    assert "name resolution" in str(caught.value)


def test_the_right_file_gives_2048_features(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the graph and random weights: the published ones are not to be had offline."""

    class Graph(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, ...]:
            assert x.shape[1:] == (3, 8, 8)
            assert x.dtype == torch.uint8
            return (x.float().mean((1, 2, 3))[:, None].expand(-1, 2048),)

    content = b"published"
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    monkeypatch.setattr(inception, "SHA256", hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(inception, "extractor", lambda _: Graph())
    network = load(tmp_path, path)
    assert network.digest == hashlib.sha256(content).hexdigest()
    assert network(torch.zeros(2, 1, 8, 8, dtype=torch.uint8)).shape == (2, 2048)


def test_features_and_logits_are_those_of_torch_fidelity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own graph, random weights in a file: what it calls `2048` and `logits_unbiased`."""
    ensure_torchvision()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    path = tmp_path / "weights.pth"
    torch.save({}, path)
    torch.manual_seed(0)
    with monkeypatch.context() as patch:
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        untrained = FeatureExtractorInceptionV3("untrained", ["2048"], str(path))
    torch.save(untrained.state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(inception, "SHA256", digest)

    asked = ["2048", "logits_unbiased", "logits"]
    theirs = FeatureExtractorInceptionV3("inception-v3-compat", asked, str(path))
    network = load(tmp_path, path).eval()
    images = torch.randint(0, 256, (3, 1, 16, 16), dtype=torch.uint8)
    with torch.no_grad():
        features, unbiased, biased = theirs(images.expand(-1, 3, -1, -1))
        pool = network(images)
        logits = network.logits(pool)
    assert torch.equal(pool, features)
    assert torch.equal(logits, unbiased)
    assert not torch.allclose(logits, biased, atol=1e-4)
    assert logits.shape == (3, 1008)
    assert logits.std(0).min() > 0
    assert network.modes(pool) is None


def test_they_are_downloaded_once_under_the_name_that_they_are_published_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = []

    def fetch(url: str, path: str, *_: object, **__: object) -> None:
        fetched.append(url)
        Path(path).write_text("weights")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    for _ in range(2):
        file = inception.downloaded(tmp_path / "new")
    (url,) = fetched
    assert file.name == url.rpartition("/")[2] == WEIGHTS_FILE


def test_it_says_that_it_has_logits_and_no_modes() -> None:
    assert features.facts("inception")["gives"] == ("logits",)
