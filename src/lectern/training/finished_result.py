"""Keep the result of a training until DVC has recorded it, so that a stage killed before that is not trained again.

DVC deletes the outputs of a stage before it runs the stage. If DVC is killed after a training and before it has written
`dvc.lock`, it deletes the new model and starts the training again. The result in the run directory is then used.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from lectern.artifacts.paths import RUNS
from lectern.atomic import atomic_directory

FOLDER = "finished"  # in the run directory


def result_path(folder: Path, name: str) -> Path:
    """Return where the run directory contains the finished model folder. It exists only if it is complete."""
    return folder / FOLDER / name


def is_run_by_dvc() -> bool:
    return "DVC_STAGE" in os.environ


def publish_result(result: Path, out: Path) -> None:
    """Copy a finished model folder to the output of the stage."""
    with atomic_directory(out) as part:
        for file in result.iterdir():
            shutil.copyfile(file, part / file.name)


def discard_results(name: str, keep: Path | None = None) -> None:
    """Delete the results of an experiment that DVC has recorded: all, or all except the one in the folder `keep`."""
    for result in RUNS.glob(f"*/{FOLDER}/{name}"):
        folder = result.parents[1]
        if folder != keep:
            shutil.rmtree(result, ignore_errors=True)
            for empty in (result.parent, folder):
                with suppress(OSError):  # it contains the checkpoints of a training that runs again
                    empty.rmdir()
