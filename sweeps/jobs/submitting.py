"""`gansweep submit`: checks a sweep here, and starts it as a job of the cluster."""

from __future__ import annotations

import shlex
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sweeps import asking, bucket, folder, tracking
from sweeps.bucket.address import Address
from sweeps.errors import Busy, EnvironmentTrouble, UserError
from sweeps.jobs.job import CODE, STORAGE, SWEEP
from sweeps.jobs.packing import START, Pack, pack
from sweeps.jobs.server import JobServer
from sweeps.plan import Plan, make_plan
from sweeps.tracking.address import redacted
from sweeps.version import code_version

ENVIRONMENT = {
    # A sweep that is told to end lets its trials report, and MLflow hear of it; Ray waits 3 s.
    "RAY_JOB_STOP_WAIT_TIME_S": "60",
}
"""Of the job and its workers; nothing of `cluster.SETTINGS`, which Ray would not let meet it."""

TRIES = 3


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A sweep that was checked here and can be sent.

    Args:
        name: The sweep's.
        storage: Folder of all sweeps, as every node of the cluster sees it.
        arguments: More words for `gansweep run`.
    """

    name: str
    storage: str
    plan: Plan
    pack: Pack
    arguments: tuple[str, ...] = ()

    @property
    def entrypoint(self) -> str:
        """What the head runs, which does all that `gansweep run` does: a sweep of the name that
        has begun goes on, or is refused, there.
        """
        words = ["run", str(self.pack.sweep), "--name", self.name, "--storage", self.storage]
        words += ["--address", "auto", *self.arguments]
        return f"exec sh {START} {shlex.join(words)}"

    def send(self, server: JobServer) -> str:
        """Starts it.

        Returns:
            The job's id: the sweep's name, and a number.

        Raises:
            Busy: A job of this sweep has not ended yet.
            EnvironmentTrouble: See `JobServer`.
        """
        for tries in reversed(range(TRIES)):
            self._refuse_twice(server)
            job = _next_id(self.name, server.ids())
            with tempfile.TemporaryDirectory(prefix="gansweep-") as made:
                self.pack.write(Path(made))
                try:
                    server.submit(job, self.entrypoint, Path(made), ENVIRONMENT, self._noted())
                    return job
                except EnvironmentTrouble as error:
                    # Somebody submits the same sweep at this moment: look again.
                    if not tries or "already exists" not in str(error):
                        raise
        raise AssertionError

    def _refuse_twice(self, server: JobServer) -> None:
        for job in server.jobs():
            if job.alive and (job.sweep, job.storage) == (self.name, self.storage):
                since = time.strftime("%F %T", time.localtime(job.submitted))
                raise Busy(
                    f"sweep {self.name!r} is being run by job {job.id} since {since}: follow it "
                    f"with `gansweep logs {job.id}{server.note}`, or choose another --name"
                )

    def _noted(self) -> dict[str, str]:
        return {SWEEP: self.name, STORAGE: self.storage, CODE: code_version()}


def prepared(
    file: Path, *, storage: str | None, name: str | None, tracking_uri: str | None, insecure: bool
) -> Submission:
    """Checks all that can be checked before the cluster is asked.

    Raises:
        UserError: The file is wrong, names what the cluster would not find, or the storage or the
            tracking store is nothing that can be sent.
    """
    spec = asking.load_spec(file)
    plan = make_plan(spec)
    where = _shared(storage)
    place = folder.named(Path(where), name or plan.name)
    arguments = ["--insecure"] if insecure else []
    if tracking_uri:
        arguments += ["--tracking-uri", _harmless(tracking_uri)]
    return Submission(
        name=place.name,
        storage=where,
        plan=plan,
        pack=pack(file, spec, plan, where),
        arguments=tuple(arguments),
    )


def _shared(storage: str | None) -> str:
    """The storage of the cluster's nodes, of which this machine need not know."""
    if storage is None:
        raise UserError(
            "--storage: say in which folder the sweep shall lie: one that every node of the "
            "cluster sees, such as /shared/runs, or s3://bucket/path (or set GANSWEEP_STORAGE)"
        )
    if bucket.is_address(storage):
        return str(Address.of(storage))
    if not Path(storage).is_absolute():
        raise UserError(
            f"--storage: {storage!r} would be in a job's own folder, which is deleted with it: "
            "give the whole path of a folder that every node of the cluster sees"
        )
    return str(Path(storage))


def _harmless(uri: str) -> str:
    """An address of MLflow that others may read: a job's command is shown to all who ask."""
    tracking.check_uri(uri)
    if redacted(uri) != uri:
        raise UserError(
            f"--tracking-uri: {redacted(uri)!r} came with a password or query, which a job would "
            "show to all who may ask the cluster: set GANSWEEP_TRACKING_URI where the head's Ray "
            "is started instead"
        )
    return uri


def _next_id(sweep: str, ids: Iterable[str]) -> str:
    numbers = (taken.removeprefix(f"{sweep}-") for taken in ids)
    return f"{sweep}-{max((int(n) for n in numbers if n.isdecimal()), default=0) + 1}"
