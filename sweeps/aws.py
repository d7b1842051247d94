"""Machines of AWS for `cluster.yaml`: spot ones, and ordinary ones where no spot one is free."""

from __future__ import annotations

from typing import Any

from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
from ray.autoscaler.node_launch_exception import NodeLaunchException

MARKET = "InstanceMarketOptions"
NO_SPOT = (
    "InsufficientInstanceCapacity",
    "MaxSpotInstanceCountExceeded",
    "SpotMaxPriceTooLow",
    "UnfulfillableCapacity",
)
"""What EC2 answers when it has no spot machine for us, in any of the subnets that were tried."""


class SpotFirst(AWSNodeProvider):
    """Ray's own provider, which would ask for the same spot machine for ever (Ray 2.60).

    Ray's autoscaler prefers other kinds of nodes to one that failed only where machines came and
    never joined; a request that EC2 refuses does not count.
    """

    def _create_node(self, node_config: dict[str, Any], tags: dict[str, str], count: int) -> Any:
        create: Any = super()._create_node
        try:
            return create(node_config, tags, count)
        except NodeLaunchException as error:
            if error.category not in NO_SPOT or MARKET not in node_config:
                raise
        ordinary = {key: value for key, value in node_config.items() if key != MARKET}
        return create(ordinary, tags, count)
