"""Write small raw files for the tests of `lectern add dataset`, and run the command and the stages on them."""

import os
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import jaxtyping
import pytest

from children import Ended, in_child, lectern, run_stage
from download_server import running_file_server
from language_model_texts import WORKS
from lectern.task_modules import task_names
from lectern.tasks.translation.data import samples
from sentence_texts import SENTENCES, write_lines
from steering_recordings import write_donkey, write_udacity_sim

for module in ("new_dataset.write", *(f"tasks.{task}.data.preprocess" for task in task_names())):
    import_module(f"lectern.{module}")  # child processes inherit these imports

ROOT = Path(__file__).parents[1]
KANNADA = {
    "train-images-idx3-ubyte.gz": "X_kannada_MNIST_train-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz": "y_kannada_MNIST_train-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz": "X_kannada_MNIST_test-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz": "y_kannada_MNIST_test-idx1-ubyte.gz",
}


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """Change to a copy of the config files and the stage scripts."""
    folder = tmp_path / "checkout"
    for name in ("conf", "pipelines"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("dvc.yaml", "experiments.yaml", "params.yaml"):
        shutil.copy(ROOT / name, folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("LECTERN_MIRROR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return folder


@pytest.fixture
def files():
    with running_file_server() as server:
        yield server


def write_kannada(folder: Path, raw_digits: Path) -> None:
    """Copy the sample digits to files with the names of Kannada-MNIST."""
    for name, renamed in KANNADA.items():
        shutil.copy(raw_digits / name, folder / renamed)


def write_texts(folder: Path, _: Path) -> None:
    (folder / "volume").mkdir()
    for number, text in enumerate(WORKS.values()):
        (folder / "volume" / f"{number}.txt").write_text(text)


def write_anki(folder: Path, _: Path) -> None:
    """Write a tab-separated file whose third column names the authors, as in the files of manythings.org/anki."""
    samples.make(folder, count=400, seed=1)
    rows = [line for path in sorted(folder.glob("*.tsv")) for line in path.read_text().splitlines()]
    for path in folder.iterdir():
        path.unlink()
    lines = (f"{row}\tCC-BY 2.0 (France) Attribution: tatoeba.org #{number}\n" for number, row in enumerate(rows))
    (folder / "fra.txt").write_text("".join(lines))


def write_drive(folder: Path, _: Path) -> None:
    write_udacity_sim(folder)


def write_tub(folder: Path, _: Path) -> None:
    write_donkey(folder, frames=400)


def write_opinions(folder: Path, _: Path) -> None:
    write_lines(folder / "opinions.train", SENTENCES)
    write_lines(folder / "opinions.test", [(label, f"now {text}") for label, text in SENTENCES])


# maps each name to its task, the function that writes the files, and further arguments of the command
EXAMPLES: dict[str, tuple[str, Callable[[Path, Path], None], list[str]]] = {
    "kannada": ("digits", write_kannada, []),
    "poems": ("language_model", write_texts, []),
    "fra": ("translation", write_anki, ["--set", "source=en", "--set", "target=fr"]),
    "drive": ("steering", write_drive, []),
    "tub": ("steering", write_tub, []),
    "opinions": ("sentences", write_opinions, ["--set", "classes=[negative,positive]"]),
}


def add(name: str, task: str, *words: str) -> Ended:
    return lectern("add", "dataset", name, "--task", task, "--licence", "CC BY 4.0: the author", *words)


def run_stage_in_child(stage: str, override: str, mirror: Path | None = None) -> Ended:
    def run() -> None:
        jaxtyping.config.update("jaxtyping_disable", True)  # it refuses a list of a config in place of a tuple
        os.environ.pop("LECTERN_MIRROR", None)
        if mirror:
            os.environ["LECTERN_MIRROR"] = str(mirror)
        run_stage(stage, override)

    return in_child(run)


def read_tree(folder: Path) -> dict[str, bytes]:
    """Return the content of every file below a folder, by relative path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
