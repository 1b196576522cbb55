"""Keep the result of a training until DVC has recorded the result, so that no training is repeated.

DVC deletes the outputs of a stage before it runs the stage. If DVC is killed after a training and before it has written
`dvc.lock`, the next `dvc repro` deletes the new model and starts the stage again. The stage then uses the result in the
run directory.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from lectern.artifacts.paths import RUNS
from lectern.atomic import atomic_directory

FOLDER = "finished"  # in the run directory


def result_path(folder: Path, name: str) -> Path:
    """Return the path of the finished model folder in the run directory. The folder exists only if it is complete."""
    return folder / FOLDER / name


def is_run_by_dvc() -> bool:
    return "DVC_STAGE" in os.environ


def publish_result(result: Path, out: Path) -> None:
    """Copy a finished model folder to the output of the stage."""
    with atomic_directory(out) as part:
        for file in result.iterdir():
            shutil.copyfile(file, part / file.name)


def discard_results(name: str, keep: Path | None = None) -> None:
    """Delete the results of an experiment that DVC has recorded, except a result in the folder `keep`."""
    for result in RUNS.glob(f"*/{FOLDER}/{name}"):
        folder = result.parents[1]
        if folder != keep:
            shutil.rmtree(result, ignore_errors=True)
            for empty in (result.parent, folder):
                with suppress(OSError):  # the folder contains the checkpoints of a training that runs again
                    empty.rmdir()
