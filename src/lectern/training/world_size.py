"""Compute the number of processes of a training, and check that the global batch can be divided among the processes."""

from collections.abc import Mapping
from typing import Any

from lectern.errors import UserError


def world_size(trainer: Mapping[str, Any]) -> int:
    """Return the total number of processes on all nodes that a trainer config requires.

    `devices: -1` or `devices: auto` means all GPUs of this machine. If `devices` is a list of GPU indices, each node
    starts one process per index.
    """
    devices = trainer["devices"]
    if isinstance(devices, list):
        devices = len(devices)
    if devices in (-1, "auto"):
        from torch.cuda import device_count

        devices = max(device_count(), 1)
    return int(devices) * int(trainer.get("num_nodes", 1))


def check_batch_divides(batches: Mapping[str, Any], trainer: Mapping[str, Any], where: str) -> None:
    """Raise UserError if the global `batch_size` is not divisible by the number of processes.

    A batch config with a limit on the number of tokens has no `batch_size` and is always valid. The sentences of a
    batch are then assigned to the processes in turn.
    """
    processes, batch_size = world_size(trainer), batches.get("batch_size", 0)
    if batch_size % processes == 0:
        return
    nodes, smaller = trainer.get("num_nodes", 1), batch_size // processes * processes
    choices = [str(size) for size in (smaller, smaller + processes) if size]
    raise UserError(
        f"{where}: global batch_size {batch_size} is not divisible by {processes} processes "
        f"({nodes} nodes x {processes // nodes}); use {' or '.join(choices)}, or a different number of processes."
    )
