"""Check that the metrics of an experiment were measured with its present weights, test data and code.

The files can belong to different trainings if a user runs a single stage or restores a single file with Git or DVC.
Without the check, a version could be registered with a score that was measured on other weights.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lectern.artifacts.dataset import read_facts
from lectern.artifacts.extension_records import check_extensions
from lectern.artifacts.model_metadata import read_metadata
from lectern.artifacts.paths import ExperimentPaths
from lectern.errors import UserError
from lectern.stages.experiments import evaluation_code_digest
from lectern.tracking.output_files import check_links

REQUIRED_METRICS = ("score", "baseline")
REQUIRED_DETAILS = ("higher_is_better", "test_digest", "weights_digest", "code_digest")


def check_outputs(paths: ExperimentPaths) -> None:
    """Raise UserError if the metrics are incomplete, or do not belong to the present weights and test data.

    Also raise UserError if a different version of Lectern wrote the model folder, or if an output contains a symbolic
    link to a file that is not an output.
    """
    check_links(paths.model, paths.report, paths.metrics_file, paths.card)
    read_metadata(paths.model)
    check_keys(paths, paths.metrics_file, paths.metrics, REQUIRED_METRICS)
    check_keys(paths, paths.evaluation_file, paths.evaluation, REQUIRED_DETAILS)
    compare(paths, "weights_digest", paths.weights, f"the weights in {paths.model}")
    compare(paths, "test_digest", read_facts(paths.processed)["test_digest"], f"the test data in {paths.processed}")


def check_evaluation(paths: ExperimentPaths) -> None:
    """Call `check_outputs`, and also raise UserError if the code that evaluates the experiment has changed.

    Changes of comments and docstrings are ignored. `check_evaluation` takes longer than `check_outputs`, because it
    reads all source files.
    """
    check_outputs(paths)
    check_extensions(read_metadata(paths.model), paths.model)
    compare(paths, "code_digest", evaluation_code_digest(paths), "the code of this checkout")


def check_keys(paths: ExperimentPaths, file: Path, content: Mapping[str, Any], required: tuple[str, ...]) -> None:
    if missing := [name for name in required if name not in content]:
        raise UserError(
            f"{file} lacks {', '.join(missing)}, because an older version of Lectern wrote the file. "
            f"Run `dvc repro register@{paths.experiment}` to train and evaluate again."
        )


def compare(paths: ExperimentPaths, name: str, present: str, what: str) -> None:
    measured = paths.evaluation[name]
    if measured != present:
        raise UserError(
            f"{paths.evaluation_file} does not belong to {what}: its {name} is {measured[:12]}, but {present[:12]} was "
            f"found. Evaluate again: dvc repro register@{paths.experiment}"
        )
