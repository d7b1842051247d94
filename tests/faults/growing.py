"""A cluster that grows: a head without CPUs, whose autoscaler starts nodes when something waits.

Ray's own `AutoscalingCluster` ends every Ray of the machine before it starts, and reads a file that
its package lacks (Ray 2.60); the provider of nodes below it needs neither.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HEAD, HEAD_KIND = "f" * 51 + "00000", "ray.head.default"
"""By these the provider knows the head."""

ENVIRONMENT = {
    "RAY_FAKE_CLUSTER": "1",
    "AUTOSCALER_UPDATE_INTERVAL_S": "1",
    "RAY_enable_autoscaler_v2": "1",  # As `ray up` has it.
    "RAY_CLOUD_INSTANCE_ID": HEAD,
    "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD,
}

_UNUSED = (
    "initialization_commands",
    "setup_commands",
    "head_setup_commands",
    "worker_setup_commands",
    "head_start_ray_commands",
    "worker_start_ray_commands",
    "cluster_synced_files",
    "rsync_exclude",
    "rsync_filter",
)


def written(folder: Path, address: str, kinds: Mapping[str, Mapping[str, float]], most: int) -> str:
    """The file that `ray start --autoscaling-config` takes.

    Args:
        kinds: By name, what a node of each kind that may be started has.
        most: How many of each there may be.
    """
    workers = {
        name: {"resources": dict(has), "node_config": {}, "min_workers": 0, "max_workers": most}
        for name, has in kinds.items()
    }
    head = {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0}
    content: dict[str, Any] = {
        "cluster_name": "growing",
        "max_workers": most * len(kinds),
        "upscaling_speed": 8.0,
        "idle_timeout_minutes": 0.1,
        "provider": {
            "type": "external",
            "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
            "gcs_address": address,
            "head_node_id": HEAD,
            "launch_multiple": True,
            "use_node_id_as_ip": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
        },
        "available_node_types": {HEAD_KIND: head, **workers},
        "head_node_type": HEAD_KIND,
        "auth": {},
        "docker": {},
        "file_mounts": {},
        "file_mounts_sync_continuously": False,
        **{name: [] for name in _UNUSED},
    }
    file = folder / "autoscaling.json"
    file.write_text(json.dumps(content))
    return str(file)
