"""A tracking store: the few things that an uploader asks of MLflow, and what can go wrong."""

from __future__ import annotations

import fcntl
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from sweeps.tracking.address import artifact_folder, clear_quoted, is_server, scrubbed
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
    # What fails is told by us in one line, and not once more with a traceback.
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}
"""MLflow's settings where the user has not set them."""

_HEALS = {
    "INTERNAL_ERROR",
    "TEMPORARILY_UNAVAILABLE",
    "DEADLINE_EXCEEDED",
    "REQUEST_LIMIT_EXCEEDED",
    "RESOURCE_EXHAUSTED",
}
_REFUSED = {
    "UNAUTHENTICATED",
    "CUSTOMER_UNAUTHORIZED",
    "PERMISSION_DENIED",
    "ENDPOINT_NOT_FOUND",  # What stands before a server says so while the server is away.
}
RUNS_A_PAGE = 100
"""A thousand, as MLflow has it, take a busy server longer than it is given to answer."""

REFUSED_WAIT_SECONDS = 60.0
"""Between tries of one whose token was good once: servers lock out who knocks too often."""

_REFUSED_STATUS = (401, 403, 404)


@dataclass
class _Heard:
    """What the last answer of a server said of itself: its code, and `Retry-After`."""

    status: int = 0
    wait_seconds: float = 0.0


_HEARD: ContextVar[_Heard | None] = ContextVar("heard", default=None)

_HALF = 200
"""Characters of a long message that are kept at its start, and at its end."""

_DAMAGED = ("file is not a database", "database disk image is malformed")
_SCHEMA = re.compile(r"out-of-date database schema \(found version (\w+), but expected (\w+)\)")


def experiment_name() -> str:
    """The experiment that holds the sweeps: `gansweep`, unless MLflow's own variable names one."""
    return os.environ.get("MLFLOW_EXPERIMENT_NAME", "gansweep")


class RunGone(Exception):
    """A run that we know of is no longer there, or was deleted."""


class StoreReplaced(Exception):
    """The database is not the one that this process has opened; only a new process opens it."""


@dataclass(frozen=True)
class Trouble:
    """Why MLflow does not have everything.

    Args:
        message: In one line, without secrets.
        lasting: Whether trying again cannot help.
        refused: Whether the store knows us not, or no more.
        healed: Whether the cause is known and removed: trying again at once will help.
        wait_seconds: How long the server asks to be left alone.
    """

    message: str
    lasting: bool = False
    refused: bool = False
    healed: bool = False
    wait_seconds: float = 0.0


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
        self._opened: tuple[int, int] | None = None

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
            client = MlflowClient(self.uri, registry_uri=self.uri)
            clear_quoted(self.uri)
        self._opened = self._file()
        return client

    def check_same(self) -> None:
        """Asks whether the database is still the one that was opened.

        One that was deleted is written to as before, by its open connections: into nothing.

        Raises:
            StoreReplaced: It was deleted, or another lies in its place.
        """
        if self._opened is not None and self._file() != self._opened:
            raise StoreReplaced("MLflow's database was deleted or replaced")

    def _file(self) -> tuple[int, int] | None:
        """What tells the file of a SQLite database from any other; None where there is none."""
        from sqlalchemy import make_url

        url = make_url(self.uri)
        if url.get_backend_name() != "sqlite" or not url.database:
            return None
        try:
            found = os.stat(url.database)
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

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
                max_results=RUNS_A_PAGE,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            runs += page
            token = page.token
            if not token:
                return runs

    def points(self, run: Any) -> set[tuple[str, int, int, str]]:
        """Every point that a run has: key, step, time, and its value in full."""
        return {
            (m.key, m.step, m.timestamp, repr(m.value))
            for key in run.data.metrics
            for m in self.client.get_metric_history(run.info.run_id, key)
        }

    def files(self, run_id: str, folder: str) -> dict[str, int]:
        """The sizes of the files of one of a run's folders, by name."""
        found = self.client.list_artifacts(run_id, folder)
        return {file.path.rpartition("/")[2]: file.file_size for file in found if not file.is_dir}

    def forget_experiment(self) -> None:
        """It is looked up again, and brought back should it have been deleted."""
        vars(self).pop("experiment_id", None)

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

    with _listening() as heard:
        try:
            yield
        except MlflowException as error:
            text, code = _one_line(error, uri), error.error_code
            if "must be in the 'active' state" in text or code == "RESOURCE_DOES_NOT_EXIST":
                raise RunGone(text) from None
            raise Failure(_judged(text, code, heard)) from None
        except (RequestException, SQLAlchemyError, OSError) as error:
            raise Failure(_judged(_one_line(error, uri), "INTERNAL_ERROR", heard)) from None


def _judged(text: str, code: str, heard: _Heard) -> Trouble:
    """What a failure means for us."""
    if found := _SCHEMA.search(text):
        from mlflow import __version__

        text = (
            f"its database has tables of version {found[1]}, MLflow {__version__} needs {found[2]}:"
            " of an older MLflow, make a copy and run `mlflow db upgrade`; of a newer one, install"
            " that MLflow"
        )
        return Trouble(text, lasting=True)
    if any(words in text for words in _DAMAGED):
        text = (
            f"its database is damaged ({text[:120]}): move the file away, then"
            " `gansweep sync --rebuild` makes it anew for each sweep"
        )
        return Trouble(text, lasting=True)
    if "no such table" in text:
        raise StoreReplaced("MLflow's database was emptied")
    if "Invalid Host header" in text:
        text += " (start the server with --allowed-hosts and its name)"
        return Trouble(text, lasting=True)
    refused = code in _REFUSED or heard.status in _REFUSED_STATUS
    lasting = refused or code not in _HEALS
    return Trouble(text, lasting=lasting, refused=refused, wait_seconds=heard.wait_seconds)


@contextmanager
def _listening() -> Iterator[_Heard]:
    """Keeps what the last answer said of itself."""
    _overhear()
    heard = _Heard()
    token = _HEARD.set(heard)
    try:
        yield heard
    finally:
        _HEARD.reset(token)


@cache
def _overhear() -> None:
    """Looks at each answer as urllib3 asks whether it is a failure.

    Nobody else keeps it: urllib3 gives up without the answer, MLflow without urllib3's error, and
    what stands before a server has error codes of its own.
    """
    from urllib3.exceptions import InvalidHeader
    from urllib3.util import Retry

    is_retry: Any = Retry.is_retry
    increment: Any = Retry.increment

    def answered(retry: Any, method: str, status_code: int, *rest: Any, **options: Any) -> Any:
        if heard := _HEARD.get():
            heard.status, heard.wait_seconds = status_code, 0.0
        return is_retry(retry, method, status_code, *rest, **options)

    def failed(retry: Any, *args: Any, **options: Any) -> Any:
        heard, response = _HEARD.get(), options.get("response")
        if heard and response is None:
            heard.status = 0
        elif heard:
            with suppress(InvalidHeader):
                heard.wait_seconds = retry.get_retry_after(response) or 0.0
        return increment(retry, *args, **options)

    Retry.is_retry = answered  # type: ignore[method-assign, assignment]
    Retry.increment = failed  # type: ignore[method-assign, assignment]


def _one_line(error: Exception, uri: str) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    text = scrubbed(text, uri)
    # The address comes first, and twice; the cause comes last.
    return text if len(text) <= 2 * _HALF else f"{text[:_HALF]} ... {text[-_HALF:]}"
