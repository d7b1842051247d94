"""Trained generators as MLflow models that load without this package and without pickle."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

NAME = "generator"


class NotExportable(RuntimeError):
    """A checkpoint that cannot become a model; the message is the first line of why."""


def has_model(client: Any, run_id: str, epoch: int) -> bool:
    """Whether a run has its generator of an epoch already."""
    outputs = client.get_run(run_id).outputs
    return bool(outputs) and any(model.step == epoch for model in outputs.model_outputs)


def log_generator(client: Any, run_id: str, checkpoint: Path, epoch: int) -> None:
    """Logs the generator of a checkpoint as a model of a run: [N, latent] -> [N, C, H, W].

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
                _export(checkpoint, folder, facts)
            # Neither torch.export nor a network's own code has an error class of its own.
            except Exception as error:
                lines = str(error).strip().splitlines()
                raise NotExportable(lines[0] if lines else type(error).__name__) from error
        run = client.get_run(run_id)
        model = client.create_logged_model(
            run.info.experiment_id,
            name=NAME,
            source_run_id=run_id,
            params=run.data.params,
            model_type="generator",
        )
        facts.model_id, facts.artifact_path = model.model_id, model.artifact_location
        facts.save(str(folder / "MLmodel"))
        client.log_model_artifacts(model.model_id, str(folder))
        client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=epoch)])


def _export(checkpoint: Path, folder: Path, facts: Any) -> None:
    """Writes the generator as a traced graph ("pt2"), with its signature into `facts`."""
    import numpy as np
    import torch
    from mlflow import pytorch
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    from gancore.training.checkpoint import load_generator

    generator = load_generator(checkpoint)
    # Two rows: a batch of one would be taken for a constant of the network.
    latents = torch.zeros(2, generator.latent)
    with torch.inference_mode():
        shape = tuple(generator(latents).shape[1:])
    pytorch.save_model(
        generator,
        str(folder),
        mlflow_model=facts,
        signature=ModelSignature(
            Schema([TensorSpec(np.dtype("float32"), (-1, generator.latent))]),
            Schema([TensorSpec(np.dtype("float32"), (-1, *shape))]),
        ),
        input_example=latents.numpy(),
        pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}"],
        serialization_format="pt2",
    )
