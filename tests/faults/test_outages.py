"""MLflow gets every point exactly once, whatever happens to its server."""

from __future__ import annotations

from pathlib import Path

import pytest
from written_sweep import (
    COMPLETED,
    LEFT,
    STOPPED,
    client_at,
    tell,
)

import faults
from faults.told_once import Clock, assert_told_once, follow_until, runs_of
from sweeps import tracking
from sweeps.errors import EnvironmentTrouble
from sweeps.tracking import process
from sweeps.tracking.images import grid_of
from sweeps.tracking.uploader import Uploader

# MLflow 3.17 asks SQLAlchemy 2.1 for what that will drop; nothing of ours can help it.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")


@pytest.mark.parametrize("how", ["down", "503", "reset"])
@pytest.mark.parametrize("seconds", [0, 20, 60])
def test_after_an_outage_of_a_living_server_every_point_is_there_once(
    sweep: Path, proxy: faults.Proxy, seconds: int, how: str
) -> None:
    broken = {"down": proxy.down, "503": lambda: proxy.answer(503), "reset": proxy.reset}
    clock = Clock()
    clock.at(2, broken[how])
    clock.at(2, lambda: tell(sweep, LEFT, [3.0], first=2))
    clock.at(2 + seconds, proxy.heal)
    assert follow_until(sweep, proxy.url, clock, end=10 + seconds) is None
    # It was noticed within the longest pause between tries, and nothing is left to send.
    assert clock.now <= 10 + seconds + process.LONGEST_WAIT_SECONDS + 2
    assert_told_once(client_at(proxy.url), sweep)


def test_of_an_outage_for_ever_the_rest_is_sent_later(sweep: Path, proxy: faults.Proxy) -> None:
    clock = Clock()
    clock.at(2, proxy.down)
    clock.at(2, lambda: tell(sweep, LEFT, [3.0], first=2))
    why = follow_until(sweep, proxy.url, clock, end=300)
    assert why is not None
    assert "refused" in why
    # A server that has long been away is tried once more at the end, and not waited for.
    assert clock.now <= 300 + 2 * process.POLL_SECONDS
    proxy.heal()
    with pytest.raises(AssertionError):
        assert_told_once(client_at(proxy.url), sweep)
    tracking.sync(sweep, proxy.url)
    assert_told_once(client_at(proxy.url), sweep)


@pytest.mark.parametrize("code", [429, 503])
def test_a_server_that_asks_to_be_left_alone_is(
    sweep: Path, proxy: faults.Proxy, code: int
) -> None:
    clock, asked_at = Clock(), []

    def noted(_method: str, _path: str) -> bool:
        asked_at.append(clock.now)
        return True

    clock.at(2, lambda: tell(sweep, LEFT, [3.0], first=2))
    clock.at(2, lambda: proxy.answer(code, retry_after=30, times=1, when=noted))
    # The sweep's end is no reason to ask before.
    assert follow_until(sweep, proxy.url, clock, end=12) is None
    (refused,) = asked_at
    assert clock.now >= refused + 30
    assert_told_once(client_at(proxy.url), sweep)


def test_what_a_server_asks_for_beyond_our_time_is_not_waited_for(
    sweep: Path, proxy: faults.Proxy
) -> None:
    clock, asked = Clock(), []
    clock.at(2, lambda: tell(sweep, LEFT, [3.0], first=2))
    clock.at(2, lambda: asked.append(len(proxy.requests)))
    clock.at(2, lambda: proxy.answer(429, retry_after=3600))
    assert follow_until(sweep, proxy.url, clock, end=100) is not None
    assert clock.now <= 101
    assert len(proxy.requests) == asked[0] + 1
    # A single call does not try again behind the server's back either.
    with pytest.raises(EnvironmentTrouble):
        tracking.sync(sweep, proxy.url)
    assert len(proxy.requests) == asked[0] + 2


def test_a_silent_server_costs_a_pass_its_timeout(
    sweep: Path, proxy: faults.Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    uploader = Uploader(sweep, proxy.url)
    proxy.hang()
    trouble = uploader.pass_once()
    assert trouble is not None
    assert not trouble.lasting
    assert "timed out" in trouble.message
    proxy.heal()
    assert uploader.pass_once() is None
    assert_told_once(client_at(proxy.url), sweep)


@pytest.mark.parametrize("code", [401, 403, 404])
def test_who_was_let_in_once_may_be_again(sweep: Path, proxy: faults.Proxy, code: int) -> None:
    """A token runs out; one that was never good is another matter."""
    proxy.answer(code)
    stranger = Uploader(sweep, proxy.url).pass_once()
    assert stranger is not None
    assert stranger.lasting
    proxy.heal()
    clock = Clock()
    clock.at(2, lambda: tell(sweep, LEFT, [3.0], first=2))
    clock.at(2, lambda: proxy.answer(code))
    clock.at(200, proxy.heal)
    assert follow_until(sweep, proxy.url, clock, end=300) is None
    assert_told_once(client_at(proxy.url), sweep)
    refused = [row for row in proxy.requests if row[2] == "answer"]
    assert len(refused) <= 6, "who knocks too often is locked out"


def test_half_an_upload_is_sent_again_whole(sweep: Path, proxy: faults.Proxy) -> None:
    uploader = Uploader(sweep, proxy.url)
    proxy.cut(times=1, when=lambda method, path: method == "PUT" and "/images/" in path)
    trouble = uploader.pass_once()
    assert trouble is not None
    assert not trouble.lasting
    assert uploader.pass_once() is None
    client = client_at(proxy.url)
    assert_told_once(client, sweep)
    for uid in (COMPLETED, STOPPED, LEFT):
        run = runs_of(client, sweep)[uid].info.run_id
        sent = [a.path for a in client.list_artifacts(run, "images") if a.path.endswith(".png")]
        there = {Path(client.download_artifacts(run, path)).read_bytes() for path in sent}
        epochs = range(1, len(sent) + 1)
        assert there == {grid_of(sweep / "trials" / uid, epoch).read_bytes() for epoch in epochs}
