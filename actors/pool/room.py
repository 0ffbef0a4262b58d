"""The check before a pool starts: Ray waits for ever for resources that no node has."""

from __future__ import annotations

from actors.errors import BadInput
from configs.pool import PoolSettings


def check_room(name: str, settings: PoolSettings) -> None:
    """Refuse at once what Ray would wait for in vain.

    Raises:
        BadInput: the cluster's nodes, were they idle, have no room for all replicas.
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    room = sum(room_on(node, settings) for node in nodes)
    if room < settings.workers:
        cpus, gpus = (sum(node.get(kind, 0) for node in nodes) for kind in ("CPU", "GPU"))
        raise BadInput(
            f"pool {name!r} asks for {settings.workers} replicas of {settings.num_cpus:g} CPU and "
            f"{settings.num_gpus:g} GPU, but the cluster ({len(nodes)} nodes, {cpus:g} CPU, {gpus:g} GPU) "
            f"has room for {room}; lower workers, num_cpus or num_gpus, or add nodes"
        )


def room_on(node: dict[str, float], settings: PoolSettings) -> int:
    """How many replicas fit on a node with these resources, at most `workers`."""
    room = settings.workers
    if settings.num_cpus:
        room = min(room, int(node.get("CPU", 0) / settings.num_cpus + 1e-6))
    if settings.num_gpus >= 1:
        room = min(room, int(node.get("GPU", 0) // settings.num_gpus))
    elif settings.num_gpus:
        room = min(room, int(node.get("GPU", 0)) * round(1 / settings.num_gpus))
    return room
