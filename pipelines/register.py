"""An evaluated model to its card and a registered version, and what the gate would say of it."""

import pandas as pd

from lectern import cards, judgement, registry
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
    print(f"{dataset.name} version {version.version} is {outs.experiment}. `lectern promote` would find:")
    items = pd.read_parquet(outs.report / "items.parquet")
    print("\n".join(judgement.tell(judgement.foretell(client, version, items))))


if __name__ == "__main__":
    main()
