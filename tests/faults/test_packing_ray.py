"""Arms of unlike needs through Ray: each trial has its own number of CPUs, and nobody's worker."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

import faults
from faults.short_trials import sweep_file
from sweeps import Options, SweepSpec, cluster, make_plan, run
from sweeps.shares import measure

# MLflow 3.17 asks SQLAlchemy 2.1 for what that will drop; nothing of ours can help it.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
]


SWEEP = {
    "name": "auto",
    "base": {"data": "digits", "model": "mlp", "epochs": 2},
    "scientific": {"loss.name": ["hinge"]},
    "nuisance": {"generator.lr": {"log_uniform": [1e-5, 1e-4]}},
    "objective": {"samples": 64},
}


def test_each_trial_has_the_threads_of_its_own_arm_and_no_worker_of_another(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Issue 6: heterogeneous arms on 2 CPUs, workers reused within an arm alone; before them a
    task measures a trial on a GPU of the cluster.
    """
    import ray

    del cache
    from sweeps.cluster import connected

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)  # Ray leaves it where it is set.
    resources = {"cpu": 1, "of": [{"when": {"loss.name": "minimax"}, "cpu": 2}]}
    script = {f"*:{epoch}": "sleep 0.2" for epoch in (1, 2, 3)}
    file = sweep_file(tmp_path / "unlike", script, resources=resources, search={"trials_each": 3})
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr(ray, "init", partial(ray.init, num_gpus=1))  # One that is none.
    sweep = {**SWEEP, "resources": {"gpu": "auto"}}
    asked = measure.asked(make_plan(SweepSpec.of(sweep)), tmp_path)
    monkeypatch.setattr(measure, "SECONDS", 0.2)
    with connected(None, verbose=False):
        assert ray.cluster_resources()["CPU"] == 2
        assert cluster.cpus_of_a_gpu() == 2
        shares = cluster.on_a_gpu(measure.shares, asked, 2.0, "cpu")
        assert set(shares) == {"hinge"}
        assert shares["hinge"] in (1, 0.5)
        results = run(file, Options(storage=tmp_path / "runs"))
    assert [r.state for r in results.trials.values()] == ["completed"] * 6
    threads: dict[str, set[int]] = {}
    workers: dict[str, list[int]] = {}
    for result in results.trials.values():
        (start,) = result.starts
        threads.setdefault(result.trial.arm, set()).add(start["versions"]["threads"])
        workers.setdefault(result.trial.arm, []).append(start["pid"])
    assert threads == {"hinge": {1}, "minimax": {2}}
    assert not set(workers["hinge"]) & set(workers["minimax"])
    assert len(set(workers["minimax"])) < 3, "a worker is used again for a trial that needs as much"
    faults.assert_sound(results.folder)
