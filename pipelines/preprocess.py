"""Raw files to a data set made ready for one task: data/processed/<dataset>."""

from pathlib import Path

from lectern.config import Dataset, call
from lectern.rooms import leg
from lectern.stage import stage
from lectern.unfinished import unfinished_folder


@stage("preprocess")
def main(config: dict) -> None:
    dataset = call(Dataset, config["dataset"], "dataset")
    raw, out = Path("data/raw") / dataset.origin, Path("data/processed") / dataset.name
    preprocess = leg(dataset.task, "preprocess").preprocess
    with unfinished_folder(out) as part:
        call(preprocess, dataset.preprocess, f"conf/dataset/{dataset.name}.yaml, preprocess", raw, part)


if __name__ == "__main__":
    main()
