"""The project in a folder of its own, in which DVC's stages run for real."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
CODE = (
    "conf",
    "pipelines",
    "src",
    "dvc.yaml",
    "experiments.yaml",
    "params.yaml",
    "pyproject.toml",
    ".dvcignore",
    ".gitignore",
)
STAGES = ["download@sample_digits", "preprocess@sample_digits"]
STAGES += [f"{stage}@demo-digits" for stage in ("train", "evaluate", "register")]
STAND_INS = [f"{stage}@other-digits" for stage in ("train", "evaluate", "register")]  # of another model
SAMPLE = {  # the variables of dvc.yaml: the sample's digits, and a second experiment with the other model
    "origins": ["sample_digits"],
    "datasets": {"sample_digits": {"task": "digits", "origin": "sample_digits"}},
    "experiments": {
        "demo-digits": {"dataset": "sample_digits", "task": "digits", "model": "digits_cnn"},
        "other-digits": {"dataset": "sample_digits", "task": "digits", "model": "digits_resnet"},
    },
}


class Checkout:
    """The project in a folder of its own, with its own git, DVC and store; only the sample's digits, and quickly."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir()
        for name in CODE:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, folder / name)
        (folder / ".dvc").mkdir()
        for name in ("config", ".gitignore"):
            shutil.copy(ROOT / ".dvc" / name, folder / ".dvc")
        self.edit("experiments.yaml", lambda variables: variables.update(SAMPLE))
        self.edit("conf/model/digits_cnn.yaml", lambda model: model["fit"]["laptop"].update(epochs=2))
        self.edit("conf/trainer/laptop.yaml", lambda trainer: trainer.update(threads=1))
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("add", ".")
        self.git("commit", "--quiet", "--message=all of it")

    def __truediv__(self, path: str) -> Path:
        return self.folder / path

    @property
    def environment(self) -> dict[str, str]:
        bin = Path(sys.executable).parent
        own = {name: value for name, value in os.environ.items() if name not in ("LAUNCH", "TRAINER", "LECTERN_MIRROR")}
        own.pop("PYTHONDONTWRITEBYTECODE", None)  # as on anybody's machine
        person = {
            f"GIT_{who}_{what}": "nobody@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        return {
            **own, **person,
            "PATH": f"{bin}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self / "src"),
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
        process = self.start(*command, **environment)
        said, _ = process.communicate()
        return process.returncode, said

    def do(self, *command: str, **environment: str) -> str:
        code, said = self.run(*command, **environment)
        assert code == 0, said
        return said

    def git(self, *arguments: str) -> str:
        return self.do("git", *arguments)

    def edit(self, name: str, change) -> None:
        content = yaml.safe_load((self / name).read_text())
        change(content)
        (self / name).write_text(yaml.safe_dump(content, sort_keys=False))

    def stale(self, **environment: str) -> set[str]:
        """The stages that DVC would run again, with those that come after them."""
        changed = json.loads(self.do("dvc", "status", "--json", **environment))
        return {after for stage in changed for after in follow(stage)}

    @contextmanager
    def changed(self, name: str, change=lambda text: text + "\n# a comment\n") -> Iterator[None]:
        path = self / name
        before = path.read_text() if path.exists() else None
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(change(before or ""))
        try:
            yield
        finally:
            path.unlink() if before is None else path.write_text(before)

    def lock(self) -> dict:
        return yaml.safe_load((self / "dvc.lock").read_text())["stages"]

    def top(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}


def follow(stage: str) -> list[str]:
    """A stage and those that come after it."""
    order = ["download", "preprocess", "train", "evaluate", "register"]
    name, _, item = stage.partition("@")
    after = order[order.index(name) :]
    items = [item] if name in ("train", "evaluate", "register") else ["sample_digits", "demo-digits", "other-digits"]
    return [other for each in after for one in items if (other := f"{each}@{one}") in STAGES + STAND_INS]
