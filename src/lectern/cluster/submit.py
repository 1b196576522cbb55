"""The command of a stage to a Slurm job: how many processes its trainer starts, its name, its own logs."""

import hashlib
import itertools
import re
import secrets
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from lectern.artifacts.paths import CONF, JOBS, group_config
from lectern.cluster import job_script, slurm, watch
from lectern.cluster.job_script import Shape
from lectern.cluster.log_tail import Followed
from lectern.cluster.site import Site, read_site
from lectern.errors import UserError
from lectern.training.world_size import check_batch_divides

STAGE = re.compile(r"pipelines/(\w+)\.py")
MANY = ("-m", "--multirun")


def submit(words: list[str], cluster: str | None = None) -> None:
    """Send the stage that the words start, and wait for its end. With `-m`, a job array of the grid's.

    Where the same command's job waits or runs already, that one is waited for. Raises UserError for a command that is
    no stage, for a trainer that does not fit the batch, and for all that Slurm refuses or that goes wrong.
    """
    name, site = read_site(cluster)
    commands = expand(words)
    shape = {shape_of(command) for command in commands}
    if len(shape) > 1:
        raise UserError("All trainings of a grid have to run on the same trainer: they are elements of one job array.")
    send_and_wait(commands, shape.pop(), site, name)


def send_and_wait(commands: list[list[str]], shape: Shape, site: Site, site_name: str) -> None:
    slurm.require()
    title = name_of(commands)
    path = JOBS / f"{title}.sh"
    job = slurm.find(title) if path.exists() else None
    if job:
        watch.say(f"{title}: job {job} was sent before and is waited for.")
    else:
        check_nodes(shape.nodes, site, site_name)
        job_script.write(path, title, commands, shape, site, secrets.token_hex(8))
        job = slurm.send(path, site_name)
        nodes = f"{shape.nodes} x {shape.processes} {'GPUs' if shape.gpu else 'processes'}"
        watch.say(f"{title}: sent as job {job}, {nodes}; its log: {log_of(path, job, commands)}")
    logs = Followed(path.parent, f"{path.stem}-{job}{'_*' if len(commands) > 1 else ''}.log")
    watch.wait(job, title, logs, site, str(group_config("cluster", site_name)))


def check_nodes(wanted: int, site: Site, site_name: str) -> None:
    """Raises UserError where the partition will never have so many: Slurm would let the job wait for ever."""
    there = slurm.count_nodes(site.partition)
    if 0 < there < wanted:
        where = f"partition {site.partition or '(default)'} of conf/cluster/{site_name}.yaml"
        raise UserError(
            f"The trainer asks for {wanted} nodes (trainer.num_nodes), and {where} has {there}. Ask for fewer, or "
            "choose another partition."
        )


def log_of(path: Path, job: str, commands: list[list[str]]) -> str:
    pattern = job_script.log_pattern(path, len(commands))
    return str(pattern).replace("%j", job).replace("%A", job).replace("%a", "*")


def name_of(commands: list[list[str]]) -> str:
    """What a job is found again by: the model folder that it makes, and a hash of its command and this folder."""
    stage = stage_of(split(commands[0])[0])
    out = next((word.rpartition("/")[2] for word in commands[0] if word.startswith("out=")), stage)
    digest = hashlib.sha256(repr([str(Path.cwd()), commands]).encode()).hexdigest()[:8]
    return f"{out}-{digest}"


def expand(words: list[str]) -> list[list[str]]:
    """The command of each training: one, or those of a grid.

    >>> expand(["python", "pipelines/train.py", "-m", "dataset=mnist", "seed=1,2"])
    [['python', 'pipelines/train.py', 'dataset=mnist', 'seed=1'], ['python', ..., 'seed=2']]
    """
    before, overrides = split(words)
    if not set(MANY) & set(overrides):
        return [words]
    choices = [word for word in overrides if word not in MANY]
    parsed = OverridesParser.create().parse_overrides(choices)
    options = [values_of(one) or [word] for one, word in zip(parsed, choices, strict=True)]
    return [[*before, *chosen] for chosen in itertools.product(*options)]


def values_of(override: Override) -> list[str]:
    """An override of several values as one of each; nothing for a plain one."""
    if not override.is_sweep_override():
        return []
    return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]


def split(words: list[str]) -> tuple[list[str], list[str]]:
    """A command's words up to the script, and those that it is given."""
    places = [place for place, word in enumerate(words) if STAGE.fullmatch(word)]
    if not places:
        raise UserError(
            "A stage is expected: lectern submit python pipelines/train.py dataset=... model=... "
            f"Found: {' '.join(words)!r}"
        )
    return words[: places[0] + 1], words[places[0] + 1 :]


def stage_of(before: list[str]) -> str:
    """The stage that a command starts, whose words up to the script these are."""
    return STAGE.fullmatch(before[-1])[1]


def shape_of(command: list[str]) -> Shape:
    """Nodes and processes as the composed trainer says, after a look whether the batch can be shared among them.

    A stage that trains nothing is one process.
    """
    before, overrides = split(command)
    try:
        with initialize_config_dir(str(CONF.absolute()), version_base="1.3"):
            config = compose(stage_of(before), overrides)
    except HydraException as error:
        raise UserError(f"The config of the stage: {error}") from error
    trainer = config.get("trainer")
    if trainer is None:
        return Shape(1, 1, gpu=False)
    if not isinstance(trainer.devices, int) or trainer.devices < 1:
        raise UserError(
            f"conf/trainer: devices is {trainer.devices!r}, but a job has to ask for a number: TRAINER=cluster, or "
            "trainer.devices=4"
        )
    check_batch_divides(config.model.batches, trainer, f"{group_config('model', config.model.name)}, batches")
    return Shape(trainer.get("num_nodes", 1), trainer.devices, trainer.accelerator == "gpu")
