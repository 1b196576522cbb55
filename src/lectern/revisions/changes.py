"""Find out what changed between two revisions: metrics, params, code and data of each experiment."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from lectern.artifacts.paths import METRICS, PARAMS, group_config
from lectern.errors import UserError
from lectern.revisions.dvc_command import read_dvc_json
from lectern.revisions.outputs_at import OutputsAt
from lectern.stages.experiments import Experiment, code_dependencies, read_experiments
from lectern.tracking.git import run_git

Values = dict[str, dict[str, Any]]  # maps the name of a value to the old and the new value
STAGES = ("preprocess", "train", "evaluate")


@dataclass(frozen=True)
class Changes:
    """What differs between the revisions `base` and `head` for one experiment."""

    experiment: Experiment
    base: OutputsAt
    head: OutputsAt
    metrics: Values
    params: Values
    code: list[str]

    @property
    def is_data_changed(self) -> bool:
        return self.base.data_digest != self.head.data_digest


def check_revision(revision: str) -> None:
    if not run_git(Path.cwd(), "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"):
        raise UserError(f"git has no commit {revision!r} in this repository. `git log --oneline` lists the commits.")


def find_changes(base: str, head: str) -> Iterator[Changes]:
    """Yield the changes of each experiment whose metrics differ between two revisions."""
    for revision in (base, head):
        check_revision(revision)
    experiments = read_experiments()
    params = read_dvc_json("params", "diff", base, head)
    for file, values in sorted(read_dvc_json("metrics", "diff", "--all", base, head).items()):
        path = PurePosixPath(file)
        is_changed = any(value.get("old") != value.get("new") for value in values.values())
        if path.parent == PurePosixPath(METRICS) and is_changed and path.stem in experiments:
            experiment = experiments[path.stem]
            old, new = OutputsAt(experiment.paths, base), OutputsAt(experiment.paths, head)
            code = changed_code(experiment, base, head)
            yield Changes(experiment, old, new, values, own_params(experiment, params), code)


def own_params(experiment: Experiment, params: dict[str, Values]) -> Values:
    """Return the changed params of the configs that an experiment uses. The key names the file and the param."""
    files = (group_config("model", experiment.model), group_config("dataset", experiment.dataset), PARAMS)
    chosen = {file.as_posix(): params.get(file.as_posix(), {}) for file in files}
    return {f"{file}: {key}": value for file, values in chosen.items() for key, value in values.items()}


def changed_code(experiment: Experiment, base: str, head: str) -> list[str]:
    """Return the source files that differ and on which a stage of the experiment depends."""
    folders = {path.as_posix() for stage in STAGES for path in code_dependencies(stage, experiment.task, Path())}
    output = run_git(Path.cwd(), "diff", "--name-only", "--relative", base, head, "--", *sorted(folders))
    return output.decode().split()
