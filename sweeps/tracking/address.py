"""Addresses of tracking stores: the default one, what may be one, and how to speak of one."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from sweeps import secret
from sweeps.errors import UserError

SERVERS = ("http", "https", "databricks")
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")


def default_uri(storage: Path) -> str:
    """The store beside the sweeps of a storage folder: one SQLite file."""
    # SQLAlchemy reads the path as a part of a URL: `%`, `?` and `#` would not survive bare.
    return f"sqlite:///{quote(str(database_file(storage)))}"


def clear_quoted(uri: str) -> None:
    """Deletes the empty folder `my%20runs` that MLflow makes beside `my runs`: it forgets to
    unquote the address of a SQLite file.
    """
    path = uri.removeprefix("sqlite:///")
    if path != uri and unquote(path) != path:
        with suppress(OSError):  # It is not empty: somebody's own.
            os.removedirs(Path(path).parent)


def database_file(storage: Path) -> Path:
    """Where the default store of a storage folder lies."""
    return storage.resolve() / "mlflow.db"


def artifact_folder(storage: Path) -> Path:
    """Where pictures and models go when no server takes them."""
    return storage.resolve() / "mlartifacts"


def is_server(uri: str) -> bool:
    """Whether a server stands between us and the database, and takes the artifacts too."""
    return _scheme(uri) in SERVERS


def check_uri(uri: str) -> None:
    """Refuses what cannot be a tracking store, without asking it.

    Raises:
        UserError: No known scheme, or MLflow's folder store, which keeps a point twice when it
            is sent twice.
    """
    if _scheme(uri) not in SERVERS + DATABASES:
        raise UserError(
            f"--tracking-uri: {redacted(uri)!r} is neither a server (http, https) nor a database "
            f"({', '.join(DATABASES)})"
        )


def redacted(uri: str) -> str:
    """An address as it may be shown and stored: without password, token or query."""
    parts = urlsplit(uri)
    login, at, host = parts.netloc.rpartition("@")
    return urlunsplit((parts.scheme, login.partition(":")[0] + at + host, parts.path, "", ""))


def scrubbed(text: str, uri: str) -> str:
    """A message without the secrets of an address that it may quote."""
    parts = urlsplit(uri)
    for known in {parts.password or "", unquote(parts.password or ""), parts.query} - {""}:
        text = text.replace(known, secret.STANDS_FOR)
    return secret.scrubbed(text)


def _scheme(uri: str) -> str:
    return urlsplit(uri).scheme.partition("+")[0]
