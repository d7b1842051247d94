"""Who may enter Ray: everyone shows a token, which lies in a file for this user alone."""

from __future__ import annotations

import os
import secrets
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sweeps.children import python, python_path
from sweeps.errors import EnvironmentTrouble, UserError

MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
KNOCK_SECONDS, ANSWER_SECONDS = 30, 5
LET_IN, REFUSED, NOBODY = "let-in", "refused", "nobody"


def shut(address: str | None, *, insecure: bool) -> None:
    """Makes Ray ask for a token, and makes one where a cluster is about to start without.

    Ray does so by itself for some of its starts only, and in a file that everyone can read.

    Args:
        address: Of a running cluster, which has a token already; None is a new one.
        insecure: Joins a cluster that asks nobody for a token, and says so.

    Raises:
        UserError: A cluster of one's own shall be open.
        EnvironmentTrouble: The environment switches tokens off, or the file is not safe.
    """
    if insecure and address is None:
        raise UserError("--insecure: Ray on this machine always has a token; give --address too")
    if insecure:
        os.environ[MODE] = "disabled"
        print(
            f"warning: --insecure: the cluster at {address} asks nobody for a token; whoever "
            "reaches it can run anything on it, and read what this sweep reads",
            file=sys.stderr,
        )
        return
    mode = os.environ.setdefault(MODE, "token")
    if mode.lower() != "token":
        raise EnvironmentTrouble(
            f"{MODE}={mode} would let anyone run code: unset it, or join a cluster that has no "
            "token with --insecure"
        )
    if TOKEN not in os.environ:
        file = token_file()
        if address is None and not file.exists():
            _make(file)
        if not file.exists():
            raise EnvironmentTrouble(
                f"there is no token for the Ray cluster at {address}: on its head `ray "
                f"get-auth-token` shows it; put it into {file}, or into {TOKEN} (if it asks nobody "
                "for one, --insecure joins it all the same)"
            )
        _keep_private(file)


def token_file() -> Path:
    """Where Ray looks for the token unless the environment has it."""
    named = os.environ.get(TOKEN_PATH)
    return Path(named).expanduser() if named else Path.home() / ".ray" / "auth_token"


def token() -> str:
    """The token that we show, once `shut` has seen that there is one."""
    return (os.environ.get(TOKEN) or token_file().read_text()).strip()


def knock(address: str, *, insecure: bool) -> None:
    """Asks a running cluster whether it lets us in, and whether it would let in anybody.

    Ray itself tries a wrong token for 20 seconds and an address where nobody is for minutes, and
    joins an open cluster without a word.

    Raises:
        EnvironmentTrouble: It wants another token, or none; or nobody answers.
    """
    try:
        done = subprocess.run(
            [python(), "-P", "-m", "sweeps.door", address],
            env={**os.environ, "PYTHONPATH": python_path()},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=KNOCK_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return  # Joining it will say more.
    answers = done.stdout.split()
    where = f"the Ray cluster at {address}"
    if answers[:1] == [NOBODY]:
        raise EnvironmentTrouble(
            f"cannot reach {where}: nobody answers at {answers[1]}; `ray status` on its head says "
            "whether it runs, and `ray start --head` starts one"
        )
    judge(where, answers, insecure=insecure)


def judge(where: str, answers: list[str], *, insecure: bool) -> None:
    """Refuses a cluster that does not let us in, or lets in everybody.

    Args:
        where: What a message calls it.
        answers: What it says to who has no token, and to who has ours.

    Raises:
        EnvironmentTrouble: It wants another token, or none.
    """
    if insecure and answers[:1] == [REFUSED]:
        raise EnvironmentTrouble(f"{where} asks for a token: leave --insecure away")
    if answers[1:] == [REFUSED]:
        own = TOKEN if TOKEN in os.environ else token_file()
        raise EnvironmentTrouble(
            f"{where} has another token than {own}: on its head `ray get-auth-token` shows it; "
            f"put it there, or into {TOKEN}"
        )
    if not insecure and answers[:1] == [LET_IN]:
        raise EnvironmentTrouble(
            f"{where} asks nobody for a token, so that whoever reaches it runs anything on it: "
            f"start it with {MODE}=token, or join it with --insecure"
        )


def make_known() -> None:
    """Lets Ray look at the environment and the token's file again: it does so once, on import."""
    from ray import _raylet

    _raylet.Config.initialize("")  # type: ignore[attr-defined]
    _raylet.AuthenticationTokenLoader.instance().reset_cache()  # type: ignore[attr-defined]


@contextmanager
def on_loopback() -> Iterator[None]:
    """Ray that starts in this context listens on loopback, and on nothing else.

    Ray replaces a loopback address that it is given by one that others reach, and then listens
    on all; only where it knows no clusters (as by default on macOS) it does neither.
    """
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def _make(file: Path) -> None:
    """Writes a new token: never over another, and at no time for others to read."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    scratch = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(handle, secrets.token_hex(32).encode())
        os.fsync(handle)
        os.link(scratch, file)
    except FileExistsError:
        pass  # Another process was faster: its token counts.
    finally:
        os.close(handle)
        scratch.unlink()


def _keep_private(file: Path) -> None:
    """Takes from others what they may do with a token of ours, and with its folder.

    Raises:
        EnvironmentTrouble: Somebody else can write what we would take for our token.
    """
    for path in (file.parent, file):
        facts = path.stat()
        open_to = stat.S_IMODE(facts.st_mode) & (0o022 if path != file else 0o077)
        if not open_to:
            continue
        if facts.st_uid != os.geteuid():
            # A secret that is mounted for us is its owner's to guard, unless others may write.
            if open_to & 0o022:
                raise EnvironmentTrouble(f"{path} is somebody else's, who may write it: chmod 600")
            continue
        path.chmod(0o700 if path != file else 0o600)
        if path == file:
            print(
                f"warning: others could read {file}, which is mode 0600 now; on a machine that "
                "you share, delete it for a new token",
                file=sys.stderr,
            )


def _main(address: str) -> None:
    """Says how a cluster answers who has no token, and who has ours; in a process of its own."""
    from ray import _raylet
    from ray._private.services import canonicalize_bootstrap_address
    from ray.exceptions import AuthenticationError

    found = canonicalize_bootstrap_address(address)  # Ray's view: loopback is another host for it.
    host, _, port = str(found).rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS).close()
    except OSError:
        print(NOBODY, found, flush=True)
        return
    for mode in ("disabled", "token"):
        os.environ[MODE] = mode
        make_known()
        try:
            _raylet.GcsClient(  # type: ignore[attr-defined]
                address=found
            )
        except AuthenticationError:
            print(REFUSED, flush=True)
        else:
            print(LET_IN, flush=True)


if __name__ == "__main__":
    _main(sys.argv[1])
