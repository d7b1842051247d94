"""The job server of a cluster's head: who it lets in, and what can be asked of it."""

from __future__ import annotations

import http.client
import importlib.util
import logging
import os
import shlex
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sweeps import door
from sweeps.errors import Busy, EnvironmentTrouble, UserError
from sweeps.jobs.job import SWEEP, Job

ADDRESS = "RAY_API_SERVER_ADDRESS"
"""The environment variable by which Ray's own commands find a job server, and these."""

USUAL = "http://127.0.0.1:8265"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
NEEDED = ("aiohttp", "aiohttp_cors", "opencensus", "requests")
"""Of what `ray[default]` brings: some that the job server cannot do without."""


class JobServer:
    """A job server that has let us in.

    Every method raises EnvironmentTrouble, in one line, where it does not answer as it should.

    Args:
        address: As a user gives it: `http://HOST:PORT`, or `HOST:PORT`.
        insecure: Speaks to one that asks nobody for a token.

    Raises:
        UserError: That is no such address.
        EnvironmentTrouble: Nobody answers there, or it wants another token, or none.
    """

    def __init__(self, address: str, *, insecure: bool) -> None:
        self.address = normal(address)
        self._insecure = insecure
        door.shut(self.address, insecure=insecure)
        _warn_of_clear_text(self.address)
        knock(self.address, insecure=insecure)
        self._client = self._connected()

    def _connected(self) -> Any:
        with self._plainly():
            door.make_known()
            from ray.job_submission import JobSubmissionClient

            # What Ray tells of each package and connection is nothing to a user.
            for name in ("dashboard.modules.dashboard_sdk", "dashboard.modules.job.sdk"):
                logging.getLogger(f"ray.{name}").setLevel(logging.ERROR)
            logging.getLogger("ray._private.runtime_env.packaging").setLevel(logging.ERROR)
            os.environ[ADDRESS] = self.address  # Else Ray's own variables have the last word.
            return JobSubmissionClient(self.address)

    @property
    def note(self) -> str:
        """More words for a command that shall reach the same job server."""
        words = [] if self.address == USUAL else ["--address", self.address]
        words += ["--insecure"] if self._insecure else []
        return "".join(f" {shlex.quote(word)}" for word in words)

    def jobs(self) -> list[Job]:
        """The sweeps that were submitted, the first one first."""
        own = [Job.of(it) for it in self._listed() if SWEEP in (it.metadata or {})]
        return sorted(own, key=lambda job: (job.submitted, job.id))

    def ids(self) -> list[str]:
        """The ids that are taken, by other people's jobs too."""
        return [it.submission_id for it in self._listed()]

    def _listed(self) -> list[Any]:
        with self._plainly():
            # Who joins the cluster without a job of its own is listed too, without an id.
            return [it for it in self._client.list_jobs() if it.submission_id]

    def find(self, wanted: str) -> Job:
        """A job by its id, or the newest of a sweep by the sweep's name, refused ones aside.

        Raises:
            UserError: There is none; the message lists those that there are.
        """
        jobs = self.jobs()
        by_id = [job for job in jobs if job.id == wanted]
        by_sweep = [job for job in jobs if job.sweep == wanted]
        # Who asked for a sweep that another job has run did not run it.
        by_sweep = [job for job in by_sweep if job.exit_code != Busy.exit_code] or by_sweep
        if not by_id and not by_sweep:
            known = ", ".join(job.id for job in jobs) or "none"
            raise UserError(f"no job {wanted!r} at {self.address} (there: {known})")
        return (by_id or by_sweep)[-1]

    def submit(
        self,
        job: str,
        entrypoint: str,
        folder: Path,
        environment: Mapping[str, str],
        metadata: Mapping[str, str],
    ) -> None:
        """Starts a job in a folder of which the cluster gets a copy."""
        with self._plainly():
            self._client.submit_job(
                submission_id=job,
                entrypoint=entrypoint,
                entrypoint_num_cpus=0,  # It waits; trials are what needs room.
                runtime_env={"working_dir": str(folder), "env_vars": dict(environment)},
                metadata=dict(metadata),
            )

    def stop(self, job: str) -> None:
        """Asks a job to end; it takes its time."""
        with self._plainly():
            self._client.stop_job(job)

    def log(self, job: str) -> str:
        """What a job has said so far."""
        with self._plainly():
            return str(self._client.get_job_logs(job))

    async def follow(self, job: str) -> AsyncIterator[str]:
        """What a job has said and says, until it is over."""
        with self._plainly():
            async for text in self._client.tail_job_logs(job):
                yield text

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        """Tells in one line what Ray's client tells in many, some of them of the server's code."""
        try:
            yield
        except ImportError as error:
            raise EnvironmentTrouble(f"{_remedy()}: {error}") from None
        except Exception as error:
            if not isinstance(error, _troubles()):
                raise
            lines = [line.strip() for line in str(error).splitlines()]
            said = next((line for line in reversed(lines) if line.strip(".")), repr(error))
            raise EnvironmentTrouble(f"the job server at {self.address}: {said}") from None


def _troubles() -> tuple[type[Exception], ...]:
    """What Ray's client raises; of `requests` all is an OSError."""
    from aiohttp import ClientError
    from ray.exceptions import RayError

    return OSError, RuntimeError, ClientError, RayError


def normal(address: str) -> str:
    """The address of a job server as Ray takes it.

    Raises:
        UserError: It is of something else.
    """
    full = address if "://" in address else f"http://{address}"
    try:
        parts = urlsplit(full)
        right = parts.scheme in ("http", "https") and parts.hostname and parts.port
    except ValueError:
        right = None
    if not right:
        raise UserError(
            f"--address: {address!r} is not where a job server listens, which is where Ray's "
            f"dashboard does, such as {USUAL}"
        )
    return full.rstrip("/")


def knock(address: str, *, insecure: bool) -> None:
    """Asks a job server whether it lets us in, and whether it would let in anybody.

    Raises:
        EnvironmentTrouble: It wants another token, or none; or nobody answers.
    """
    answers = [_answer(address, None)]
    if answers == [door.REFUSED] and not insecure:
        answers.append(_answer(address, door.token()))
    door.judge(f"the job server at {address}", answers, insecure=insecure)


def _answer(address: str, token: str | None) -> str:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"{address}/api/jobs/", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=door.KNOCK_SECONDS) as answer:
            if answer.headers.get_content_type() == "application/json":
                return door.LET_IN
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (401, 403):
            return door.REFUSED
    except http.client.HTTPException:
        pass  # Another protocol: that of Ray's own port, perhaps.
    except (OSError, ValueError) as error:
        raise EnvironmentTrouble(_nobody(address, error)) from None
    raise EnvironmentTrouble(
        f"what answers at {address} is not Ray's job server, which listens where its dashboard does"
    )


def _nobody(address: str, error: Exception) -> str:
    why = getattr(error, "reason", error)
    parts = urlsplit(address)
    if parts.hostname in LOOPBACK and not all(map(importlib.util.find_spec, NEEDED)):
        return f"no job server answers at {address}: {_remedy()}, and start the head again"
    return (
        f"no job server answers at {address} ({why}): it listens on loopback of the head, if Ray "
        f"there has `ray[default]`; from elsewhere `ssh -N -L {parts.port}:127.0.0.1:8265 HEAD` "
        f"brings it to http://127.0.0.1:{parts.port}"
    )


def _remedy() -> str:
    return "Ray's jobs need `ray[default]` on the head and here: pip install 'gansweep[cluster]'"


def _warn_of_clear_text(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        print(
            f"warning: the token goes to {parts.hostname} in clear text; `ssh -N -L "
            f"{parts.port}:127.0.0.1:{parts.port} {parts.hostname}` and --address "
            f"http://127.0.0.1:{parts.port} would hide it",
            file=sys.stderr,
        )
