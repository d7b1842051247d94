"""A sweep on a Ray cluster of two nodes: trials run on both, joined by `--address`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SWEEP = """
base:
  data: digits
  model: {name: mlp, width: 16}
  latent: 8
  batch: 128
  epochs: 3
scientific:
  loss.name: [hinge, nonsaturating]
nuisance:
  generator.lr: {log_uniform: [1e-4, 1e-3]}
search: {trials_each: 3}
schedule: none
objective: {samples: 64}
"""

DRIVER = """
import json, sys
from pathlib import Path
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
for _ in range(2):
    cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
import sweeps
results = sweeps.run(
    Path(sys.argv[1]),
    sweeps.Options(storage=Path(sys.argv[2]), address=cluster.address),
)
starts = [start for result in results.trials.values() for start in result.starts]
print(json.dumps({"state": results.state, "code": results.exit_code,
                  "epochs": [r.epoch for r in results.trials.values()],
                  "nodes": sorted({start["ray_node"] for start in starts})}))
cluster.shutdown()
"""


@pytest.mark.slow
def test_trials_run_on_both_nodes_of_a_running_cluster(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "two.yaml").write_text(SWEEP)
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(tmp_path / "two.yaml"), str(tmp_path / "runs")],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={
            **os.environ,
            "GANSWEEP_CACHE": str(cache),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": "of-two-nodes" * 4,
            "HOME": str(tmp_path),
        },
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.strip().splitlines()[-1])
    assert told["state"] == "finished"
    assert told["code"] == 0
    assert told["epochs"] == [3] * 6
    assert len(told["nodes"]) == 2
