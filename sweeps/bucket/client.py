"""The few things that are asked of a bucket, each in one call, with its errors told in one line.

A write says what it takes to be there: nothing, or an object by its ETag. So two writers never both
succeed, whatever the network does to either. S3 has this since 2024, as have MinIO, Ceph and R2.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, TypeVar

from sweeps.bucket.address import Address
from sweeps.errors import EnvironmentTrouble, Unwritable

T = TypeVar("T")

PATIENCE_SECONDS = 120.0
"""How long a bucket that has answered before may be away."""

ANYTHING = "*"
"""What a write may take the place of: whatever is there, or nothing."""

_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
_PASSING = (
    *("500", "502", "503", "504", "InternalError", "ServiceUnavailable", "RequestTimeout"),
    *("SlowDown", "Throttling", "ThrottlingException", "TooManyRequests"),
    *("409", "ConditionalRequestConflict", "OperationAborted"),  # Two writers at one moment.
)
_REFUSED = ("403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken")
_SIDE_BY_SIDE = 16
_AT_ONCE = 1000
"""Keys that one request deletes."""


class Conflict(Exception):
    """What is there is not what the writer took to be there; nothing was written."""


@dataclass(frozen=True)
class Entry:
    """An object that is there.

    Args:
        etag: Changes with what is in it.
        size: In bytes.
    """

    etag: str
    size: int


class Bucket:
    """The objects of one storage, by their keys below its address."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._answered = False

    def get(self, key: str) -> tuple[bytes, str] | None:
        """What is in an object, and its ETag; None where there is none."""

        def ask() -> tuple[bytes, str]:
            answer = self._client.get_object(**self._named(key))
            return answer["Body"].read(), answer["ETag"]

        return self._unless_missing(ask)

    def get_all(self, keys: Sequence[str]) -> list[tuple[bytes, str] | None]:
        """As `get`, of many at once."""
        if len(keys) < 2:
            return [self.get(key) for key in keys]
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            return list(pool.map(self.get, keys))

    def head(self, key: str) -> tuple[Entry, float] | None:
        """What is said of an object, and how many seconds ago it was written, all by the clock of
        the server; None where there is none."""

        def ask() -> tuple[Entry, float]:
            from email.utils import parsedate_to_datetime

            answer = self._client.head_object(**self._named(key))
            now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
            age = (now - answer["LastModified"]).total_seconds()
            return Entry(answer["ETag"], answer["ContentLength"]), age

        return self._unless_missing(ask)

    def put(self, key: str, content: bytes, over: str | None = ANYTHING) -> str:
        """Writes an object whole; returns its ETag.

        Args:
            over: What it may take the place of: an ETag, `ANYTHING`, or None for nothing.

        Raises:
            Conflict: Something else is there.
        """
        condition = {} if over == ANYTHING else {"IfMatch": over} if over else {"IfNoneMatch": "*"}

        def ask() -> str:
            answer = self._client.put_object(**self._named(key), Body=content, **condition)
            return str(answer["ETag"])

        try:
            return self._asked(ask)
        except self._errors.ClientError as error:
            if _code(error) not in ("412", "PreconditionFailed", "404", "NoSuchKey"):
                raise self._told(error) from None
            if not condition or _code(error) == "NoSuchBucket":
                raise self._told(error) from None
        # A first try may have got through though its answer was lost.
        there = self.get(key)
        if there and there[0] == content:
            return there[1]
        raise Conflict(key)

    def entries(self, below: str) -> dict[str, Entry]:
        """All objects whose keys begin so, by key."""

        def ask() -> dict[str, Entry]:
            found = {}
            for page in self._pages(below):
                for row in page.get("Contents", ()):
                    key = row["Key"].removeprefix(self.address.path)
                    found[key] = Entry(row["ETag"], row["Size"])
            return found

        return self._told_as_ours(ask)

    def folders(self) -> list[str]:
        """The names of what lies in the storage, sorted."""

        def ask() -> list[str]:
            pages = self._pages("", Delimiter="/")
            rows = (row["Prefix"] for page in pages for row in page.get("CommonPrefixes", ()))
            return sorted(row.removeprefix(self.address.path).rstrip("/") for row in rows)

        return self._told_as_ours(ask)

    def delete(self, keys: Iterable[str]) -> None:
        """Deletes objects, in this order; that one is not there is no error."""
        left = [{"Key": self.address.path + key} for key in keys]
        for start in range(0, len(left), _AT_ONCE):
            part = {"Objects": left[start : start + _AT_ONCE], "Quiet": True}
            self._told_as_ours(partial(self._delete, part))

    def _delete(self, part: dict[str, Any]) -> None:
        self._client.delete_objects(Bucket=self.address.bucket, Delete=part)

    @property
    def _client(self) -> Any:
        return _client()

    @property
    def _errors(self) -> Any:
        _client()
        from botocore import exceptions

        return exceptions

    def _named(self, key: str) -> dict[str, str]:
        return {"Bucket": self.address.bucket, "Key": self.address.path + key}

    def _pages(self, below: str, **more: str) -> Iterator[dict[str, Any]]:
        pages = self._client.get_paginator("list_objects_v2")
        yield from pages.paginate(
            Bucket=self.address.bucket, Prefix=self.address.path + below, **more
        )

    def _unless_missing(self, ask: Callable[[], T]) -> T | None:
        try:
            return self._asked(ask)
        except self._errors.ClientError as error:
            if _code(error) in ("404", "NoSuchKey"):
                return None
            raise self._told(error) from None

    def _told_as_ours(self, ask: Callable[[], T]) -> T:
        try:
            return self._asked(ask)
        except self._errors.ClientError as error:
            raise self._told(error) from None

    def _asked(self, ask: Callable[[], T]) -> T:
        """The bucket's answer. One that has answered before may be away for a while.

        Raises:
            ClientError: It refuses.
            Unwritable: It does not answer.
        """
        until = time.monotonic() + (PATIENCE_SECONDS if self._answered else 0)
        pauses = iter(_PAUSES)
        pause = 0.0
        while True:
            try:
                found = ask()
                self._answered = True
                return found
            except self._errors.ClientError as error:
                if _code(error) not in _PASSING or time.monotonic() > until:
                    raise
            except (self._errors.BotoCoreError, OSError) as error:
                lasting = (self._errors.NoCredentialsError, self._errors.ParamValidationError)
                if isinstance(error, lasting) or time.monotonic() > until:
                    raise self._told(error) from None
            pause = next(pauses, pause)
            time.sleep(pause)

    def _told(self, error: Exception) -> Unwritable:
        where, code = str(self.address), _code(error)
        errors = self._errors
        if isinstance(error, errors.NoCredentialsError | errors.PartialCredentialsError):
            return Unwritable(
                f"{where} asks for credentials, and this machine has none: set AWS_ACCESS_KEY_ID "
                "and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, or give the machine a role"
            )
        if code == "NoSuchBucket":
            return Unwritable(f"{where} is in a bucket that is not there: make it first")
        if isinstance(error, errors.ClientError):
            remedy = "its credentials must list, read, write and delete there"
            if code in _REFUSED:
                return Unwritable(f"{where} refuses ({code}): {remedy}")
            message = error.response.get("Error", {}).get("Message", "").replace(": ", ", ")
            return Unwritable(f"{where} refuses ({code}, {message}): look at the server's own log")
        why = str(error).strip().split("\n")[0].partition(": ")[0]
        endpoint = self._client.meta.endpoint_url
        return Unwritable(
            f"{where} does not answer at {endpoint} ({why}): look at the network and the endpoint"
        )


def _code(error: Exception) -> str:
    with suppress(AttributeError):
        return str(error.response.get("Error", {}).get("Code", ""))  # type: ignore[attr-defined]
    return ""


@cache
def _client() -> Any:
    """Credentials, region and endpoint are found as every AWS tool finds them.

    Raises:
        EnvironmentTrouble: boto3 is not installed.
    """
    try:
        import boto3
        from botocore.config import Config
    except ImportError:
        raise EnvironmentTrouble(
            "--storage s3://... needs boto3: pip install 'gansweep[s3]'"
        ) from None
    return boto3.Session().client(
        "s3",
        config=Config(
            connect_timeout=5,
            read_timeout=30,
            retries={"mode": "standard", "total_max_attempts": 3},
            max_pool_connections=32,
        ),
    )
