"""Raw files to a data set made ready for one task: data/processed/<dataset>."""

from pathlib import Path

from lectern.atomic import atomic_directory
from lectern.config import Dataset, call
from lectern.stages.stage import stage
from lectern.task_modules import task_module


@stage("preprocess")
def main(config: dict) -> None:
    dataset = call(Dataset, config["dataset"], "dataset")
    raw, out = Path("data/raw") / dataset.origin, Path("data/processed") / dataset.name
    preprocess = task_module(dataset.task, "data.preprocess").preprocess
    with atomic_directory(out) as part:
        call(preprocess, dataset.preprocess, f"conf/dataset/{dataset.name}.yaml, preprocess", raw, part)


if __name__ == "__main__":
    main()
