"""An evaluated model to its card and a registered version, and what the gate would say of it."""

import pandas as pd

from lectern.artifacts.paths import ExperimentPaths
from lectern.config import Dataset, call
from lectern.registry import gate, model_card, register
from lectern.stages.stage import stage
from lectern.tracking.restored_run import find_or_restore_run
from lectern.tracking.store import connect


@stage("register")
def main(config: dict) -> None:
    dataset = call(Dataset, config["dataset"], "conf/dataset")
    paths = ExperimentPaths(config["experiment"], dataset.name)
    client = connect()
    model_card.write_card(paths, dataset)
    version = register.register(client, paths, find_or_restore_run(client, paths).info.run_id)
    print(f"{dataset.name} version {version.version} is {paths.experiment}. `lectern promote` would find:")
    items = pd.read_parquet(paths.report / "items.parquet")
    print("\n".join(gate.format_rules(gate.preview_gate(client, version, items))))


if __name__ == "__main__":
    main()
