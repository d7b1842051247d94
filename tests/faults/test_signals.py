"""What signals ask of a driver, and how it ends when its cluster is gone; without Ray."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from played_sweep import place_of

from sweeps import (
    journal,
)
from sweeps.journal import Journal
from sweeps.leaving import GCS_PATIENCE, watched
from sweeps.results import Results
from sweeps.signals import HEARD, Signals


@pytest.fixture
def heard() -> Iterator[tuple[Signals, list[int]]]:
    left: list[int] = []
    signals = Signals(left.append)
    with signals.heard():
        yield signals, left


class TestSignals:
    @pytest.mark.parametrize("number", HEARD)
    def test_the_first_is_noted_and_the_second_leaves(
        self, heard: tuple[Signals, list[int]], number: signal.Signals
    ) -> None:
        signals, left = heard
        signal.raise_signal(number)
        assert (signals.first, left) == (number, [])
        signal.raise_signal(signal.SIGINT)
        assert left == [], "one press that arrives twice, by a wrapper that hands it on, is one"
        with patch("sweeps.signals._TWICE_SECONDS", 0):
            signal.raise_signal(signal.SIGINT)
        assert left == [signal.SIGINT]
        assert signals.first == number

    def test_only_what_may_be_broken_off_is(self, heard: tuple[Signals, list[int]]) -> None:
        signals, _ = heard
        with pytest.raises(KeyboardInterrupt), signals.breaking():
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt), signals.breaking():
            pytest.fail("the signal came before")

    def test_ray_which_takes_sigterm_gives_it_back(self, heard: tuple[Signals, list[int]]) -> None:
        signals, _ = heard
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signals.arm()
        signal.raise_signal(signal.SIGTERM)
        assert signals.first == signal.SIGTERM

    def test_what_was_ignored_stays_ignored_and_all_is_as_before(self) -> None:
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            handlers = [signal.getsignal(n) for n in HEARD]
            with Signals(lambda _number: None).heard() as signals:
                signal.raise_signal(signal.SIGHUP)
                assert signals.first is None
            assert [signal.getsignal(n) for n in HEARD] == handlers
        finally:
            signal.signal(signal.SIGHUP, before)


def test_what_ended_a_sweep_is_its_exit_code(tmp_path: Path) -> None:
    place = place_of(tmp_path)
    codes = []
    for said in ({}, {"signal": signal.SIGTERM}, {"signal": signal.SIGHUP}):
        with Journal(place, journal.DRIVER) as log:
            log.append("sweep", state="interrupted", **said)
        codes.append(Results.read(place).exit_code)
    assert codes == [130, 143, 129]


def test_a_head_that_is_gone_is_noticed_before_ray_ends_the_process() -> None:
    lost = threading.Event()
    head = socket.create_server(("127.0.0.1", 0))
    address = f"127.0.0.1:{head.getsockname()[1]}"
    with patch.dict(os.environ, {GCS_PATIENCE: "0.6"}):
        with watched(address, lost.set):
            head.accept()[0].close()
            assert not lost.is_set()
            head.close()
            assert lost.wait(30)
        lost.clear()
        with watched(address, lost.set):
            pass
        assert not lost.wait(1), "a sweep that has ended is told nothing any more"
