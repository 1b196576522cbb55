"""Create a copy of the project in a temporary folder. Tests run the real DVC stages in this copy."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
COPIED = (
    "conf", "pipelines", "src", "dvc.yaml", "experiments.yaml", "params.yaml", "pyproject.toml", ".dvcignore",
    ".gitignore",
)  # fmt: skip
EXPERIMENT_STAGES = ("train", "evaluate", "register")
STAGES = ["download@sample_digits", "preprocess@sample_digits"]
STAGES += [f"{stage}@demo-digits" for stage in EXPERIMENT_STAGES]
OTHER_STAGES = [f"{stage}@other-digits" for stage in EXPERIMENT_STAGES]
SAMPLE = {  # content of `experiments.yaml` in the copy: the dataset of the sample digits and two experiments
    "origins": ["sample_digits"],
    "datasets": {"sample_digits": {"task": "digits", "origin": "sample_digits"}},
    "experiments": {
        "demo-digits": {"dataset": "sample_digits", "task": "digits", "model": "digits_cnn"},
        "other-digits": {"dataset": "sample_digits", "task": "digits", "model": "digits_resnet"},
    },
}


def write_yaml(path: Path, content: Any) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def write_experiments(path: Path, variables: dict[str, Any]) -> None:
    """Write an `experiments.yaml` in which the list `evaluated` refers to the lists of experiments."""
    groups = {name: variables.get(name) or {} for name in ("experiments", "pre_trained", "fine_tuned")}
    write_yaml(path, {key: value for key, value in variables.items() if key not in (*groups, "evaluated")})
    with open(path, "a") as file:
        for name, values in groups.items():
            lines = [f"  {key}: {json.dumps(value)}\n" for key, value in values.items()]
            file.write(f"{name}: &{name}{'' if lines else ' {}'}\n" + "".join(lines))
        file.write("evaluated:\n  <<: [*experiments, *fine_tuned]\n")


class Checkout:
    """A copy of the project with its own git repository, DVC project and MLflow store.

    Trainings in this copy are short.
    """

    def __init__(self, folder: Path, experiments: dict[str, Any] = SAMPLE):
        self.folder = folder
        folder.mkdir()
        for name in COPIED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, folder / name)
        (folder / ".dvc").mkdir()
        for name in ("config", ".gitignore"):
            shutil.copy(ROOT / ".dvc" / name, folder / ".dvc")
        lists = {"pre_trained": {}, "fine_tuned": {}} | experiments
        self.edit("experiments.yaml", lambda variables: variables.update(lists))
        self.edit("conf/model/digits_cnn.yaml", lambda model: model["fit"]["laptop"].update(epochs=2))
        self.edit("conf/trainer/laptop.yaml", lambda trainer: trainer.update(threads=1))
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("add", ".")
        self.git("commit", "--quiet", "--message=Initial commit")

    def __truediv__(self, path: str) -> Path:
        return self.folder / path

    @property
    def environment(self) -> dict[str, str]:
        bin = Path(sys.executable).parent
        removed = ("LAUNCH", "TRAINER", "LECTERN_MIRROR", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH")
        inherited = {name: value for name, value in os.environ.items() if name not in removed}
        author = {
            f"GIT_{role}_{what}": "nobody@localhost" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        return {
            **inherited, **author,
            "PATH": f"{bin}{os.pathsep}{os.environ['PATH']}",
            "MLFLOW_TRACKING_URI": self.store,
        }  # fmt: skip

    @property
    def store(self) -> str:
        return f"sqlite:///{self / 'mlflow.db'}"

    def start(self, *command: str, **environment: str) -> subprocess.Popen:
        return subprocess.Popen(
            command, cwd=self.folder, env={**self.environment, **environment}, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, *command: str, **environment: str) -> tuple[int, str]:
        """Run a command in the copy. Return the exit code and the output of the command."""
        process = self.start(*command, **environment)
        output, _ = process.communicate()
        return process.returncode, output

    def do(self, *command: str, **environment: str) -> str:
        """Run a command that must succeed, and return its output."""
        code, output = self.run(*command, **environment)
        assert code == 0, output
        return output

    def git(self, *arguments: str) -> str:
        return self.do("git", *arguments)

    def edit(self, name: str, change: Callable[[Any], Any]) -> None:
        """Load a YAML file of the copy, change a value in place and write the file back."""
        content = yaml.safe_load((self / name).read_text())
        change(content)
        write = write_experiments if name == "experiments.yaml" else write_yaml
        write(self / name, content)

    def stale(self, **environment: str) -> set[str]:
        """Return the stages that DVC would run again, including those that depend on a changed stage."""
        changed = json.loads(self.do("dvc", "status", "--json", **environment))
        return {later for stage in changed for later in self.later_stages(stage)}

    def later_stages(self, stage: str) -> list[str]:
        """Return a stage and every stage that directly or indirectly needs the output of this stage."""
        variables = yaml.safe_load((self / "experiments.yaml").read_text())
        name, _, item = stage.partition("@")
        if name in EXPERIMENT_STAGES:
            return [f"{later}@{item}" for later in EXPERIMENT_STAGES[EXPERIMENT_STAGES.index(name) :]]
        key = "origin" if name == "download" else "name"
        datasets = {other: {**values, "name": other} for other, values in variables["datasets"].items()}
        used = [other for other, values in datasets.items() if values[key] == item]
        experiments = [other for other, values in variables["evaluated"].items() if values["dataset"] in used]
        preprocessed = [f"preprocess@{dataset}" for dataset in used]
        trained = [f"{later}@{experiment}" for experiment in experiments for later in EXPERIMENT_STAGES]
        return [stage, *preprocessed, *trained]

    @contextmanager
    def changed(
        self, name: str, change: Callable[[str], str] = lambda text: text + "\n# a comment\n"
    ) -> Iterator[None]:
        """Change the text of a file inside the block.

        If the file did not exist before, the file is deleted after the block.
        """
        path = self / name
        before = path.read_text() if path.exists() else None
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(change(before or ""))
        try:
            yield
        finally:
            path.unlink() if before is None else path.write_text(before)

    def lock(self) -> dict[str, Any]:
        return yaml.safe_load((self / "dvc.lock").read_text())["stages"]

    def top_level_names(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}
