"""Raw files to a data set made ready for one task: data/processed/<dataset>."""

from pathlib import Path

from lectern.config import Dataset, call
from lectern.rooms import leg
from lectern.stage import stage


@stage("preprocess")
def main(config: dict) -> None:
    dataset = call(Dataset, config["dataset"], "dataset")
    raw, out = Path("data/raw") / dataset.origin, Path("data/processed") / dataset.name
    preprocess = leg(dataset.task, "preprocess").preprocess
    call(preprocess, dataset.preprocess, f"conf/dataset/{dataset.name}.yaml, preprocess", raw, out)


if __name__ == "__main__":
    main()
