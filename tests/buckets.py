"""A bucket on a local S3 server, for tests."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

NAME = "gansweep-tests"


class Server:
    """Serves S3 on the loopback interface; what is in its buckets outlives a stop."""

    def __init__(self) -> None:
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._make = ThreadedMotoServer
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        self.port = int(self._server.get_host_and_port()[1])

    @property
    def environment(self) -> Mapping[str, str]:
        """By which boto3 finds it."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing-secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def stop(self) -> None:
        self._server.stop()

    def start_again(self) -> None:
        self._server = self._make(ip_address="127.0.0.1", port=self.port, verbose=False)
        self._server.start()


@contextmanager
def served() -> Iterator[Server]:
    """A server with an empty bucket `NAME`, which this process and its children find."""
    from sweeps.bucket import access, client

    server = Server()
    with patch.dict("os.environ", server.environment):
        for cached in (client._client, access.of, access.bucket_of):
            cached.cache_clear()
        try:
            import boto3

            boto3.client("s3").create_bucket(Bucket=NAME)
            yield server
        finally:
            empty()
            server.stop()
            client._client.cache_clear()


def downloaded(address: str, target: Path) -> Path:
    """A sweep as the bucket has it, as a folder that is a copy of nothing.

    Args:
        address: Of the sweep, `s3://gansweep-tests/...`.
    """
    from sweeps.bucket.address import Address
    from sweeps.bucket.client import Bucket
    from sweeps.bucket.lease import LEASE
    from sweeps.bucket.pieces import Written, all_lines

    found = Bucket(Address.of(address))
    for key in found.entries(""):
        if key == LEASE or key.startswith("sealed/"):
            continue
        content = (found.get(key) or (b"",))[0]
        if key.startswith("journal/"):
            content = all_lines(found, Written.of(content), f"sealed/{Path(key).stem}/")
        file = target / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return target


def empty() -> None:
    """Takes all that is in its buckets from the server, and the buckets too."""
    from moto.backends import get_backend

    get_backend("s3").reset()
