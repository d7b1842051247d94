"""MLflow on PostgreSQL with 1,000 runs of 10 epochs: does the upload keep up, do the pages open?

    pip install -r deploy/mlflow/requirements.txt   # and PostgreSQL's programs, as Debian has them
    python benchmarks/mlflow_postgres.py            # about fifteen minutes

PostgreSQL and `deploy/mlflow/serve` run on loopback, in a temporary folder. Three questions:

1. How many points a second does `gansweep sync` bring into an empty MLflow?
2. A sweep that reports `--rate` epochs a second: how far does its uploader lag behind? (100 trials
   at a time, each with an epoch every 10 seconds, report 10 a second.) It ends after `--seconds`.
3. How long until Chromium shows the parent's page, and the table of runs?

Its figures stand in docs/CLUSTER.md.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import math
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

LOSSES = ["nonsaturating", "hinge", "wasserstein_gp", "minimax", "least_squares"]
VALUES = 20
"""Numbers an epoch, about as many as a trial reports."""

POINTS = "select count(*) from metrics where key = 'fid1k'"
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rate", type=float, default=10, help="epochs a second of the live sweep")
    parser.add_argument("--seconds", type=float, default=300, help="how long the live sweep runs")
    parser.add_argument("--pictures", type=Path, help="a folder for screenshots of the pages")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        with postgres(folder / "database") as database, mlflow(folder, database) as address:
            whole(folder, address, database, given)
            opened = asyncio.run(pages(folder, address, given))
            for what, seconds in opened.items():
                print(f"{what:32}{seconds:8.2f} s (median of 5)", flush=True)
            live(folder, address, database, given)


# 1 and 2: what a sweep writes, and what becomes of it.


def planned(place: Path, given: argparse.Namespace) -> list[str]:
    """A sweep's folder before it ran; its trials."""
    from sweeps import SweepSpec, make_plan
    from sweeps.plan import Plan

    place.mkdir(parents=True)
    base = {"data": {"name": "mnist5k", "resolution": 32}, "model": "dcgan"}
    content: dict[str, Any] = {
        "name": place.name,
        "base": {**base, "epochs": given.epochs},
        "scientific": {"loss.name": LOSSES},
        "nuisance": {
            "generator.lr": {"log_uniform": [1e-5, 1e-2]},
            "discriminator.lr": {"log_uniform": [1e-5, 1e-2]},
        },
        "search": {"trials_each": given.trials // len(LOSSES)},
        "objective": {"samples": 1000},
    }
    make_plan(SweepSpec.of(content)).write(place)
    (place / "sweep.yaml").write_text("# Which loss wins?\nbase: {data: mnist5k}\n")
    return [trial.uid for trial in Plan.read(place).trials]


def begin(log: Any, uid: str) -> None:
    told = {"node": "node7", "device": "cuda", "code_version": "0.1", "versions": {"torch": "2"}}
    passport = {"features": "classifier", "generated": 1000}
    log.append("start", trial=uid, attempt=1, pid=1, passport=passport, passport_digest="1", **told)


def report(log: Any, uid: str, epoch: int) -> None:
    chance = random.Random(f"{uid} {epoch}")
    values = {f"signal/{k}": chance.random() for k in range(VALUES - 1)}
    values["fid1k"] = 5 + 300 * math.exp(-epoch) + chance.random()
    told = {"verdict": "healthy", "evidence": ""}
    log.append("epoch", trial=uid, attempt=1, epoch=epoch, values=values, **told)


def finish(log: Any, uid: str, epochs: int) -> None:
    how = {"state": "completed", "verdict": "healthy", "reason": "all epochs trained"}
    log.append("end", trial=uid, attempt=1, epoch=epochs, **how)


def drive(place: Path, state: str) -> None:
    from sweeps import journal
    from sweeps.journal import Journal

    with Journal(place, journal.DRIVER) as log:
        log.append("sweep", state=state, pid=1, code_version="0.1", id=place.name)


def whole(folder: Path, address: str, database: Database, given: argparse.Namespace) -> None:
    """A finished sweep into an empty store, and then again, when there is nothing to send."""
    from sweeps.journal import Journal

    place = folder / "runs" / "whole"
    trials = planned(place, given)
    drive(place, "running")
    for uid in trials:
        with Journal(place, uid) as log:
            begin(log, uid)
            for epoch in range(1, given.epochs + 1):
                report(log, uid, epoch)
            finish(log, uid, given.epochs)
    drive(place, "finished")
    words = [sys.executable, "-m", "sweeps.cli", "sync", "whole", "--tracking-uri", address]
    words += ["--storage", str(place.parent)]
    first = timed(lambda: subprocess.run(words, check=True, stdout=subprocess.DEVNULL))
    points, runs = database.count("select count(*) from metrics"), database.count(RUNS)
    print(f"{runs} runs with {points} points: gansweep sync {first:.1f} s,", end=" ")
    print(f"{points / first:.0f} points/s, {runs / first:.1f} runs/s", flush=True)
    again = timed(lambda: subprocess.run(words, check=True, stdout=subprocess.DEVNULL))
    print(f"the same again, nothing to send: {again:.1f} s", flush=True)


RUNS = "select count(*) from runs"


def live(folder: Path, address: str, database: Database, given: argparse.Namespace) -> None:
    """A sweep that is running: the epochs that MLflow lacks, once a second."""
    place = folder / "runs" / "live"
    trials = planned(place, given)
    drive(place, "running")
    before, written = database.count(POINTS), [0]
    command = [sys.executable, "-P", "-m", "sweeps.tracking", str(place)]
    own = {**os.environ, "PYTHONPATH": str(ROOT)}
    from sweeps.folder import owned

    with owned(place):
        uploader = subprocess.Popen([*command, "--tracking-uri", address], env=own)
        feeder = threading.Thread(target=feed, args=(place, trials, given, written))
        feeder.start()
        began, lags = time.monotonic(), []
        while feeder.is_alive():
            feeder.join(1)
            lags.append(written[0] - (database.count(POINTS) - before))
        took = time.monotonic() - began
        drive(place, "finished")
    drained = timed(lambda: uploader.wait(600))
    rate = written[0] / took
    quarters = [max(lags[k * len(lags) // 4 : (k + 1) * len(lags) // 4]) for k in range(4)]
    print(
        f"live: {len(trials)} trials, {written[0]} epochs at {rate:.1f} a second "
        f"({rate * (VALUES + 1):.0f} points/s) for {took:.0f} s: behind by at most "
        f"{', '.join(map(str, quarters))} epochs in each quarter of it; all there "
        f"{drained:.1f} s after the end",
        flush=True,
    )


def feed(place: Path, trials: Sequence[str], given: argparse.Namespace, written: list[int]) -> None:
    """Trials a hundred at a time, each an epoch in turn."""
    from sweeps.journal import Journal

    began = time.monotonic()
    for at in range(0, len(trials), 100):
        together = trials[at : at + 100]
        for epoch in range(1, given.epochs + 1):
            for uid in together:
                with Journal(place, uid) as log:
                    if epoch == 1:
                        begin(log, uid)
                    report(log, uid, epoch)
                    if epoch == given.epochs:
                        finish(log, uid, epoch)
                written[0] += 1
                if time.monotonic() - began > given.seconds:
                    return
                time.sleep(max(0.0, began + written[0] / given.rate - time.monotonic()))


def timed(action: Any) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


# The servers.


class Database:
    """A PostgreSQL of this benchmark alone."""

    def __init__(self, port: int, passfile: Path) -> None:
        self.port = port
        self.passfile = passfile

    def count(self, query: str) -> int:
        words = ["psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "mlflow", "-d", "mlflow"]
        own = {**os.environ, "PGPASSFILE": str(self.passfile)}
        done = subprocess.run(
            [*words, "-Atc", query], env=own, check=True, capture_output=True, text=True
        )
        return int(done.stdout)


@contextmanager
def postgres(folder: Path) -> Iterator[Database]:
    """Started as the user `postgres` where this one is root, which PostgreSQL refuses to run as."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
    user: dict[str, Any] = {"user": "postgres", "group": "postgres"} if os.getuid() == 0 else {}
    folder.mkdir()
    password, port = secrets.token_hex(16), free_port()
    secret = folder / "password"
    secret.write_text(password)
    passfile = folder.parent / "pgpass"
    passfile.touch(0o600)
    passfile.write_text(f"127.0.0.1:{port}:*:mlflow:{password}\n")
    if user:
        shutil.chown(folder, **user)
        shutil.chown(secret, **user)
    words = [binaries / "initdb", "-D", folder / "data", "-U", "mlflow", "-A", "scram-sha-256"]
    words += ["--pwfile", secret]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, cwd=folder, **user)
    words = [binaries / "postgres", "-D", folder / "data", "-h", "127.0.0.1", "-p", str(port)]
    words += ["-c", "unix_socket_directories="]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(words, stderr=log, cwd=folder, **user)
    own = {**os.environ, "PGPASSFILE": str(passfile)}
    create = [binaries / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "mlflow", "mlflow"]
    try:
        until = time.monotonic() + 60
        while subprocess.run(create, env=own, check=False, capture_output=True).returncode:
            alive = time.monotonic() < until and server.poll() is None
            assert alive, (folder / "log").read_text()
            time.sleep(0.2)
        yield Database(port, passfile)
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(60)


@contextmanager
def mlflow(folder: Path, database: Database) -> Iterator[str]:
    """`deploy/mlflow/serve`, as a team has it."""
    port = free_port()
    settings = {
        "PYTHON": sys.executable,
        "PGPASSFILE": str(database.passfile),
        "MLFLOW_BACKEND_STORE_URI": f"postgresql+psycopg2://mlflow@127.0.0.1:{database.port}/mlflow",
        "GANSWEEP_ARTIFACTS": str(folder / "artifacts"),
        "GANSWEEP_MLFLOW_PORT": str(port),
    }
    address, log = f"http://127.0.0.1:{port}", folder / "mlflow.log"
    with log.open("wb") as stream:
        server = subprocess.Popen(
            [ROOT / "deploy/mlflow/serve"],
            env={**os.environ, **settings},
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    try:
        until = time.monotonic() + 180
        while True:
            with suppress(OSError), OPENER.open(f"{address}/health", timeout=5):
                break
            alive = time.monotonic() < until and server.poll() is None
            assert alive, log.read_text()
            time.sleep(0.2)
        yield address
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)


def free_port() -> int:
    from sweeps.tracking.ports import free_port as found

    return found()


# 3: the pages, as a person waits for them.


async def pages(folder: Path, address: str, given: argparse.Namespace) -> dict[str, float]:
    """Seconds from the address to what one came for, in a Chromium with a warm cache."""
    experiment, parent = parent_of(address)
    base = f"{address}/#/experiments/{experiment}/runs"
    table = f"{base}?workflowType=machine_learning"
    wanted = {
        "page of the parent": (f"{base}/{parent}", [f"{given.trials - 1}-", "gansweep.best_trial"]),
        "page of all the runs": (table, ["whole", "matching runs"]),
    }
    found = {}
    async with browser(folder) as tab:
        for what, (page, words) in wanted.items():
            shown = f"{words}.every((word) => document.body.innerText.includes(word))"
            took = [await tab.open(page, shown) for _ in range(6)][1:]
            found[what] = sorted(took)[2]
            if given.pictures:
                await tab.picture(given.pictures / f"{what.split()[-1]}.png")
    return found


def parent_of(address: str) -> tuple[str, str]:
    query = {"experiment_ids": ["1"], "filter": "tags.`mlflow.runName` = 'whole'"}
    request = urllib.request.Request(
        f"{address}/api/2.0/mlflow/runs/search",
        json.dumps(query).encode(),
        {"Content-Type": "application/json"},
    )
    with OPENER.open(request) as answer:
        info = json.load(answer)["runs"][0]["info"]
    return info["experiment_id"], info["run_id"]


class Tab:
    """A tab of Chromium, spoken to over its debugging socket."""

    def __init__(self, socket: Any) -> None:
        self.socket, self.sent = socket, 0

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.sent += 1
        await self.socket.send_json({"id": self.sent, "method": method, "params": parameters})
        while (answer := json.loads((await self.socket.receive()).data)).get("id") != self.sent:
            pass
        return dict(answer["result"])

    async def open(self, page: str, shown: str) -> float:
        """Seconds until a new page shows what it was opened for; never one that was open before."""
        await self.call("Page.navigate", url="about:blank")
        began = time.perf_counter()
        await self.call("Page.navigate", url=page)
        while True:
            told = await self.call("Runtime.evaluate", expression=shown, returnByValue=True)
            took = time.perf_counter() - began
            if told["result"].get("value"):
                return took
            if took > 60:
                await self.picture(Path("never.png"))
                raise AssertionError(f"{page} never shows {shown}; see never.png")
            await asyncio.sleep(0.02)

    async def picture(self, file: Path) -> None:
        await asyncio.sleep(2)
        told = await self.call("Page.captureScreenshot")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(told["data"]))


@asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Tab]:
    import aiohttp

    profile = folder / "profile"
    command = [shutil.which("chromium") or "chromium", "--headless=new", "--no-sandbox"]
    command += ["--disable-gpu", "--window-size=1400,900", "--remote-debugging-port=0"]
    command += [f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            port = profile / "DevToolsActivePort"
            while not (port.is_file() and port.read_text().count("\n")):
                await asyncio.sleep(0.05)
            devtools = f"http://127.0.0.1:{port.read_text().splitlines()[0]}"
            async with aiohttp.ClientSession() as session:
                async with session.put(f"{devtools}/json/new?about:blank") as answer:
                    tab = await answer.json(content_type=None)
                where = tab["webSocketDebuggerUrl"]
                async with session.ws_connect(where, max_msg_size=0) as socket:
                    yield Tab(socket)
        finally:
            os.killpg(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
