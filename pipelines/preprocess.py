"""Prepare the raw files of an origin for one task. The output folder is data/processed/<dataset>."""

from typing import Any

from lectern.artifacts.paths import CONF, PROCESSED, RAW, group_config
from lectern.atomic import atomic_directory
from lectern.config import Dataset, call
from lectern.stages.stage import stage
from lectern.task_modules import task_module


@stage("preprocess")
def main(config: dict[str, Any]) -> None:
    dataset: Dataset = call(Dataset, config["dataset"], str(CONF / "dataset"))
    preprocess = task_module(dataset.task, "data.preprocess").preprocess
    where = f"{group_config('dataset', dataset.name)}, preprocess"
    with atomic_directory(PROCESSED / dataset.name) as part:
        call(preprocess, dataset.preprocess, where, RAW / dataset.origin, part)


if __name__ == "__main__":
    main()
