"""A cluster that starts at nothing: trials ask for nodes, run on them, and the nodes go again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import faults
from faults import act
from sweeps import tracking

# MLflow 3.17 asks SQLAlchemy 2.1 for what that will drop; nothing of ours can help it.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
]

GONE_SECONDS = 90
_ALIVE = """
import json, sys, ray
ray.init(address=sys.argv[1], logging_level="ERROR", log_to_driver=False)
print(json.dumps([n["Resources"] for n in ray.nodes() if n["Alive"]]))
"""


def there(cluster: faults.Nodes) -> list[dict[str, float]]:
    """What the nodes that are there now have."""
    done = subprocess.run(
        [sys.executable, "-c", _ALIVE, cluster.address],
        env=cluster.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[dict[str, float]] = json.loads(done.stdout)
    return found


def test_trials_of_each_kind_start_nodes_of_their_kind_which_go_when_all_is_done(
    tmp_path: Path,
) -> None:
    """Arms of unlike needs on kinds of nodes with 1 and 2 CPUs, of each none to begin with; a sweep
    for which no kind will do says that it waits, and can be ended.
    """
    of = [{"when": {"loss.name": "minimax"}, "cpu": 2}]
    file = faults.scripted(
        tmp_path / "s",
        {("*", "*"): act.sleep(0.5)},
        resources={"cpu": 1, "of": of},
        search={"trials_each": 3},
    )
    huge = faults.scripted(tmp_path / "huge", resources={"cpu": 8})
    storage = tmp_path / "runs"
    kinds = {"small": {"CPU": 1}, "large": {"CPU": 2}}
    with faults.nodes([], grows=kinds, most=2) as cluster:
        assert [node.get("CPU") for node in there(cluster)] == [None]
        where = ("--address", cluster.address)
        told: dict[str, Any] = {"storage": storage, "environment": cluster.environment}
        with faults.cli("run", file, *where, home=tmp_path / "home", **told) as command:
            command.assert_told(0, 300)
            results, (out, err) = command.results, command.end()
        assert [r.state for r in results.trials.values()] == ["completed"] * 6, out + err
        assert [r.attempt for r in results.trials.values()] == [1] * 6
        assert 2 <= len({r.starts[-1]["ray_node"] for r in results.trials.values()}) <= 4
        faults.assert_sound(command.place, store=tracking.default_uri(storage))
        words = ("run", huge, "--name", "huge", *where)
        with faults.cli(*words, home=tmp_path / "other", name="huge", **told) as command:
            stderr = tmp_path / "other" / "stderr"
            command.wait_until(lambda _: "waiting for room" in stderr.read_text())
            command.signal(signal.SIGINT)
            command.assert_told(130)
            _, err = command.end()
        line = "waiting for room: 2 trials ask for 8 CPU each, and no node has that yet"
        assert err.splitlines().count(line) == 1
        until = time.monotonic() + GONE_SECONDS
        while len(left := there(cluster)) > 1:
            assert time.monotonic() < until, left
            time.sleep(1)


def test_where_no_node_can_come_a_trial_that_fits_none_is_refused(tmp_path: Path) -> None:
    file = faults.scripted(tmp_path / "s", resources={"cpu": 8})
    with faults.nodes([1]) as cluster:
        words = ("run", file, "--address", cluster.address)
        told: dict[str, Any] = {"environment": cluster.environment, "storage": tmp_path / "runs"}
        with faults.cli(*words, home=tmp_path / "home", **told) as command:
            command.assert_told(2)
            assert "asks for 8 and the largest node has 1" in command.end()[1]
