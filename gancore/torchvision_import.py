"""Imports torchvision, also where its compiled operators do not fit this PyTorch."""

from __future__ import annotations

import importlib
import re
import sys

import torch

_MISSING = re.compile(r"operator torchvision::(\w+) does not exist")


def ensure_torchvision() -> None:
    """Makes `import torchvision` work in this process.

    A torchvision built for another PyTorch (say, one with CUDA beside one without) leaves its
    compiled operators out, and its import then fails as it describes them. Readers of data sets
    and Inception use none of them, so an operator that is missing is declared without code.

    Raises:
        ImportError: torchvision is not installed, or broken in another way.
    """
    declared: set[str] = set()
    while "torchvision" not in sys.modules:
        try:
            importlib.import_module("torchvision")
        except (ImportError, RuntimeError) as error:
            _forget_torchvision()  # Python drops only the module that failed, not its parts.
            missing = _MISSING.search(str(error))
            if missing is None or missing[0] in declared:
                raise ImportError(f"torchvision cannot be imported: {error}") from error
            # The schema of nms and its like; of an operator that nobody calls any would do.
            schema = "(Tensor boxes, Tensor scores, float threshold) -> Tensor"
            torch.library.define(f"torchvision::{missing[1]}", schema)
            declared.add(missing[0])


def _forget_torchvision() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
