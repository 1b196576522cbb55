"""A model folder and the test data to metrics, beside the floor, and a report: the only stage that sees test data."""

from lectern import evaluation
from lectern.config import Dataset, call
from lectern.outs import Outs
from lectern.stage import stage
from lectern.tracking import connect


@stage("evaluate")
def main(config: dict) -> None:
    dataset = call(Dataset, config["dataset"], "conf/dataset")
    outs = Outs(config["experiment"], dataset.name)
    client = connect()
    evaluation.evaluate(outs, dataset)
    evaluation.track(client, outs)


if __name__ == "__main__":
    main()
