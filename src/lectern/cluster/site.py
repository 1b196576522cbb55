"""Read the settings of a Slurm cluster from `conf/cluster/<site>.yaml`."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from lectern.artifacts.mapping_file import read_mapping
from lectern.artifacts.paths import group_config
from lectern.artifacts.text_lines import split_lines
from lectern.config import NonNegativeInt, PositiveFloat, PositiveInt, call, nearest
from lectern.errors import UserError


@dataclass(frozen=True)
class Site:
    """The settings of a Slurm cluster. `conf/cluster/example.yaml` explains each setting."""

    time: str
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    gpu_type: str | None = None
    memory: str | None = None
    cpus_per_process: PositiveInt = 1
    setup: Sequence[str] = ()
    srun: Sequence[str] = ()
    sbatch: Sequence[str] = ()
    warning: PositiveInt = 120
    restarts: NonNegativeInt = 100
    poll: PositiveFloat = 10


def read_site(name: str | None = None) -> tuple[str, Site]:
    """Return the name and the settings of a Slurm cluster.

    Without an argument, the name comes from the environment variable CLUSTER, or is `local` if CLUSTER is not set.
    """
    name = name or os.environ.get("CLUSTER") or "local"
    path = group_config("cluster", name)
    if not path.is_file():
        sites = sorted(file.stem for file in path.parent.glob("*.yaml"))
        raise UserError(
            f"{path} does not exist{nearest(name, sites)} Set CLUSTER to one of: {', '.join(sites)}. "
            f"To add a cluster, copy {group_config('cluster', 'example')}."
        )
    section = read_mapping(path)
    # YAML reads 24:00:00 without quotes as the number 86400, which Slurm would read as minutes.
    if isinstance(section.get("time"), int):
        raise UserError(
            f'{path}: put the value of `time` in quotes, such as "24:00:00". '
            f"Without quotes, YAML reads the value as the number {section['time']}."
        )
    site: Site = call(Site, section, str(path))
    reject_line_breaks(site, str(path))
    return name, site


def reject_line_breaks(site: Site, where: str) -> None:
    """Raise UserError if an option of sbatch contains a line break, because an option is one line of the job script."""
    for key, value in vars(site).items():
        words = [value] if isinstance(value, str) else value if key == "sbatch" else []
        for word in words:
            if split_lines(word) not in ([], [word]):
                raise UserError(f"{where}: {key} contains {word!r}; expected a text without line breaks.")
