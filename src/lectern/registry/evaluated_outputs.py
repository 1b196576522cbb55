"""Check that the metrics of an experiment belong to its present model, test data and code.

A stage can be run by itself, and Git, DVC and people change files independently. Then a score could be recorded for
weights that it was not measured on.
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
    """Raise UserError if the metrics are incomplete, or were measured on other weights or other test data.

    The model folder must have the format of this version of Lectern. No output may contain a symbolic link to a file
    that is not an output.
    """
    check_links(paths.model, paths.report, paths.metrics_file, paths.card)
    read_metadata(paths.model)
    missing = [name for name in REQUIRED_METRICS if name not in paths.metrics]
    if missing:
        raise UserError(
            f"{paths.metrics_file} lacks {', '.join(missing)}, because an older version of Lectern wrote this file. "
            f"Run `dvc repro register@{paths.experiment}` to train and evaluate again."
        )
    compare(paths, "weights_digest", paths.weights, f"the weights in {paths.model}")
    compare(paths, "test_digest", read_facts(paths.processed)["test_digest"], f"the test data in {paths.processed}")


def check_evaluation(paths: ExperimentPaths) -> None:
    """Do the checks of `check_outputs`. Also raise UserError if the code that evaluates the experiment has changed.

    Comments and docstrings are not compared. This takes longer, because all source files are read.
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
