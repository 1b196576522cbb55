"""Find the rank of this process in its training, and start processes under Slurm."""

import torch.distributed as dist
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_utilities.core.rank_zero import rank_zero_only


def slurm_plugins() -> list[SLURMEnvironment]:
    """Return Lightning's Slurm plugin if Slurm started this process.

    The plugin does not requeue the job, because the job script does this.
    """
    under_slurm = SLURMEnvironment.detect() and not TorchElasticEnvironment.detect()
    return [SLURMEnvironment(auto_requeue=False)] if under_slurm else []


def rank_and_world_size() -> tuple[int, int]:
    """Return (rank, world size).

    Call this function late, because loaders are created before the processes are connected.
    """
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def is_first_process() -> bool:
    """Return whether this process is rank 0, which writes all files.

    This function works before the processes are connected.
    """
    return bool(getattr(rank_zero_only, "rank", 0) == 0)
