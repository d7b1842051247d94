"""Bit-equal repetition: PyTorch's switches for it, set while a run trains and put back after."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
REPEATABLE = (":4096:8", ":16:8")
"""The settings of cuBLAS under which its results repeat (NVIDIA's documentation of cuBLAS)."""


class TooLate(RuntimeError):
    """CUDA started in this process without what a deterministic run needs."""


def prepare() -> None:
    """Sets what CUDA reads when it starts; to be called before. It stays set in this process."""
    if os.environ.get(WORKSPACE) not in REPEATABLE:
        os.environ[WORKSPACE] = REPEATABLE[0]


@contextmanager
def repeatable(asked: bool) -> Iterator[None]:
    """Lets only operations run that repeat bit for bit, where that is asked.

    An operation that has no such form raises, with its name. On a CPU all that gancore does repeats
    anyway, with one number of threads.

    Raises:
        TooLate: See there.
    """
    if not asked:
        yield
        return
    import torch

    if torch.cuda.is_initialized() and os.environ.get(WORKSPACE) not in REPEATABLE:
        raise TooLate(
            "deterministic: CUDA has started in this process without "
            f"{WORKSPACE}={REPEATABLE[0]}: set that before"
        )
    prepare()
    strict = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    rounded = torch.backends.cuda.matmul.allow_tf32
    torch.use_deterministic_algorithms(True)
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        with torch.backends.cudnn.flags(
            enabled=torch.backends.cudnn.enabled,
            benchmark=False,
            deterministic=True,
            allow_tf32=False,
        ):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = rounded
        torch.use_deterministic_algorithms(strict, warn_only=warns)
