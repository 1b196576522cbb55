"""Train a model on a dataset and write its model folder with weights, metadata and history."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lectern.artifacts import history_file, model_folder
from lectern.artifacts.dataset import Facts, read_facts
from lectern.artifacts.history_file import Record, TextSample
from lectern.artifacts.model_folder import find_class
from lectern.artifacts.paths import RUNS
from lectern.config import split_class
from lectern.stages.stage import stage
from lectern.task_modules import task_module
from lectern.tracking import runs
from lectern.training import distributed, fit, run_lock
from lectern.training.history import History
from lectern.training.module import TrainableModule
from lectern.training.plan import Plan, read_plan


@stage("train")
def main(config: dict[str, Any]) -> None:
    plan = read_plan(config)
    facts = read_facts(plan.processed)
    folder = RUNS / plan.key
    out = Path(config["out"] or folder / f"{plan.dataset.name}-{plan.model.name}")
    if not distributed.is_first_process():
        train(plan, facts, config["trainer"], folder, out.name)
        return
    with run_lock.lock_run_directory(folder), runs.training_run(plan, facts, config, out.name) as run:
        module, history = train(plan, facts, config["trainer"], folder, out.name, run.log_history)
        history_file.write_history(history.records, history.text_samples, out)
        model_folder.save_model(module, out)
        run.log_results({}, {runs.WEIGHTS: runs.weights_digest(out)})
    run_lock.clear_run_directory(folder, keep=out)


def train(
    plan: Plan,
    facts: Facts,
    trainer: dict[str, Any],
    folder: Path,
    name: str,
    on_records: Callable[[list[Record], list[TextSample]], None] | None = None,
) -> tuple[TrainableModule, History]:
    """Create the module and the loaders of a plan, and train. Every rank calls this."""
    fit.set_determinism(plan.seed, trainer["threads"])
    load = task_module(plan.model.task, "model.loader").load
    train_batches, validation_batches = (
        load(plan.processed, split, plan.seed, **plan.model.batches) for split in ("train", "validation")
    )
    class_name, arguments = split_class(plan.model.module)
    module = find_class(plan.model.task, class_name)(facts=facts, **arguments)
    history = fit.fit(
        module, train_batches, validation_batches,
        folder=folder, trainer=trainer, best=plan.model.best, on_records=on_records, name=name, **plan.fit,
    )  # fmt: skip
    return module, history


if __name__ == "__main__":
    main()
