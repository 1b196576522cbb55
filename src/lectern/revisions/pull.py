"""Fetch the outputs of experiments from a DVC remote, without raw data and without running a stage."""

from collections.abc import Iterator

from lectern.artifacts.paths import ExperimentPaths
from lectern.errors import UserError
from lectern.revisions.dvc_command import run_dvc
from lectern.stages.experiments import get_experiment, read_experiments


def pull_experiment(name: str, *options: str) -> Iterator[str]:
    """Fetch the model, the report, the card and the processed data of an experiment. Yield one message per result.

    A pre-trained experiment has no report and no card, because it is not evaluated. The processed data may be missing
    from the remote, because some licences forbid to share it. Raises UserError if the remote lacks another output.
    """
    paths, is_evaluated = get_experiment(name).paths, name in read_experiments()
    if is_evaluated and not paths.metrics_file.is_file():
        raise UserError(
            f"{paths.metrics_file} does not exist, so this commit has no result of {name}. Check out a commit with the "
            "result, or run `git pull`."
        )
    evaluated = (paths.report, paths.card) if is_evaluated else ()
    outputs = [str(path) for path in (paths.model, *evaluated)]
    run_dvc("pull", *options, *outputs)
    yield f"{name}: {', '.join(outputs)}"
    yield pull_processed(paths, *options)


def pull_processed(paths: ExperimentPaths, *options: str) -> str:
    """Fetch the processed data of an experiment, and return a message that says what is in the checkout."""
    try:
        run_dvc("pull", *options, str(paths.processed))
    except UserError as error:
        if (paths.processed / "facts.json").is_file():
            return f"{paths.experiment}: {paths.processed} is in this checkout already"
        return (
            f"{paths.experiment}: {paths.processed} could not be fetched. Download and prepare the data with "
            f"`dvc repro preprocess@{paths.dataset}`. The reason was: {error}"
        )
    return f"{paths.experiment}: {paths.processed}"
