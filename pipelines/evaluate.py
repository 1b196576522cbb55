"""Score a model on the test data, and write the metrics, the score of the baseline and the report."""

from typing import Any

from lectern.artifacts.paths import ExperimentPaths
from lectern.config import Dataset, call
from lectern.stages import evaluation
from lectern.stages.stage import stage
from lectern.tracking.recording import open_store, read_tracking
from lectern.training import finished_result


@stage("evaluate")
def main(config: dict[str, Any]) -> None:
    dataset = call(Dataset, config["dataset"], "conf/dataset")
    paths = ExperimentPaths(config["experiment"], dataset.name)
    client = open_store(read_tracking(config))
    if finished_result.is_run_by_dvc():  # DVC runs `evaluate` only after it has recorded the model
        finished_result.discard_results(paths.experiment)
    evaluation.evaluate(paths, dataset)
    if client:
        evaluation.try_to_log_evaluation(client, paths)


if __name__ == "__main__":
    main()
