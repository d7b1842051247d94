"""A product as a traced program: it runs where PyTorch is, without this package."""

from __future__ import annotations

import io
import warnings

import torch

from gancore.systems.registry import Product


class Untraceable(RuntimeError):
    """A network that `torch.export` cannot trace; the message is the first line of why."""


def program(product: Product) -> torch.export.ExportedProgram:
    """The network of a product on the CPU, traced, for batches of any size.

    A network that would fix the size of the batch is refused: it would load, and then fail.

    Raises:
        Untraceable: The network's code does what a trace cannot hold.
    """
    batch = torch.export.Dim("batch", min=1)
    examples = tuple(example.cpu() for example in product.inputs.values())
    try:
        return torch.export.export(
            product.network.cpu(), examples, dynamic_shapes=[{0: batch} for _ in examples]
        )
    # Neither torch.export nor a network's own code has an error class of its own.
    except Exception as error:
        lines = str(error).strip().splitlines()
        raise Untraceable(lines[0] if lines else type(error).__name__) from error


def packed(traced: torch.export.ExportedProgram) -> bytes:
    """A program as the content of a `.pt2` file, which `torch.export.load` reads."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        # It says so of every weight that is a view of a larger tensor, and saves it rightly.
        warnings.filterwarnings("ignore", "No complete tensor found", UserWarning)
        torch.export.save(traced, stream)
    return stream.getvalue()
