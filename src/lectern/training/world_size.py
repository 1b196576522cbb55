"""A trainer's config to how many processes it starts, and a global batch to the share of each."""

from collections.abc import Mapping
from typing import Any

from lectern.errors import UserError


def world_size(trainer: Mapping[str, Any]) -> int:
    """How many processes a trainer's config starts on all its nodes; without a number, one for each GPU here."""
    devices = trainer["devices"]
    if not isinstance(devices, int) or devices < 1:  # -1, "auto"; what makes no sense Lightning refuses
        from torch.cuda import device_count

        devices = max(device_count(), 1)
    return devices * trainer.get("num_nodes", 1)


def check_batch_divides(batches: Mapping[str, Any], trainer: Mapping[str, Any], where: str) -> None:
    """Raises UserError for a global `batch_size` that the processes cannot share equally.

    Where a batch is a number of tokens there is nothing to check: the processes take its sentences in turn.
    """
    world, batch_size = world_size(trainer), batches.get("batch_size", 0)
    if batch_size % world:
        nodes, less, more = trainer.get("num_nodes", 1), batch_size // world * world, (batch_size // world + 1) * world
        raise UserError(
            f"{where}: batch_size is {batch_size}, of all processes together, and the trainer starts {world} "
            f"({nodes} nodes x {world // nodes}): {batch_size % world} would be left over. "
            f"Choose {f'{less} or ' if less else ''}{more}, or another number of processes."
        )
