"""Keep a copy of a finished model folder until DVC has recorded it, so that no finished training is repeated.

DVC deletes the outputs of a stage before it runs the stage. If DVC is killed after a training and before it has written
`dvc.lock`, the next `dvc repro` deletes the new model folder and runs the train stage again. The train stage then uses
the copy of the model folder in the run directory.
"""

import filecmp
import os
import shutil
from contextlib import suppress
from pathlib import Path

from lectern.artifacts.paths import RUNS
from lectern.atomic import atomic_directory
from lectern.errors import UserError

WEIGHTS = "weights.safetensors"
FOLDER = "finished"  # name of the folder in the run directory


def result_path(folder: Path, name: str) -> Path:
    """Return the path of the finished model folder in the run directory `folder`.

    The finished model folder exists only if it is complete.
    """
    return folder / FOLDER / name


def is_run_by_dvc() -> bool:
    return "DVC_STAGE" in os.environ


def contains_model(out: Path) -> bool:
    return (out / WEIGHTS).exists()


def check_output_folder(out: Path, result: Path) -> None:
    """Raise UserError if the output folder contains the model of a different training.

    `result` is the path of this training's finished model folder. The folder may not exist yet. Under DVC, the output
    folder may contain any model, because DVC deletes the output folder before it runs the stage.
    """
    if is_run_by_dvc() or not contains_model(out) or is_copy(result, out):
        return
    raise UserError(
        f"{out} already contains the model of a different training. Choose a different folder with out=..., or delete "
        "the folder. In a grid, give each training its own folder, such as 'out=runs/seed-${seed}'."
    )


def is_copy(result: Path, out: Path) -> bool:
    """Return whether the output folder contains the weights of a finished model folder."""
    return contains_model(result) and filecmp.cmp(result / WEIGHTS, out / WEIGHTS, shallow=False)


def publish_result(result: Path, out: Path) -> None:
    """Copy a finished model folder to the output folder of the train stage."""
    check_output_folder(out, result)
    with atomic_directory(out) as part:
        for file in result.iterdir():
            shutil.copyfile(file, part / file.name)


def discard_results(name: str, keep: Path | None = None) -> None:
    """Delete the finished model folders of an experiment, except the one in the run directory `keep`.

    The deleted folders are not needed any more, because DVC has recorded their content.
    """
    for result in RUNS.glob(f"*/{FOLDER}/{name}"):
        folder = result.parents[1]
        if folder != keep:
            shutil.rmtree(result, ignore_errors=True)
            for empty in (result.parent, folder):
                with suppress(OSError):  # the run directory contains checkpoints, because the training runs again
                    empty.rmdir()
