"""A tracking store: the few things that an uploader asks of MLflow, and what can go wrong."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sweeps.tracking.address import artifact_folder, is_server, scrubbed
from sweeps.tracking.description import STATUS, Value

PARENT = "mlflow.parentRunId"
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
"""Without it MLflow's pages take the experiment for one with a language model."""

SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Waiting and trying again is ours: MLflow's own would block for four minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}
"""MLflow's settings where the user has not set them."""

_HEALS = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED"}


def experiment_name() -> str:
    """The experiment that holds the sweeps: `gansweep`, unless MLflow's own variable names one."""
    return os.environ.get("MLFLOW_EXPERIMENT_NAME", "gansweep")


class RunGone(Exception):
    """A run that we know of is no longer there, or was deleted."""


@dataclass(frozen=True)
class Trouble:
    """Why MLflow does not have everything.

    Args:
        message: In one line, without secrets.
        lasting: Whether trying again cannot help.
    """

    message: str
    lasting: bool = False


class Failure(Exception):
    """What MLflow, its database or the network refused, as `trouble`."""

    def __init__(self, trouble: Trouble) -> None:
        self.trouble = trouble
        super().__init__(trouble.message)


class Store:
    """One tracking store and the experiment that holds the sweeps.

    Every method raises `Failure` when the store cannot be used, and `RunGone` for a run that is
    not there.

    Args:
        storage: Where artifacts go when there is a database but no server to take them.
    """

    def __init__(self, uri: str, storage: Path) -> None:
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        self.uri = uri
        self.storage = storage

    @cached_property
    def client(self) -> Any:
        """MLflow's client; a database that does not exist is made, by one process at a time."""
        from mlflow import MlflowClient

        logging.getLogger("alembic").setLevel(logging.WARNING)
        if is_server(self.uri):
            return MlflowClient(self.uri, registry_uri=self.uri)
        self.storage.mkdir(parents=True, exist_ok=True)
        with (self.storage / "mlflow.lock").open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            return MlflowClient(self.uri, registry_uri=self.uri)

    @cached_property
    def experiment_id(self) -> str:
        """The experiment, made or brought back where it is missing."""
        from mlflow.exceptions import MlflowException

        name = experiment_name()
        found = self.client.get_experiment_by_name(name)
        if found is None:
            place = None if is_server(self.uri) else artifact_folder(self.storage).as_uri()
            try:
                return str(self.client.create_experiment(name, place, EXPERIMENT_TAGS))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                found = self.client.get_experiment_by_name(name)
        if found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def find_runs(self, identity: Mapping[str, str]) -> list[Any]:
        """The runs that have all of some tags and are not deleted, oldest first."""
        runs: list[Any] = []
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment_id],
                " and ".join(f"tags.`{key}` = '{value}'" for key, value in identity.items()),
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            runs += page
            token = page.token
            if not token:
                return runs

    def make_run(self, name: str, start_ms: int, tags: Mapping[str, str]) -> Any:
        """A new run, RUNNING from a given time on."""
        return self.client.create_run(
            self.experiment_id, start_time=start_ms, tags=dict(tags), run_name=name
        )

    def log(
        self,
        run_id: str,
        values: Sequence[Value] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Numbers, parameters and tags of a run; the same numbers sent again change nothing."""
        from mlflow.entities import Metric, Param, RunTag

        self.client.log_batch(
            run_id,
            metrics=[Metric(*value) for value in values],
            params=[Param(*item) for item in (params or {}).items()],
            tags=[RunTag(*item) for item in (tags or {}).items()],
        )

    def set_state(self, run_id: str, state: str, end_ms: int) -> None:
        """Ends a run as its state says, or sets it running again."""
        if state in STATUS:
            self.client.set_terminated(run_id, STATUS[state], end_ms)
        else:
            self.client.update_run(run_id, status="RUNNING")


@contextmanager
def failures(uri: str) -> Iterator[None]:
    """Turns what MLflow and those beneath it raise into `Failure` and `RunGone`."""
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except MlflowException as error:
        text = _one_line(error, uri)
        if "must be in the 'active' state" in text or error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise RunGone(text) from None
        if "Invalid Host header" in text:
            text += " (start the server with --allowed-hosts and its name)"
        lasting = error.error_code not in _HEALS or "out-of-date database schema" in text
        raise Failure(Trouble(text, lasting)) from None
    except (RequestException, SQLAlchemyError, OSError) as error:
        raise Failure(Trouble(_one_line(error, uri))) from None


def _one_line(error: Exception, uri: str) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return scrubbed(text, uri)[:500]
