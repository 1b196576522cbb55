"""Check that the metrics of an experiment were measured with its present weights, test data and code.

The files can belong to different trainings if a user runs a single stage or restores a single file with Git or DVC.
Without the check, a version could be registered with a score that was measured on other weights.
"""

from lectern.artifacts.dataset import read_facts
from lectern.artifacts.model_metadata import read_metadata
from lectern.artifacts.paths import ExperimentPaths
from lectern.errors import UserError
from lectern.stages.experiments import stage_code_digest
from lectern.tracking.output_files import check_links

REQUIRED_METRICS = (
    "score", "baseline", "higher_is_better", "test_digest", "weights_digest", "code_digest",
)  # fmt: skip


def check_outputs(paths: ExperimentPaths) -> None:
    """Raise UserError if the metrics are incomplete, or do not belong to the present weights and test data.

    Also raise UserError if a different version of Lectern wrote the model folder, or if an output contains a symbolic
    link to a file that is not an output.
    """
    check_links(paths.model, paths.report, paths.metrics_file, paths.card)
    read_metadata(paths.model)
    missing = [name for name in REQUIRED_METRICS if name not in paths.metrics]
    if missing:
        raise UserError(
            f"{paths.metrics_file} lacks {', '.join(missing)}, because an older version of Lectern wrote the file. "
            f"Run `dvc repro register@{paths.experiment}` to train and evaluate again."
        )
    compare(paths, "weights_digest", paths.weights, f"the weights in {paths.model}")
    compare(paths, "test_digest", read_facts(paths.processed)["test_digest"], f"the test data in {paths.processed}")


def check_evaluation(paths: ExperimentPaths) -> None:
    """Call `check_outputs`, and also raise UserError if the code that evaluates the experiment has changed.

    Changes of comments and docstrings are ignored. `check_evaluation` takes longer than `check_outputs`, because it
    reads all source files.
    """
    check_outputs(paths)
    compare(paths, "code_digest", stage_code_digest("evaluate", paths.task), "the code of this checkout")


def compare(paths: ExperimentPaths, name: str, present: str, what: str) -> None:
    measured = paths.metrics[name]
    if measured != present:
        raise UserError(
            f"{paths.metrics_file} does not belong to {what}: its {name} is {measured[:12]}, but {present[:12]} was "
            f"found. Evaluate again: dvc repro register@{paths.experiment}"
        )
