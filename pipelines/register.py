"""An evaluated model to its card and a registered version, found again by content in whatever store is at hand."""

import sys

from lectern import cards, registry
from lectern.config import Dataset, call
from lectern.outs import Outs
from lectern.reconcile import find_or_restore_run
from lectern.stage import stage
from lectern.tracking import connect


@stage("register")
def main(config: dict) -> None:
    dataset = call(Dataset, config["dataset"], "conf/dataset")
    outs = Outs(config["experiment"], dataset.name)
    client = connect()
    cards.write(outs, dataset)
    version = registry.register(client, outs, find_or_restore_run(client, outs).info.run_id)
    print(
        f"{outs.experiment}: {dataset.name} version {version.version}, score {outs.metrics['score']:.4f}",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
