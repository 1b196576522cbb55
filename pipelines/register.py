"""Write the model card of an evaluated model, register the model as a version, and preview the promotion gate."""

from typing import Any

import pandas as pd

from lectern.artifacts.paths import ExperimentPaths
from lectern.config import Dataset, call
from lectern.registry import gate, model_card, register
from lectern.registry.registered_model import RegisteredModel
from lectern.stages.stage import stage
from lectern.tracking.recording import open_store, read_tracking
from lectern.tracking.restored_run import find_complete_run


@stage("register")
def main(config: dict[str, Any]) -> None:
    dataset = call(Dataset, config["dataset"], "conf/dataset")
    paths = ExperimentPaths(config["experiment"], dataset.name)
    client = open_store(read_tracking(config))
    model_card.write_card(paths, dataset)
    if client is None:
        print(f"{paths.experiment} is not registered, because of tracking=later. To register it: lectern reconcile")
        return
    version = register.register(client, paths, find_complete_run(client, paths).info.run_id)
    items = pd.read_parquet(paths.report / "items.parquet")
    preview = gate.preview_gate(RegisteredModel(client, version.name), version, items)
    print(f"Registered {paths.experiment} as {version}: {preview}.")


if __name__ == "__main__":
    main()
