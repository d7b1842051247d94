"""cluster.yaml: valid to Ray, shut to the world, free of cost when idle."""

import copy
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.node_launch_exception import NodeLaunchException

FILE = Path(__file__).parents[1] / "cluster.yaml"
CONFIG: dict[str, Any] = yaml.safe_load(FILE.read_text())


def validate(config: dict[str, Any]) -> None:
    validate_config(prepare_config(copy.deepcopy(config)))


def test_ray_accepts_it() -> None:
    validate(CONFIG)


def test_ray_would_refuse_a_misspelt_key() -> None:
    """Or else the test above shows nothing."""
    with pytest.raises(Exception, match="idle_timeout_minute"):
        validate({**CONFIG, "idle_timeout_minute": 5})


@pytest.mark.parametrize("commands", ["head_start_ray_commands", "worker_start_ray_commands"])
def test_every_start_of_ray_asks_for_the_token(commands: str) -> None:
    starts = [command for command in CONFIG[commands] if "ray start" in command]
    assert starts
    for command in starts:
        assert re.search(r"RAY_AUTH_MODE=token .*ray start", command)


def test_the_token_is_carried_and_private() -> None:
    assert CONFIG["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert "chmod 600 ~/.ray/auth_token" in CONFIG["setup_commands"]


def test_nothing_is_open_to_the_world() -> None:
    assert CONFIG["provider"]["use_internal_ips"]
    for node in CONFIG["available_node_types"].values():
        # Without one of ours, Ray makes a security group that lets all the world in by SSH.
        assert node["node_config"]["SecurityGroupIds"]
        assert node["node_config"]["SubnetId"]
        assert node["node_config"]["MetadataOptions"]["HttpTokens"] == "required"
    (head,) = [c for c in CONFIG["head_start_ray_commands"] if "ray start" in c]
    assert "--dashboard-host=127.0.0.1" in head
    assert "0.0.0.0" not in FILE.read_text()


def test_gpu_workers_are_spot_and_scale_from_zero() -> None:
    worker = CONFIG["available_node_types"]["gpu_worker"]
    assert worker["min_workers"] == 0
    assert worker["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert worker["resources"]["GPU"] >= 1
    assert CONFIG["available_node_types"]["head"]["resources"]["CPU"] == 0


BOTO = (
    *("boto3", "boto3.exceptions", "boto3.resources", "boto3.resources.base"),
    *("botocore.client", "botocore.config"),
)
"""What Ray's AWS provider imports of it."""


class Ec2:
    """A cloud that has no machine for who asks as `refuses` says, and notes every question."""

    def __init__(self, code: str, refuses: Any) -> None:
        self.code, self.refuses = code, refuses
        self.asked: list[dict[str, Any]] = []

    def create_instances(self, **asked: Any) -> list[Any]:
        self.asked.append(asked)
        if self.refuses(asked):
            error = sys.modules["botocore"].exceptions.ClientError()
            error.response = {"Error": {"Code": self.code, "Message": "sorry"}}
            raise error
        made = SimpleNamespace(instance_id="i-1", id="i-1", state_reason=None)
        made.state = {"Name": "pending"}
        return [made]


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The class that cluster.yaml names, on Ray's own AWS provider; boto3 need not be there."""
    error = SimpleNamespace(ClientError=type("ClientError", (Exception,), {}))
    for name in BOTO:
        monkeypatch.setitem(sys.modules, name, MagicMock(__version__="1.44.8"))
    monkeypatch.setitem(sys.modules, "botocore", MagicMock(exceptions=error))
    monkeypatch.setitem(sys.modules, "botocore.exceptions", error)
    before = set(sys.modules)
    module, _, name = CONFIG["provider"]["module"].rpartition(".")
    kind = getattr(__import__(module, fromlist=[name]), name)
    made = kind.__new__(kind)
    made.cluster_name, made.provider_config = "gansweep", {}
    yield made
    for other in set(sys.modules) - before:
        del sys.modules[other]


def launched(provider: Any, ec2: Ec2, kind: str) -> list[Any]:
    """The market of each question to the cloud, as Ray asks for a node."""
    provider.ec2_fail_fast = ec2
    config = {**CONFIG["available_node_types"][kind]["node_config"], "SubnetIds": ["a", "b"]}
    provider._create_node(config, {}, 1)
    return [asked.get("InstanceMarketOptions", {}).get("MarketType") for asked in ec2.asked]


def spot(asked: dict[str, Any]) -> bool:
    return "InstanceMarketOptions" in asked


def test_where_no_spot_machine_is_to_be_had_an_ordinary_one_comes(provider: Any) -> None:
    assert launched(provider, Ec2("", lambda _: False), "gpu_worker") == ["spot"]
    markets = launched(provider, Ec2("InsufficientInstanceCapacity", spot), "gpu_worker")
    assert markets == ["spot"] * 5 + [None]  # Ray asks five times, in every subnet.


@pytest.mark.parametrize("code", ["UnauthorizedOperation", "InsufficientInstanceCapacity"])
def test_what_an_ordinary_machine_does_not_mend_is_told(provider: Any, code: str) -> None:
    ec2 = Ec2(code, lambda _: True)
    with pytest.raises(NodeLaunchException, match="sorry"):
        launched(provider, ec2, "gpu_worker" if code.startswith("U") else "head")
    assert len(ec2.asked) == 5


def test_every_machine_has_the_shared_storage() -> None:
    (mount,) = [c for c in CONFIG["initialization_commands"] if "nfs4" in c]
    assert mount.startswith("mountpoint -q /shared ||")
    assert "--volume=/shared:/shared" in CONFIG["docker"]["run_options"]


def test_head_and_workers_run_a_ray_that_gansweep_accepts() -> None:
    project = (FILE.parent / "pyproject.toml").read_text()
    least, below = re.findall(r'"ray\[tune\]>=([\d.]+),<([\d.]+)"', project)[0]
    image = re.findall(r"rayproject/ray:([\d.]+)-py311-gpu", CONFIG["docker"]["image"])[0]

    def numbers(version: str) -> tuple[int, ...]:
        return tuple(map(int, version.split(".")))

    assert numbers(least) <= numbers(image) < numbers(below)


def test_the_lines_to_change_are_marked_and_hold_no_secret() -> None:
    text = FILE.read_text()
    assert text.count("# CHANGE:") == 5
    for line in text.splitlines():
        assert "0000000" not in line or "CHANGE" in line, line
        assert not re.search(r"AKIA|aws_secret|password", line)
