"""deploy/slurm/gansweep.sbatch, the very script, on two nodes that are processes of this machine.

In the place of `srun` and `scontrol` stand two small programs. What Slurm itself does with the
script's `#SBATCH` lines is not shown here.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import faults
from faults import act
from sweeps.results import Results

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "deploy" / "slurm" / "gansweep.sbatch"
JOB = "4711"

SRUN = """#!/usr/bin/env bash
# As many tasks as asked for, each a node of its own; signals go to all of them.
echo "$@" >> "$SHIMS/srun.said"
tasks=1
while [[ $1 == -* ]]; do
    [[ $1 == --ntasks=* ]] && tasks=${1#*=}
    shift
done
pids=()
for ((i = 0; i < tasks; i++)); do
    SLURM_NODEID=$i SLURMD_NODENAME=localhost SLURM_CPUS_ON_NODE=1 "$@" &
    pids+=($!)
done
trap 'kill -TERM "${pids[@]}" 2>/dev/null' TERM
for pid in "${pids[@]}"; do
    while kill -0 "$pid" 2>/dev/null; do wait "$pid"; done
done
"""
SCONTROL = '#!/usr/bin/env bash\necho "$@" >> "$SHIMS/scontrol.said"\n'
# Where it stands for the names that a machine has, this one stays on loopback.
HOSTNAME = "#!/usr/bin/env bash\necho 127.0.0.1\n"

DIGITS = """
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


@pytest.fixture
def shims(tmp_path: Path) -> Path:
    folder = tmp_path / "shims"
    folder.mkdir()
    for name, text in {"srun": SRUN, "scontrol": SCONTROL, "hostname": HOSTNAME}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


@contextmanager
def job(tmp_path: Path, shims: Path, file: Path, **environment: str) -> Iterator[faults.Cli]:
    """The script as sbatch starts it: a copy that lies elsewhere, in a job of two nodes."""
    shared = tmp_path / "shared"
    shared.mkdir(exist_ok=True)
    spooled = tmp_path / "slurm_script"
    spooled.write_text(SCRIPT.read_text())
    own = {
        "PATH": f"{shims}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SHIMS": str(shims),
        "SLURM_JOB_ID": JOB,
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_CPUS_PER_TASK": "1",
        "SLURM_MEM_PER_NODE": "4096",
        "SLURM_SUBMIT_DIR": str(shared),
        **environment,
    }
    with faults.started(
        ["bash", str(spooled), str(file)],
        home=tmp_path / f"home{len(list(tmp_path.glob('home*')))}",
        place=shared / "runs" / file.stem,
        environment=own,
        cwd=shared,
    ) as running:
        yield running


def nodes_of(results: Results) -> set[str]:
    return {start["ray_node"] for r in results.trials.values() for start in r.starts}


def test_a_sweep_trains_on_all_nodes_of_a_job(tmp_path: Path, shims: Path) -> None:
    file = tmp_path / "digits.yaml"
    file.write_text(DIGITS)
    folder = tmp_path / "shared" / "runs" / f".slurm-{JOB}"
    with job(tmp_path, shims, file) as running:
        running.wait_until(lambda results: any(r.epoch for r in results.trials.values()))
        token = folder / "token"
        assert stat.S_IMODE(token.stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        secret = token.read_text()
        assert len(secret) == 64
        address = (folder / "address").read_text().strip()
        running.assert_told(0, 300)
        out, err = running.end()
        running.assert_nothing_left(30, but=faults.commands.AGENTS)
    assert secret not in out + err
    assert "Ray on 2 of 2 nodes" in out
    assert address.startswith("127.0.0.1:")
    assert not folder.exists()
    said = (shims / "srun.said").read_text()
    assert "--cpus-per-task=1" in said
    results = Results.read(tmp_path / "shared" / "runs" / "digits")
    assert results.state == "finished"
    assert {r.epoch for r in results.trials.values()} == {3}
    assert len(nodes_of(results)) == 2


def test_before_its_time_limit_a_job_ends_in_order_and_goes_on_when_it_is_queued_again(
    tmp_path: Path, shims: Path
) -> None:
    shape = {"epochs": 12, "search": {"trials_each": 2}}
    file = faults.scripted(tmp_path / "go", {("*", "*"): act.sleep(0.5)}, **shape)
    calm = faults.planned(faults.scripted(tmp_path / "calm", **shape))
    faults.play(calm)
    with job(tmp_path, shims, file) as running:
        running.wait_until(lambda results: any(r.epoch >= 3 for r in results.trials.values()))
        running.signal(signal.SIGUSR1)  # As `--signal=B:USR1@300` has it.
        running.assert_told(143, 120)
        left = running.results
        running.assert_nothing_left(30, but=faults.commands.AGENTS)
    assert left.state == "interrupted"
    assert (shims / "scontrol.said").read_text() == f"requeue {JOB}\n"
    with job(tmp_path, shims, file, SLURM_RESTART_COUNT="1") as running:
        running.assert_told(0, 300)
    place = tmp_path / "shared" / "runs" / file.stem
    assert sum(len(r.starts) for r in Results.read(place).trials.values()) > len(left.trials)
    faults.assert_sound(place, calm)
    assert (shims / "scontrol.said").read_text() == f"requeue {JOB}\n", "once"


def test_a_head_that_does_not_start_is_told_with_its_last_words(
    tmp_path: Path, shims: Path
) -> None:
    (shims / "ray").write_text("#!/usr/bin/env bash\necho no room for sockets\nexit 1\n")
    (shims / "ray").chmod(0o755)
    file = tmp_path / "digits.yaml"
    file.write_text(DIGITS)
    with job(tmp_path, shims, file) as running:
        running.assert_told(5, 60)
        _, err = running.end()
        running.assert_nothing_left(10)
    assert "no room for sockets" in err
    assert "Ray's head did not start" in err
