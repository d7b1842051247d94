"""deploy/: the same versions everywhere, names and references that agree, nothing open, no secret.

No cloud, Kubernetes or Slurm is at hand: what others' programs would refuse is asked of their own
code where Ray ships it, and of their schemas where a folder of them is given.
"""

from __future__ import annotations

import copy
import os
import re
import shutil
import stat
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
PINS = dict(
    line.split("==")
    for line in (DEPLOY / "constraints.txt").read_text().splitlines()
    if "==" in line
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
JOB: dict[str, Any] = yaml.safe_load((DEPLOY / "kubernetes/rayjob.yaml").read_text())
CLUSTER: dict[str, Any] = JOB["spec"]["rayClusterSpec"]
STANDING: dict[str, Any] = yaml.safe_load((DEPLOY / "kubernetes/raycluster.yaml").read_text())
CRDS = os.environ.get("GANSWEEP_KUBERAY_CRDS")
"""A folder with KubeRay's schemas, `ray.io_rayjobs.yaml` and its like (in its Helm chart)."""


def numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


class TestVersions:
    def test_every_dependency_is_pinned_within_what_the_project_accepts(self) -> None:
        asked_for = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["s3"]
        assert len(PINS) == len(asked_for)
        for line in asked_for:
            name, bounds = re.fullmatch(r"([\w-]+)(?:\[\w+\])?(.*)", line).groups()  # type: ignore[union-attr]
            for sign, bound in re.findall(r"(>=|<)([\d.]+)", bounds):
                pinned, asked = numbers(PINS[name]), numbers(bound)
                assert pinned >= asked if sign == ">=" else pinned < asked, name

    def test_images_have_the_pinned_ray_and_the_servers_the_pinned_mlflow(self) -> None:
        files = [ROOT / "cluster.yaml", *(file for file in DEPLOY.rglob("*") if file.is_file())]
        texts = {file: file.read_text() for file in files}
        images = [tag for text in texts.values() for tag in re.findall(r"project/ray:(\S+)", text)]
        assert set(images) == {f"{PINS['ray']}-py311-gpu"}
        assert len(images) == 2
        assert CLUSTER["rayVersion"] == PINS["ray"]
        server = texts[DEPLOY / "mlflow/requirements.txt"].splitlines()
        assert {f"mlflow[auth]=={PINS['mlflow']}", f"boto3=={PINS['boto3']}"} < set(server)

    @pytest.mark.parametrize("file", ["cluster.yaml", "deploy/onprem/cluster.yaml"])
    def test_machines_install_what_is_pinned(self, file: str) -> None:
        commands = yaml.safe_load((ROOT / file).read_text())["setup_commands"]
        (install,) = [command for command in commands if "pip install" in command]
        assert "-c ~/gansweep/deploy/constraints.txt ~/gansweep" in install

    def test_the_image_is_of_this_version_and_installs_what_is_pinned(self) -> None:
        text = (DEPLOY / "kubernetes/Dockerfile").read_text()
        assert "-c /home/ray/gansweep/deploy/constraints.txt /home/ray/gansweep" in text
        assert f"gansweep:{PROJECT['version']} " in text
        found = {c["image"].rpartition(":")[2] for pod in pods() for c in pod["spec"]["containers"]}
        assert found == {PROJECT["version"]}


def test_no_file_holds_a_secret_or_opens_a_port_to_the_world() -> None:
    for file in DEPLOY.rglob("*"):
        text = file.read_text() if file.is_file() else ""
        assert not re.search(r"AKIA\w|BEGIN \w+ PRIVATE KEY|[0-9a-f]{32}", text), file
        for line in text.splitlines():
            assert "0.0.0.0" not in line or "of the container" in line, f"{file}: {line}"


def test_docs_lead_to_every_deployment() -> None:
    text = (ROOT / "docs/CLUSTER.md").read_text()
    assert "docs/CLUSTER.md" in (ROOT / "README.md").read_text()
    for path in re.findall(r"`?((?:deploy|search_spaces|benchmarks)/[\w./-]+\w)", text):
        assert (ROOT / path).exists(), path
    for folder in DEPLOY.iterdir():
        assert f"deploy/{folder.name}" in text, folder


class TestOnPremise:
    config: dict[str, Any] = yaml.safe_load((DEPLOY / "onprem/cluster.yaml").read_text())

    def test_ray_accepts_it_and_would_refuse_a_misspelt_key(self) -> None:
        from ray.autoscaler._private.util import prepare_config, validate_config

        config = prepare_config(copy.deepcopy(self.config))
        validate_config(config)
        (kind,) = config["available_node_types"].values()
        assert kind["max_workers"] == len(self.config["provider"]["worker_ips"])
        with pytest.raises(Exception, match="worker_setup_command"):
            validate_config({**config, "worker_setup_command": []})

    def test_every_start_of_ray_asks_for_the_token_which_is_private(self) -> None:
        starts = [
            command
            for key in ("head_start_ray_commands", "worker_start_ray_commands")
            for command in self.config[key]
            if "ray start" in command
        ]
        assert len(starts) == 2
        assert all(re.search(r"RAY_AUTH_MODE=token .*ray start", start) for start in starts)
        assert "--dashboard-host=127.0.0.1" in starts[0]
        assert self.config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
        assert "chmod 600 ~/.ray/auth_token" in self.config["setup_commands"]

    def test_a_host_without_the_shared_folder_does_not_start(self) -> None:
        (mount,) = self.config["initialization_commands"]
        assert mount.startswith("mountpoint -q /shared && ")
        assert self.config["auth"]["ssh_user"] != "root"


def pods() -> list[dict[str, Any]]:
    clusters = (CLUSTER, STANDING["spec"])
    heads = [cluster["headGroupSpec"]["template"] for cluster in clusters]
    workers = [group["template"] for cluster in clusters for group in cluster["workerGroupSpecs"]]
    return [JOB["spec"]["submitterPodTemplate"], *heads, *workers]


KNOWN = {
    "spec": "entrypoint backoffLimit activeDeadlineSeconds shutdownAfterJobFinishes "
    "ttlSecondsAfterFinished submissionMode submitterConfig submitterPodTemplate rayClusterSpec",
    "rayClusterSpec": "rayVersion authOptions enableInTreeAutoscaling autoscalerOptions "
    "headGroupSpec workerGroupSpecs",
    "authOptions": "mode secretName",
    "autoscalerOptions": "version upscalingMode idleTimeoutSeconds securityContext env resources",
    "headGroupSpec": "rayStartParams template",
    "workerGroupSpecs": "groupName priority minReplicas maxReplicas rayStartParams template",
    "template": "metadata spec",
    "submitterPodTemplate": "metadata spec",
    "pod": "restartPolicy automountServiceAccountToken securityContext containers volumes affinity "
    "tolerations terminationGracePeriodSeconds",
    "containers": "name image securityContext resources env volumeMounts",
    "resources": "requests limits",
}
"""The keys of KubeRay 1.7 and of Kubernetes that may stand there: Kubernetes drops a misspelt one
without a word."""


def misspelt(node: Any, at: str) -> Iterator[str]:
    for value in node if isinstance(node, list) else [node]:
        if isinstance(value, dict):
            known = KNOWN.get(at, "").split()
            yield from (f"{at}.{key}" for key in value if known and key not in known)
            for key, inner in value.items():
                pod = key == "spec" and at in ("template", "submitterPodTemplate")
                yield from misspelt(inner, "pod" if pod else key)


class TestKubernetes:
    def test_every_key_is_one_that_kuberay_and_kubernetes_know(self) -> None:
        assert list(misspelt(JOB["spec"], "spec")) == []
        assert list(misspelt(STANDING["spec"], "rayClusterSpec")) == []
        wrong = copy.deepcopy(JOB["spec"])
        wrong["rayClusterSpec"]["workerGroupSpecs"][1]["template"]["spec"]["toleration"] = []
        assert list(misspelt(wrong, "spec")) == ["pod.toleration"]

    @pytest.mark.skipif(CRDS is None, reason="GANSWEEP_KUBERAY_CRDS names no folder")
    @pytest.mark.parametrize("manifest", [JOB, STANDING], ids=["RayJob", "RayCluster"])
    def test_kuberays_own_schema_takes_it(self, manifest: dict[str, Any]) -> None:
        import jsonschema

        crd = yaml.safe_load(
            (Path(str(CRDS)) / f"ray.io_{manifest['kind'].lower()}s.yaml").read_text()
        )
        (schema,) = [v["schema"] for v in crd["spec"]["versions"] if v["name"] == "v1"]
        check = jsonschema.Draft202012Validator(
            closed(schema["openAPIV3Schema"]["properties"]["spec"])
        )
        assert list(check.iter_errors(manifest["spec"])) == []
        wrong = copy.deepcopy(manifest["spec"])
        wrong.get("rayClusterSpec", wrong)["workerGroupSpecs"][0]["maxReplica"] = 3
        assert "maxReplica" in str(list(check.iter_errors(wrong)))

    def test_the_cluster_that_stays_is_that_of_a_job_but_for_the_sweep(self) -> None:
        """`gansweep submit` brings the sweep, by a dashboard that only `port-forward` reaches."""
        head, other = STANDING["spec"]["headGroupSpec"], copy.deepcopy(CLUSTER["headGroupSpec"])
        other["rayStartParams"]["dashboard-host"] = "127.0.0.1"
        inside = other["template"]["spec"]
        inside["volumes"] = [v for v in inside["volumes"] if v["name"] != "sweep"]
        (ray,) = inside["containers"]
        ray["volumeMounts"] = [m for m in ray["volumeMounts"] if m["name"] != "sweep"]
        assert head == other
        assert {**STANDING["spec"], "headGroupSpec": None} == {**CLUSTER, "headGroupSpec": None}
        told = (ROOT / "docs/CLUSTER.md").read_text()
        service = f"{STANDING['metadata']['name']}-head-svc"  # As KubeRay calls it.
        assert f"kubectl port-forward service/{service} 8265:8265" in told
        assert f"kubectl get secret {CLUSTER['authOptions']['secretName']} " in told

    def test_names_and_references_agree(self) -> None:
        shared = list(yaml.safe_load_all((DEPLOY / "kubernetes/shared.yaml").read_text()))
        claim, policy = shared
        mark = {"app.kubernetes.io/part-of": "gansweep"}
        assert policy["spec"]["podSelector"]["matchLabels"] == mark
        assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
        told = (ROOT / "docs/CLUSTER.md").read_text()
        assert f"secret generic {CLUSTER['authOptions']['secretName']}" in told
        assert "--from-file=auth_token=" in told  # KubeRay's key
        assert "configmap gansweep-sweep --from-file=sweep.yaml=" in told
        for pod in pods():
            assert mark.items() <= pod["metadata"]["labels"].items()
            volumes = {v["name"]: v for v in pod["spec"].get("volumes", [])}
            for container in pod["spec"]["containers"]:
                assert {m["name"] for m in container.get("volumeMounts", [])} == set(volumes)
            if "shared" in volumes:
                found = volumes["shared"]["persistentVolumeClaim"]["claimName"]
                assert found == claim["metadata"]["name"]
        assert "--storage /shared/runs" in JOB["spec"]["entrypoint"]
        assert volumes["shared"]

    def test_no_pod_is_privileged_and_every_container_says_what_it_needs(self) -> None:
        for pod in pods():
            assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
            for container in pod["spec"]["containers"]:
                assert container["securityContext"]["allowPrivilegeEscalation"] is False
                assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
                assert container["resources"]["requests"].keys() >= {"cpu", "memory"}
                assert container["resources"]["limits"].keys() >= {"cpu", "memory"}
        for file in (DEPLOY / "kubernetes").glob("*.yaml"):
            assert not re.search(r"privileged|hostPath|hostNetwork|hostPort", file.read_text())

    def test_nothing_runs_when_nothing_is_to_be_done(self) -> None:
        assert JOB["spec"]["shutdownAfterJobFinishes"] is True
        assert CLUSTER["enableInTreeAutoscaling"] is True
        assert CLUSTER["autoscalerOptions"]["idleTimeoutSeconds"] <= 300
        assert {group["minReplicas"] for group in CLUSTER["workerGroupSpecs"]} == {0}
        assert CLUSTER["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"

    def test_the_groups_take_spot_machines_and_the_others(self) -> None:
        spot, ordinary = (
            g["template"]["spec"]["affinity"]["nodeAffinity"][
                "requiredDuringSchedulingIgnoredDuringExecution"
            ]["nodeSelectorTerms"]
            for g in CLUSTER["workerGroupSpecs"]
        )
        marks = [(e["key"], *e["values"]) for term in spot for e in term["matchExpressions"]]
        assert {e["operator"] for term in spot for e in term["matchExpressions"]} == {"In"}
        (none_of,) = ordinary  # All of one term must hold; of several terms one.
        assert [(e["key"], *e["values"]) for e in none_of["matchExpressions"]] == marks
        assert {e["operator"] for e in none_of["matchExpressions"]} == {"NotIn"}
        assert len(spot) == len(marks)

    def test_rays_autoscaler_asks_for_spot_first_and_for_others_where_none_came(self) -> None:
        """Ray's own code reads the manifest and decides."""
        assert launched({}) == {"gpu-spot": 2}
        assert launched({"gpu-spot": 0.0}) == {"gpu-on-demand": 2}


def closed(node: Any) -> Any:
    """A schema that refuses keys it does not name, which Kubernetes would drop in silence."""
    if isinstance(node, list):
        return [closed(inner) for inner in node]
    if not isinstance(node, dict):
        return node
    if node.get("x-kubernetes-int-or-string"):
        return {}
    found = {key: closed(inner) for key, inner in node.items()}
    if node.get("type") == "object" and isinstance(node.get("properties"), dict):
        found.setdefault("additionalProperties", False)
    return found


def launched(availabilities: dict[str, float]) -> dict[str, int]:
    """What Ray's autoscaler starts for two trials of a GPU each."""
    from ray.autoscaler._private.kuberay.autoscaling_config import (
        _derive_autoscaling_config_from_ray_cr,
    )
    from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig
    from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
    from ray.autoscaler.v2.utils import ResourceRequestUtil

    cluster = {"metadata": {"name": "gansweep", "namespace": "default"}, "spec": CLUSTER}
    config = AutoscalingConfig(
        _derive_autoscaling_config_from_ray_cr(cluster), skip_content_hash=True
    )
    asked = [ResourceRequestUtil.make({"CPU": 4, "GPU": 1}) for _ in range(2)]
    reply = ResourceDemandScheduler(event_logger=None).schedule(
        SchedulingRequest(
            disable_launch_config_check=True,
            node_type_configs=config.get_node_type_configs(),
            max_num_nodes=config.get_max_num_nodes(),
            resource_requests=ResourceRequestUtil.group_by_count(asked),
            recoverable_resource_availabilities=availabilities,
        )
    )
    return {
        request.instance_type: request.count
        for request in reply.to_launch
        if request.instance_type != config.get_head_node_type()
    }


def run(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    own = {"PATH": os.environ["PATH"], **environment}
    return subprocess.run(
        list(map(str, words)), env=own, capture_output=True, text=True, check=False
    )


SCRIPTS = [DEPLOY / "slurm/gansweep.sbatch", DEPLOY / "mlflow/serve", DEPLOY / "mlflow/backup"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_scripts_are_sound(script: Path) -> None:
    assert run("bash", "-n", script).stderr == ""
    if shutil.which("shellcheck"):
        assert run("shellcheck", script).stdout == ""


class TestSlurm:
    script = SCRIPTS[0]

    def test_under_bash_it_says_what_it_is_for(self) -> None:
        done = run("bash", self.script, "sweep.yaml")
        assert done.returncode == 2
        assert done.stderr.startswith("gansweep.sbatch: this is for sbatch: ")

    def test_a_file_that_is_not_there_is_told_before_anything_starts(self, tmp_path: Path) -> None:
        done = run("bash", self.script, "no.yaml", SLURM_JOB_ID="1", SLURM_SUBMIT_DIR=str(tmp_path))
        assert (done.returncode, "no sweep file 'no.yaml'" in done.stderr) == (2, True)
        assert list(tmp_path.iterdir()) == []

    def test_slurm_is_asked_to_warn_and_to_let_a_job_live_on(self) -> None:
        lines = re.findall(r"^#SBATCH (.+)$", self.script.read_text(), re.MULTILINE)
        before_commands = self.script.read_text().split("\nset -")[0]
        assert all(f"#SBATCH {line}" in before_commands for line in lines)
        assert {"--signal=B:USR1@300", "--requeue", "--no-kill", "--ntasks-per-node=1"} <= set(
            lines
        )


class TestMlflow:
    serve = SCRIPTS[1]

    def started(self, tmp_path: Path, **changes: str) -> subprocess.CompletedProcess[str]:
        """`serve` with a Python that says what it was called with."""
        python = tmp_path / "python"
        python.write_text('#!/usr/bin/env bash\necho "$@"; env | grep -E "MLFLOW|PG"\n')
        python.chmod(0o755)
        settings = {
            "PYTHON": str(python),
            "MLFLOW_BACKEND_STORE_URI": "postgresql+psycopg2://mlflow@127.0.0.1:5432/mlflow",
            "GANSWEEP_ARTIFACTS": "/srv/artifacts",
        }
        return run(self.serve, **(settings | changes))

    def test_it_listens_on_loopback_and_knows_its_names(self, tmp_path: Path) -> None:
        done = self.started(tmp_path)
        assert done.returncode == 0, done.stderr
        assert "--host 127.0.0.1 --port 5000" in done.stdout
        assert "--allowed-hosts 127.0.0.1:5000,localhost:5000 " in done.stdout
        assert "--cors-allowed-origins http://127.0.0.1:5000,http://localhost:5000" in done.stdout
        assert "basic-auth" not in done.stdout
        assert "MLFLOW_DISABLE_TELEMETRY=true" in done.stdout

    def test_where_others_reach_it_they_must_log_in(self, tmp_path: Path) -> None:
        open_to_all = self.started(tmp_path, GANSWEEP_MLFLOW_HOST="10.0.0.20")
        assert open_to_all.returncode == 2
        assert "nobody would be asked for a password" in open_to_all.stderr
        secret = tmp_path / "secret"
        secret.write_text("s3cret\n")
        shut = self.started(
            tmp_path,
            GANSWEEP_MLFLOW_HOST="10.0.0.20",
            GANSWEEP_MLFLOW_NAMES="mlflow.example.com",
            GANSWEEP_MLFLOW_SCHEME="https",
            MLFLOW_AUTH_CONFIG_PATH="/etc/login.ini",
            MLFLOW_FLASK_SERVER_SECRET_KEY_FILE=str(secret),
            PGPASSWORD_FILE=str(secret),
        )
        command = shut.stdout.splitlines()[0]
        assert "--cors-allowed-origins https://mlflow.example.com --app-name basic-auth" in command
        assert "s3cret" not in command
        assert "PGPASSWORD=s3cret" in shut.stdout

    def test_containers_are_reached_by_loopback_alone_and_their_images_are_pinned(self) -> None:
        services = yaml.safe_load((DEPLOY / "mlflow/compose.yaml").read_text())["services"]
        assert services["mlflow"]["ports"] == ["127.0.0.1:5000:5000"]
        assert "ports" not in services["database"]
        assert services["database"]["networks"] == ["inside"]
        recipe = services["mlflow"]["build"]["dockerfile_inline"]
        for image in (services["database"]["image"], re.findall(r"FROM (\S+)", recipe)[0]):
            assert re.search(r":\d+\.\d+", image), image
        for name in re.findall(r"COPY (.+) /opt", recipe):
            assert all((DEPLOY / "mlflow" / file).is_file() for file in name.split())

    def test_settings_are_those_that_serve_reads(self) -> None:
        text = (DEPLOY / "mlflow/settings.env").read_text()
        names = re.findall(r"^#?([A-Z_]+)=", text, re.MULTILINE)
        elsewhere = {"PGPASSFILE", "MLFLOW_AUTH_ADMIN_PASSWORD"}  # libpq's and MLflow's
        script = self.serve.read_text()
        assert len(names) > 8
        assert [name for name in names if name not in script and name not in elsewhere] == []

    def test_backups_are_whole_private_and_few(self, tmp_path: Path) -> None:
        for name, does in {"pg_dump": 'echo "$@" > "$SAID"; echo rows > "${2#--file=}"'}.items():
            (tmp_path / name).write_text(f"#!/usr/bin/env bash\n{does}\n")
        (tmp_path / "pg_restore").write_text('#!/usr/bin/env bash\ngrep -q rows "$2"\n')
        for name in ("pg_dump", "pg_restore"):
            (tmp_path / name).chmod(0o755)
        folder = tmp_path / "backups"
        folder.mkdir()
        for day in range(1, 6):
            (folder / f"mlflow-2026010{day}T000000Z.dump").touch()
        own = {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "SAID": str(tmp_path / "said"),
            "MLFLOW_BACKEND_STORE_URI": "postgresql+psycopg2://mlflow@127.0.0.1:5432/mlflow",
        }
        done = run(SCRIPTS[2], folder, "3", **own)
        assert done.returncode == 0, done.stderr
        new = Path(done.stdout.strip())
        assert stat.S_IMODE(new.stat().st_mode) == 0o600
        kept = sorted(file.name for file in folder.iterdir())
        assert kept == [f"mlflow-2026010{day}T000000Z.dump" for day in (4, 5)] + [new.name]
        assert "postgresql://mlflow@" in (tmp_path / "said").read_text()
        (tmp_path / "pg_dump").write_text('#!/usr/bin/env bash\necho half > "${2#--file=}"\n')
        assert run(SCRIPTS[2], folder, "3", **own).returncode == 1
        assert len(list(folder.glob("*.dump"))) == 3
