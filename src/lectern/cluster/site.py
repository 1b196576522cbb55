"""`conf/cluster/<site>.yaml` to what a job asks for: the signature is the schema."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from lectern.artifacts.paths import group_config
from lectern.config import call, nearest
from lectern.errors import UserError


@dataclass(frozen=True)
class Site:
    """How a Slurm site wants its jobs; `conf/cluster/example.yaml` says what each key is for."""

    time: str
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    gpu_type: str | None = None
    memory: str | None = None
    cpus_per_process: int = 1
    setup: Sequence[str] = ()
    srun: Sequence[str] = ()
    sbatch: Sequence[str] = ()
    warning: int = 120
    restarts: int = 100
    poll: int | float = 10


def read_site(name: str | None = None) -> tuple[str, Site]:
    """A site's name and what its file says: the one named, or that of CLUSTER, or `local`."""
    name = name or os.environ.get("CLUSTER") or "local"
    path = group_config("cluster", name)
    if not path.is_file():
        sites = sorted(file.stem for file in path.parent.glob("*.yaml"))
        raise UserError(
            f"There is no {path}{nearest(name, sites)} There is: {', '.join(sites)}. For a site of your own, copy "
            "conf/cluster/example.yaml; CLUSTER=<site> chooses."
        )
    site = call(Site, yaml.safe_load(path.read_text()), str(path))
    if not isinstance(site.time, str):  # 24:00:00 without quotes is 86400 to YAML, and that minutes to Slurm
        raise UserError(f'{path}: put the time in quotes, as "24:00:00"; YAML reads {site.time!r} without them.')
    return name, site
