"""What is known of the token for Ray before anybody shows it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sweeps import door
from sweeps.doctor.finding import OK, WARNING, WRONG, Finding


@dataclass(frozen=True)
class Token:
    """Where a token comes from, and who else could have it.

    Args:
        mode: Ray's mode in the environment; empty where it says nothing.
        given: It is in the environment.
        file: Where it would lie.
        rights: Of that file, as `chmod` counts them; None where there is no file.
        own: The file is this user's.
    """

    file: Path
    mode: str = ""
    given: bool = False
    rights: int | None = None
    own: bool = True

    @classmethod
    def here(cls) -> Token:
        """What this process would show."""
        file = door.token_file()
        try:
            facts = file.stat()
        except OSError:
            rights, own = None, True
        else:
            rights, own = stat.S_IMODE(facts.st_mode), facts.st_uid == os.geteuid()
        return cls(file, os.environ.get(door.MODE, ""), door.TOKEN in os.environ, rights, own)


def judge(token: Token, *, remote: bool, insecure: bool) -> Iterator[Finding]:
    """Whether Ray has a token, and nobody else does.

    Args:
        remote: A cluster that runs already is to be joined.
    """
    if insecure:
        yield Finding(
            "token",
            WARNING,
            "--insecure: none is shown",
            f"start the cluster with {door.MODE}=token",
        )
    elif token.mode.lower() not in ("", "token"):
        yield Finding(
            "token",
            WRONG,
            f"{door.MODE}={token.mode} would let anyone run code",
            f"`unset {door.MODE}`",
        )
    elif token.given:
        yield Finding("token", OK, f"in {door.TOKEN}")
    elif token.rights is None and not remote:
        yield Finding("token", OK, f"none yet: a sweep makes one in {token.file}")
    elif token.rights is None:
        yield Finding(
            "token",
            WRONG,
            f"there is none in {token.file} or {door.TOKEN}",
            "on the cluster's head `ray get-auth-token` shows it; put it there",
        )
    elif token.rights & 0o022 and not token.own:
        yield Finding(
            "token",
            WRONG,
            f"{token.file} is somebody else's, who may write it",
            f"`chmod 600 {token.file}` as its owner",
        )
    elif token.rights & 0o077 and token.own:
        yield Finding(
            "token",
            WARNING,
            f"others can read {token.file} (mode {token.rights:04o})",
            f"`chmod 600 {token.file}`",
        )
    else:
        yield Finding("token", OK, f"in {token.file}, for this user alone")
