"""Whether Ray's autoscaler looks after the cluster that has been joined, and may start nodes."""

from __future__ import annotations

_ANSWER_SECONDS = 5


def grows() -> bool:
    """Whether nodes may come that are not there yet; of which kinds, Ray tells nobody.

    Ray's second autoscaler reports to the head, and runs only where it was given kinds of nodes:
    by `ray up`, or by KubeRay. Of a Ray without this private name nothing is known: then only
    nodes that are there count. A test looks for it.
    """
    import ray
    from ray.exceptions import RayError

    try:
        from ray.autoscaler.v2.sdk import get_cluster_status

        status = get_cluster_status(ray.get_runtime_context().gcs_address, _ANSWER_SECONDS)
        return (status.stats.autoscaler_version or "0") != "0"
    except (ImportError, AttributeError, RayError):
        return False
