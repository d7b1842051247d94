"""Keeps a trial with a share of a GPU from taking the memory of those beside it."""

from __future__ import annotations

from sweeps.shares.decision import memory_fraction


def fence(share: float) -> None:
    """Lets this process have no more of its GPU's memory than its share; what exceeds it fails.

    The calls of CUDA are tested by their arguments alone: no test has a GPU.
    """
    if not 0 < share < 1:
        return
    import torch

    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(memory_fraction(share, total / 1e9))
