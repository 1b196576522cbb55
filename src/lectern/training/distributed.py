"""Find the rank of this process, and configure Lightning for processes that Slurm starts."""

import torch.distributed as dist
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_utilities.core.rank_zero import rank_zero_only


def slurm_plugins() -> list[SLURMEnvironment]:
    """Return a list with Lightning's Slurm plugin if Slurm started this process, and otherwise an empty list.

    The plugin must not requeue the job, because the job script requeues the job.
    """
    under_slurm = SLURMEnvironment.detect() and not TorchElasticEnvironment.detect()
    return [SLURMEnvironment(auto_requeue=False)] if under_slurm else []


def rank_and_world_size() -> tuple[int, int]:
    """Return the rank and the world size (number of processes), which are (0, 1) before the processes are connected.

    Loaders are created before the processes are connected, so a loader must not call `rank_and_world_size` in its
    constructor.
    """
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def is_first_process() -> bool:
    """Return whether this process is rank 0, which writes all files.

    The result is correct even before the processes are connected.
    """
    return bool(getattr(rank_zero_only, "rank", 0) == 0)
