"""What trials are for, as MLflow models that load without this package and without pickle."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any


class NotExportable(RuntimeError):
    """A checkpoint that cannot become a model; the message is the first line of why."""


def has_model(client: Any, run_id: str, epoch: int) -> bool:
    """Whether a run has its model of an epoch already."""
    outputs = client.get_run(run_id).outputs
    return bool(outputs) and any(model.step == epoch for model in outputs.model_outputs)


def log_product(client: Any, run_id: str, checkpoint: Path, epoch: int) -> None:
    """Logs the generator (or classifier, or translator) of a checkpoint as a model of a run.

    The model is linked to the run last: a link means that all of it is there.

    Raises:
        NotExportable: The checkpoint is damaged, or `torch.export` cannot trace its network.
    """
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus
    from mlflow.models import Model

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        facts = Model(run_id=run_id)
        # Before MLflow hears of it: what fails leaves no half model behind.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                kind = _export(checkpoint, folder, facts)
            # Neither torch.export nor a network's own code has an error class of its own.
            except Exception as error:
                lines = str(error).strip().splitlines()
                raise NotExportable(lines[0] if lines else type(error).__name__) from error
        run = client.get_run(run_id)
        model = client.create_logged_model(
            run.info.experiment_id,
            name=kind,
            source_run_id=run_id,
            params=run.data.params,
            model_type=kind,
        )
        facts.model_id, facts.artifact_path = model.model_id, model.artifact_location
        facts.save(str(folder / "MLmodel"))
        client.log_model_artifacts(model.model_id, str(folder))
        client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=epoch)])


def _export(checkpoint: Path, folder: Path, facts: Any) -> str:
    """Writes the product as a traced graph ("pt2"), with its signature into `facts`.

    Returns:
        What kind of network it is.
    """
    import torch
    from mlflow import pytorch
    from mlflow.models import ModelSignature
    from mlflow.types import Schema

    from gancore.systems.program import program
    from gancore.training.checkpoint import load_system

    product = load_system(checkpoint).product()
    inputs = {name: example.cpu() for name, example in product.inputs.items()}
    # Traced by us first: MLflow would let a network pass whose trace fixes the size of the batch.
    network = program(product).module()
    with torch.inference_mode():
        output = network(*inputs.values())
    named = [_spec(example, name if len(inputs) > 1 else None) for name, example in inputs.items()]
    examples = [example.numpy() for example in inputs.values()]
    pytorch.save_model(
        network,
        str(folder),
        mlflow_model=facts,
        signature=ModelSignature(Schema(named), Schema([_spec(output, None)])),
        input_example=examples[0] if len(examples) == 1 else tuple(examples),
        pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}"],
        serialization_format="pt2",
    )
    return product.kind


def _spec(example: Any, name: str | None) -> Any:
    import numpy as np
    from mlflow.types import TensorSpec

    dtype = np.dtype(str(example.dtype).removeprefix("torch."))
    return TensorSpec(dtype, (-1, *example.shape[1:]), name)
