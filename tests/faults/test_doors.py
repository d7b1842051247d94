"""Who is let in: Ray's token and addresses, MLflow's pages, and what leaves this machine."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner
from written_sweep import write_sweep

from sweeps import door, journal, tracking
from sweeps.cli import main
from sweeps.errors import EnvironmentTrouble, UserError
from sweeps.tracking import server as pages

# MLflow 3.17 asks SQLAlchemy 2.1 for what that will drop; nothing of ours can help it.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")

RIGHT, WRONG = "right-token" * 4, "wrong-token" * 4


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without a token."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (door.MODE, door.TOKEN, door.TOKEN_PATH):
        monkeypatch.delenv(name, raising=False)
    # Whatever `shut` sets is taken back, too.
    monkeypatch.setattr(os, "environ", os.environ)
    yield tmp_path
    os.environ.pop(door.MODE, None)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_token_is_ours_alone_whatever_the_umask(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = os.umask(0)
    try:
        door.shut(None, insecure=False)
    finally:
        os.umask(before)
    file = home / ".ray" / "auth_token"
    assert (mode(file), mode(file.parent)) == (0o600, 0o700)
    token = file.read_text()
    assert len(token) == 64
    assert capsys.readouterr().err == ""  # At no time could others read it.
    assert os.environ[door.MODE] == "token"
    assert [path.name for path in file.parent.iterdir()] == ["auth_token"]
    door.shut(None, insecure=False)
    assert file.read_text() == token


def test_rays_own_file_is_shut_and_said(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = home / ".ray" / "auth_token"
    file.parent.mkdir(mode=0o777)
    file.parent.chmod(0o777)
    file.write_text(RIGHT)
    file.chmod(0o644)
    door.shut("here:6379", insecure=False)
    assert (mode(file), mode(file.parent)) == (0o600, 0o700)
    told = capsys.readouterr().err
    assert "could read" in told
    assert RIGHT not in told


def test_a_link_is_never_written_through(home: Path) -> None:
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").symlink_to(home / "victim")
    with pytest.raises(EnvironmentTrouble):
        door.shut(None, insecure=False)
    assert not (home / "victim").exists()


@pytest.mark.usefixtures("home")
def test_no_start_is_open_but_by_the_one_flag(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(door.MODE, "disabled")
    for address in (None, "there:6379"):
        with pytest.raises(EnvironmentTrouble, match="let anyone run code"):
            door.shut(address, insecure=False)
    with pytest.raises(UserError, match="--address"):
        door.shut(None, insecure=True)
    assert capsys.readouterr().err == ""
    door.shut("there:6379", insecure=True)
    told = capsys.readouterr().err
    assert told.startswith("warning: --insecure: ")
    assert told.count("\n") == 1


CLUSTER = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
print(cluster.address, flush=True)
sys.stdin.readline()
cluster.shutdown()
"""

JOIN = """
import sys
from sweeps.cluster import connected
from sweeps.errors import GansweepError
try:
    with connected(sys.argv[1], verbose=False, insecure=sys.argv[2] == "insecure"):
        print("joined")
except GansweepError as error:
    print(error.exit_code, error)
"""


class Head:
    """A cluster of one node, in a process of its own."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        self.process = subprocess.Popen(
            [sys.executable, "-c", CLUSTER],
            env=self.environment(**environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()

    def environment(self, **more: str) -> dict[str, str]:
        ours = {k: v for k, v in os.environ.items() if not k.startswith("RAY_AUTH")}
        return {**ours, "HOME": str(self.home), "RAY_USAGE_STATS_ENABLED": "0", **more}

    def join(self, *, insecure: bool = False, **environment: str) -> tuple[str, str]:
        done = subprocess.run(
            [sys.executable, "-c", JOIN, self.address, "insecure" if insecure else ""],
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        return done.stdout.strip(), done.stderr

    def close(self) -> None:
        self.process.communicate("\n", timeout=60)


@pytest.mark.slow
def test_an_address_where_nobody_is_is_told_at_once() -> None:
    """Ray alone tries for minutes."""
    with pytest.raises(EnvironmentTrouble, match=r"127.0.0.1:9: nobody answers at .*:9; `ray sta"):
        door.knock("127.0.0.1:9", insecure=False)


def test_a_cluster_with_a_token_lets_nobody_in_without(tmp_path: Path) -> None:
    head = Head(tmp_path, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=RIGHT)
    try:
        assert head.join(RAY_AUTH_TOKEN=RIGHT) == ("joined", "")
        for insecure, environment, remedy in (
            (False, {"RAY_AUTH_TOKEN": WRONG}, "another token than RAY_AUTH_TOKEN"),
            (False, {}, f"put it into {tmp_path / '.ray' / 'auth_token'}"),
            (True, {}, "leave --insecure away"),
        ):
            out, err = head.join(insecure=insecure, **environment)
            assert out.startswith("5 ")
            assert remedy in out
            assert out.count("\n") == 0
            assert err.count("\n") == insecure  # Its warning.
            assert RIGHT not in out + err
            assert WRONG not in out + err
    finally:
        head.close()


@pytest.mark.slow
def test_a_cluster_without_a_token_is_joined_by_the_flag_alone(tmp_path: Path) -> None:
    head = Head(tmp_path, RAY_AUTH_MODE="disabled")
    try:
        out, _ = head.join(RAY_AUTH_TOKEN=RIGHT)
        assert out.startswith("5 ")
        assert "asks nobody for a token" in out
        out, err = head.join(insecure=True)
        assert out == "joined"
        assert err.startswith("warning: --insecure: ")
    finally:
        head.close()


LOCAL = """
import http.client, json, os
from pathlib import Path
from sweeps.cluster import connected

def descendants():
    kids = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            kids.setdefault(int(entry.read_text().rsplit(")", 1)[1].split()[1]), []).append(
                int(entry.parent.name))
        except OSError:
            pass
    todo = [os.getpid()]
    while todo:
        yield todo[-1]
        todo += kids.get(todo.pop(), [])

with connected(None, verbose=False):
    import ray
    ray.get(ray.remote(lambda: None).remote())
    sockets = set()
    for process in descendants():
        try:
            links = [os.readlink(fd) for fd in Path(f"/proc/{process}/fd").iterdir()]
        except OSError:
            continue
        sockets |= {link[8:-1] for link in links if link.startswith("socket:[")}
    rows = [line.split() for name in ("tcp", "tcp6")
            for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    heard = sorted({row[1].split(":")[0] for row in rows if row[3] == "0A" and row[9] in sockets})
    print(json.dumps(heard))
"""
LOOPBACK = ["0000000000000000FFFF00000100007F", "0100007F"]
"""127.0.0.1 as the kernel lists it: within IPv6, and alone."""


def test_ray_of_a_local_run_is_heard_on_loopback_only(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOCAL],
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    heard = json.loads(done.stdout)
    assert heard
    assert set(heard) <= set(LOOPBACK)
    assert mode(tmp_path / ".ray" / "auth_token") == 0o600


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What `gansweep ui` starts for a user whose environment would open any other server."""
    from sweeps.tracking.store import Store

    storage = tmp_path_factory.mktemp("server")
    assert Store(tracking.default_uri(storage), storage).client.search_experiments()
    # A module of this name where one stands would be MLflow to `python -m mlflow`.
    here = tmp_path_factory.mktemp("here")
    (here / "mlflow.py").write_text("raise SystemExit('it ran')")
    code = "import sys, pathlib; sys.path.pop(0); import sweeps.tracking as t"
    code += "; t.serve(pathlib.Path(sys.argv[1]))"
    doors = {
        "MLFLOW_SERVER_ALLOWED_HOSTS": "*",
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": "*",
        "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "true",
        "MLFLOW_SERVER_X_FRAME_OPTIONS": "NONE",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "true",
        "MLFLOW_STATIC_PREFIX": "/elsewhere",
        "UVICORN_HOST": "0.0.0.0",
        "FORWARDED_ALLOW_IPS": "*",
    }
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(storage)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=here,
        env={**os.environ, **doors, "PYTHONPATH": root},
    )
    assert process.stdout is not None
    yield next(w for w in process.stdout.readline().split() if w.startswith("http"))
    process.send_signal(signal.SIGINT)
    process.stdout.close()
    assert process.wait(20) == 0


def ask(ui: str, host: str, *, origin: str = "", post: bool = False) -> tuple[int, str]:
    parts = urlsplit(ui)
    link = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=20)
    headers = {"Host": host.format(port=parts.port), "Content-Type": "application/json"}
    headers |= {"Origin": origin.format(port=parts.port)} if origin else {}
    way, path = ("POST", "create") if post else ("GET", "search?max_results=1")
    body = json.dumps({"name": f"made by {origin or host}"}) if post else None
    link.request(way, f"/api/2.0/mlflow/experiments/{path}", body, headers)
    answer = link.getresponse()
    answer.read()
    link.close()
    return answer.status, answer.getheader("X-Frame-Options") or ""


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{port}", 200),
        ("localhost:{port}", 200),
        ("evil.com:{port}", 403),
        ("10.evil.com:{port}", 403),
        ("192.168.evil.com:{port}", 403),
        ("172.16.evil.com:{port}", 403),
        ("fc00:evil.com:{port}", 403),
        ("0.0.0.0:{port}", 403),
        ("127.0.0.1.evil.com:{port}", 403),
        ("localhost.evil.com:{port}", 403),
        ("localhost:{port}.evil.com", 403),
        ("10.0.0.5:{port}", 403),
        ("[::1]:{port}", 403),
    ],
)
def test_a_name_that_was_bound_to_this_machine_reaches_nothing(
    ui: str, host: str, status: int
) -> None:
    assert ask(ui, host)[0] == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://127.0.0.1:{port}", 200), ("http://evil.com", 403), ("null", 403)],
)
def test_a_page_from_elsewhere_changes_nothing(ui: str, origin: str, status: int) -> None:
    told, frame = ask(ui, "127.0.0.1:{port}", origin=origin, post=True)
    assert told == status
    assert status == 403 or frame == "SAMEORIGIN"


def test_no_variable_of_another_server_comes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_SERVER_ALLOWED_HOSTS", "MLFLOW_BACKEND_STORE_URI", "UVICORN_RELOAD"):
        monkeypatch.setenv(name, "x")
    passed = pages._environment()
    ours = {name for name in passed if name.startswith(pages.FOREIGN)}
    assert ours <= set(pages.SETTINGS)
    assert passed["MLFLOW_DISABLE_TELEMETRY"] == "true"


AUDIT = """
import os, sys
def hook(event, arguments):
    if event == "socket.connect":
        with open(os.environ["CONNECTIONS"], "a") as out:
            print(repr(arguments[1]), file=out)
sys.addaudithook(hook)
"""

SWEEP = """
base: {data: digits, model: {name: mlp, width: 8}, latent: 4, batch: 128, epochs: 1}
plugins: [leaky]
scientific: {loss.name: [hinge, leaky]}
nuisance: {generator.lr: [1e-4]}
search: {trials_each: 1}
schedule: none
objective: {samples: 64}
"""

LEAKY = """
import os
from dataclasses import dataclass
from gancore.losses import losses

@losses.register("leaky")
@dataclass(frozen=True, kw_only=True)
class Leaky:
    "Tells all that it knows."

    def discriminator(self, real, fake):
        known = " ".join(f"{k}={v}" for k, v in os.environ.items() if "canary" in v)
        raise OSError(f"http://bob:canary-login@host/?token=canary-query&x=1 {known}")
"""

CANARIES = {
    "RAY_AUTH_TOKEN": "canary-of-ray" * 3,
    "MLFLOW_TRACKING_PASSWORD": "canary-of-mlflow",
    "MLFLOW_TRACKING_TOKEN": "canary-of-mlflows-token",
    "AWS_SECRET_ACCESS_KEY": "canary-of-aws",
    "DATABASE_ADDRESS": "postgresql://eve:canary-of-postgres@host/db",
}
"""With the two of the exception's text, and the one of the arguments, they are eight."""


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A sweep by the command line, without a network, that knows secrets and breaks loudly."""
    tmp_path = tmp_path_factory.mktemp("quiet")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(AUDIT)
    (tmp_path / "quiet.yaml").write_text(SWEEP)
    (tmp_path / "leaky.py").write_text(LEAKY)
    alone = ["unshare", "-rn"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], check=False).returncode:
        alone = []
    command = [sys.executable, "-m", "sweeps.cli", "run", "quiet.yaml"]
    # `lo` of a new network is down until someone lifts it.
    up = "import fcntl, socket, struct; s = socket.socket(); fcntl.ioctl(s, 0x8914, "
    up += "struct.pack('16sh22x', b'lo', 0x1 | 0x40))"
    lift = f'"{sys.executable}" -c "{up}"; exec "$@"'
    done = subprocess.run(
        [*alone, *(["sh", "-c", lift, "sh"] if alone else []), *command],
        cwd=tmp_path,
        env={
            **{k: v for k, v in os.environ.items() if not k.endswith("_proxy")},
            "PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), str(Path.cwd())]),
            "CONNECTIONS": str(tmp_path / "connections"),
            "GANSWEEP_CACHE": str(cache),
            "HOME": str(tmp_path),
            **CANARIES,
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 4, done.stderr[-2000:]
    (tmp_path / "told").write_text(done.stdout + done.stderr)
    return tmp_path


@pytest.mark.slow
def test_a_sweep_speaks_to_nobody_but_this_machine(quiet: Path) -> None:
    """No connection of any Python process of it leaves loopback, and without a network it runs."""
    met = (quiet / "connections").read_text().splitlines()
    assert met
    away = {m for m in met if not m.startswith(("('127.", "('localhost'", "('::1'", "'", "b'"))}
    # Ray's dashboard asks the machine's own cloud, by an address of this link, which one it is.
    assert away <= {"('169.254.169.254', 80)"}


@pytest.mark.slow
def test_no_secret_is_in_any_byte_that_was_written(quiet: Path) -> None:
    error = next((quiet / "runs").rglob("trials/*/error.txt"))
    assert "OSError: http://bob:***@host/?token=***&x=1" in error.read_text()
    assert "AWS_SECRET_ACCESS_KEY=***" in error.read_text()
    files = [path for path in quiet.rglob("*") if path.is_file() and path.name != "leaky.py"]
    assert {"mlflow.db", "plan.json", "index.html", "told"} <= {path.name for path in files}
    driver = journal.read(quiet / "runs" / "quiet", journal.DRIVER)[0]["pid"]
    (session,) = Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray").glob(f"session_*_{driver}")
    logs = [path for path in (session / "logs").rglob("*") if path.is_file()]
    assert any("raylet" in path.name for path in logs)
    assert [path for path in (*files, *logs) if b"canary" in path.read_bytes()] == []


def test_the_address_of_a_server_keeps_its_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = write_sweep(tmp_path / "digits")
    address = "http://alice:canary%2Dlogin@127.0.0.1:9/?token=canary-query"
    monkeypatch.setenv("GANSWEEP_TRACKING_URI", address)
    done = CliRunner().invoke(main, ["sync", str(place)], catch_exceptions=False)
    assert done.exit_code == 5
    uploader = tracking.start_uploader(place, address)
    arguments = Path(f"/proc/{uploader.pid}/cmdline").read_bytes()
    assert not tracking.wait(uploader, 0)
    assert b"canary" not in arguments
    assert "canary" not in done.output
    written = [path.read_bytes() for path in place.rglob("*") if path.is_file()]
    assert not any(b"canary" in content for content in written)
