"""Trials that fit no node are refused, unless nodes may come that are not there yet."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.autoscaler.v2 import sdk
from ray.autoscaler.v2.schema import ClusterStatus, Stats
from ray.exceptions import RpcError

from sweeps import SweepSpec, autoscaler, cluster, make_plan
from sweeps.errors import UserError

SWEEP: dict[str, Any] = {
    "name": "q",
    "base": {"data": "digits", "model": "mlp", "epochs": 1},
    "scientific": {"loss.name": ["hinge"]},
    "search": {"trials_each": 1},
    "objective": {"samples": 64},
    "resources": {"cpu": 2},
}


@pytest.mark.parametrize(("version", "grows"), [(None, False), ("0", False), ("7", True)])
def test_a_cluster_grows_where_an_autoscaler_has_reported(
    monkeypatch: pytest.MonkeyPatch, version: str | None, grows: bool
) -> None:
    asked: list[str] = []

    def answer(address: str, _timeout: int) -> ClusterStatus:
        asked.append(address)
        return ClusterStatus(stats=Stats(autoscaler_version=version))

    monkeypatch.setattr(sdk, "get_cluster_status", answer)
    context = SimpleNamespace(gcs_address="10.0.0.1:6379")
    monkeypatch.setattr(ray, "get_runtime_context", lambda: context)
    assert autoscaler.grows() == grows
    assert asked == ["10.0.0.1:6379"]


def test_of_a_head_that_does_not_answer_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: Any) -> None:
        raise RpcError("deadline exceeded")

    monkeypatch.setattr(sdk, "get_cluster_status", silent)
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(gcs_address="x"))
    assert not autoscaler.grows()


def test_what_fits_nowhere_is_refused_unless_nodes_may_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = make_plan(SweepSpec.of(SWEEP))
    there = [{"Alive": True, "Resources": {"memory": 1e9}}]
    monkeypatch.setattr(ray, "nodes", lambda: there)
    monkeypatch.setattr(autoscaler, "grows", lambda: True)
    cluster.check_resources(plan, local=False)
    monkeypatch.setattr(autoscaler, "grows", lambda: False)
    with pytest.raises(UserError, match="asks for 2 and the largest node has 0"):
        cluster.check_resources(plan, local=False)
