"""Whether a tracking store can be used, looked at without leaving anything there."""

from __future__ import annotations

import importlib.util
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from sweeps.errors import UserError
from sweeps.tracking.address import (
    check_uri,
    database_file,
    default_uri,
    is_server,
    redacted,
    scrubbed,
)

ANSWER_SECONDS = 5
BUSY_SECONDS = 2
_REVISION = re.compile(r"^(down_)?revision\s*=\s*(.+)$", re.M)


@dataclass(frozen=True)
class Visit:
    """What came of a look at a tracking store.

    Args:
        found: In a few words, without secrets.
        remedy: What to do; empty where the store can be used.
        usable: Whether its address could be that of a store at all.
    """

    found: str
    remedy: str = ""
    usable: bool = True


def visit(uri: str | None, storage: Path) -> Visit:
    """Asks a store whether it answers, is of our version, and takes what is written.

    Args:
        uri: None takes the store beside the sweeps.
    """
    if uri is None or uri == default_uri(storage):
        return _beside(database_file(storage))
    try:
        check_uri(uri)
    except UserError:
        return Visit(
            f"{redacted(uri)!r} is neither a server nor a database",
            "give --tracking-uri an address such as `http://host:5000`, or leave it away",
            usable=False,
        )
    return _elsewhere(uri, storage)


def newest_schema() -> set[str]:
    """The versions of the tables that the installed MLflow works with, without importing it."""
    spec = importlib.util.find_spec("mlflow")
    if spec is None or spec.origin is None:
        return set()
    made: set[str] = set()
    left: set[str] = set()
    folder = Path(spec.origin).parent / "store" / "db_migrations" / "versions"
    for file in folder.glob("*.py"):
        for before, value in _REVISION.findall(file.read_text(encoding="utf-8")):
            (left if before else made).update(re.findall(r"\w{8,}", value))
    return made - left


def _beside(file: Path) -> Visit:
    """A SQLite file, looked at without MLflow, which takes a second to import."""
    if not file.exists():
        return Visit(f"{file}, made by the first sweep")
    try:
        with closing(
            sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, timeout=BUSY_SECONDS)
        ) as database:
            database.execute("BEGIN IMMEDIATE")  # Closing it takes that back.
            rows = database.execute("SELECT version_num FROM alembic_version").fetchall()
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            return Visit(f"{file}, which somebody is writing to")
        if "no such table" in str(error):
            return Visit(f"{file}, whose tables a sweep makes")
        return Visit(
            f"{file} cannot be written ({error})",
            "make it writable, or give another --tracking-uri",
        )
    except sqlite3.DatabaseError as error:
        return Visit(
            f"{file} is damaged ({error})",
            "move it away; `gansweep sync --rebuild` makes it anew for each sweep",
        )
    found, needed = {str(row[0]) for row in rows}, newest_schema()
    if needed and found and found != needed:
        return Visit(
            f"{file} has tables of version {', '.join(sorted(found))}, "
            f"MLflow {_mlflow()} needs {', '.join(sorted(needed))}",
            f"of an older MLflow, copy it and `mlflow db upgrade sqlite:///{file}`; "
            "of a newer one, install that",
        )
    return Visit(f"{file}, of MLflow {_mlflow()}")


def _elsewhere(uri: str, storage: Path) -> Visit:
    """A server or a database of somebody's, by MLflow's own client."""
    shown = redacted(uri)
    there = ""
    if is_server(uri) and not uri.startswith("databricks"):
        answer = _server_version(uri)
        if answer is None:
            return Visit(
                f"nobody answers at {shown}",
                "start it with `mlflow server`, or look at the address; no trial waits for it",
            )
        there = answer
    from sweeps.tracking.store import (
        EXPERIMENT_TAGS,
        Failure,
        RunGone,
        Store,
        StoreReplaced,
        failures,
    )

    store = Store(uri, storage)
    try:
        with failures(uri):
            # What any sweep does first; a tag that is there already is set to what it is.
            for tag in EXPERIMENT_TAGS.items():
                store.client.set_experiment_tag(store.experiment_id, *tag)
    except ImportError as error:
        return Visit(f"{shown} needs {error.name}", f"`pip install {error.name}`")
    except Failure as failure:
        what, _, remedy = failure.trouble.message.partition(": ")
        return Visit(f"{shown} refuses: {what}", remedy or "look at its log, and at the login")
    except (RunGone, StoreReplaced) as error:
        return Visit(f"{shown} refuses: {scrubbed(str(error), uri)}", "look at its log")
    if there and _minor(there) != _minor(_mlflow()):
        return Visit(
            f"{shown} is MLflow {there}, here is {_mlflow()}", "install the same on both sides"
        )
    return Visit(f"{shown} takes what is written" + (f", MLflow {there}" if there else ""))


def _server_version(uri: str) -> str | None:
    """The version that a server tells; empty where it does not, None where nobody is."""
    import requests

    parts = urlsplit(uri)
    address = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") + "/version", "", ""))
    try:
        answer = requests.get(address, timeout=ANSWER_SECONDS)
    except requests.exceptions.SSLError:
        return ""  # MLflow's own client may know of a certificate.
    except requests.RequestException:
        return None
    text = answer.text.strip() if answer.ok else ""
    return text if re.fullmatch(r"\d+\.\d+[\w.]*", text) else ""


def _minor(release: str) -> list[str]:
    return release.split(".")[:2]


def _mlflow() -> str:
    try:
        return version("mlflow")
    except PackageNotFoundError:
        return "none"
