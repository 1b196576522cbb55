"""Keep a copy of a finished model folder until DVC has recorded it, so that no finished training is repeated.

DVC deletes the outputs of a stage before it runs the stage. If DVC is killed after a training and before it has written
`dvc.lock`, the next `dvc repro` deletes the new model folder and runs the train stage again. The train stage then uses
the copy of the model folder in the run directory.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from lectern.artifacts.paths import RUNS
from lectern.atomic import atomic_directory

FOLDER = "finished"  # name of the folder in the run directory


def result_path(folder: Path, name: str) -> Path:
    """Return the path of the finished model folder in the run directory `folder`.

    The finished model folder exists only if it is complete.
    """
    return folder / FOLDER / name


def is_run_by_dvc() -> bool:
    return "DVC_STAGE" in os.environ


def publish_result(result: Path, out: Path) -> None:
    """Copy a finished model folder to the output folder of the train stage."""
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
