"""torchvision is imported also where its compiled operators are missing."""

import importlib
import types

import pytest
import torch

from gancore import torchvision_import
from gancore.torchvision_import import ensure_torchvision


def test_readers_of_data_sets_can_be_imported() -> None:
    ensure_torchvision()
    readers = importlib.import_module("torchvision.datasets")
    assert hasattr(readers, "MNIST")


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Stands for `sys.modules`, so that the real torchvision is left alone."""
    modules: dict[str, object] = {"torchvisionary": object()}
    monkeypatch.setattr(torchvision_import, "sys", types.SimpleNamespace(modules=modules))
    return modules


def test_each_missing_operator_is_declared_and_half_an_import_forgotten(
    modules: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    operators = ["gansweep_test_one", "gansweep_test_two"]

    def import_module(name: str) -> None:
        assert "torchvision.extension" not in modules
        for operator in operators:
            if not hasattr(torch.ops.torchvision, operator):
                modules["torchvision.extension"] = object()
                raise RuntimeError(f"operator torchvision::{operator} does not exist")
        modules[name] = object()

    fake = types.SimpleNamespace(import_module=import_module)
    monkeypatch.setattr(torchvision_import, "importlib", fake)
    ensure_torchvision()
    assert sorted(modules) == ["torchvision", "torchvisionary"]


@pytest.mark.parametrize(
    "error",
    [ModuleNotFoundError("No module named 'torchvision'"), RuntimeError("another fault")],
)
def test_another_fault_is_told_once(
    error: Exception, modules: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = []

    def import_module(name: str) -> None:
        attempts.append(name)
        modules["torchvision.extension"] = object()
        raise error

    fake = types.SimpleNamespace(import_module=import_module)
    monkeypatch.setattr(torchvision_import, "importlib", fake)
    with pytest.raises(ImportError, match=f"torchvision cannot be imported: {error}"):
        ensure_torchvision()
    assert len(attempts) == 1
    assert list(modules) == ["torchvisionary"]
