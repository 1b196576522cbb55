"""Train a model on a dataset, and write a model folder with the weights, the metadata and the history."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from lectern.artifacts import history_file, model_folder
from lectern.artifacts.dataset import Facts, read_facts
from lectern.artifacts.extension_records import unlisted_files
from lectern.artifacts.history_file import Record, TextSample
from lectern.artifacts.model_folder import find_class
from lectern.artifacts.model_metadata import read_metadata
from lectern.artifacts.paths import CHECKOUT, RUNS
from lectern.atomic import atomic_directory
from lectern.config import split_class
from lectern.debugging import presets
from lectern.errors import print_message
from lectern.stages.experiments import code_dependencies
from lectern.stages.stage import stage
from lectern.task_modules import task_module
from lectern.tracking.recording import Tracking, is_recorded, open_store, read_tracking, record_training
from lectern.tracking.run_description import describe_training
from lectern.training import distributed, finished_result, fit, run_lock, warm_start
from lectern.training.history import History
from lectern.training.module import TrainableModule
from lectern.training.plan import Plan, check_module, read_plan
from lectern.training.warm_start_dependency import check_dependency


@stage("train")
def main(config: dict[str, Any]) -> None:
    plan, tracking = read_plan(config), read_tracking(config)
    facts = read_facts(plan.processed)
    check_module(plan, facts)
    if config.get("debug"):
        presets.run_preset(plan, facts, config)
        return
    warn_of_unlisted_files(plan)
    folder = RUNS / plan.key
    out = Path(config["out"] or folder / f"{plan.dataset.name}-{plan.model.name}")
    check_dependency(plan, out)
    result = finished_result.result_path(folder, out.name)
    if is_finished(plan, out, tracking):
        return
    finished_result.check_output_folder(out, result)
    if not distributed.is_first_process():
        if not result.exists():
            train(plan, facts, config["trainer"], folder, out.name)
        return
    with run_lock.lock_run_directory(folder):
        is_found = result.exists()
        if is_found:
            print_finished(result)
        if not is_found or not is_recorded(plan, result, tracking):
            train_and_record(plan, facts, config, folder, result, open_store(tracking))
        finished_result.publish_result(result, out)
    is_run_by_dvc = finished_result.is_run_by_dvc()
    run_lock.clear_run_directory(folder, keep=[out, result.parent] if is_found or is_run_by_dvc else [out])
    if is_run_by_dvc:
        finished_result.discard_results(out.name, keep=folder)


def warn_of_unlisted_files(plan: Plan) -> None:
    """Under DVC, print a warning if a change of a class would not make the train stage out of date."""
    if not finished_result.is_run_by_dvc() or not distributed.is_first_process():
        return
    listed = code_dependencies("train", plan.model.task)
    if files := unlisted_files([*plan.classes, *plan.callbacks], listed, CHECKOUT):
        print_message(
            f"dvc.yaml does not list {', '.join(map(str, files))}. After a change of these files, DVC does not train "
            "again. Add their folder to the deps of the stages train, evaluate and register in dvc.yaml."
        )


def is_finished(plan: Plan, out: Path, tracking: Tracking) -> bool:
    """Return whether the output folder contains the recorded result of this training, and print a message if so."""
    if finished_result.is_run_by_dvc() or not finished_result.contains_model(out):
        return False
    if not is_recorded(plan, out, tracking):
        return False
    if distributed.is_first_process():
        print_finished(out)
    return True


def print_finished(folder: Path) -> None:
    print(
        f"lectern: this training is already finished, and its model folder is {folder}. "
        f"To train again, delete {folder}.",
        file=sys.stderr,
    )


def train_and_record(
    plan: Plan, facts: Facts, config: dict[str, Any], folder: Path, result: Path, client: MlflowClient | None
) -> None:
    """Record a training as an MLflow run, and train the model if its finished model folder does not exist yet."""
    description = describe_training(plan, facts, config, result.name)
    with record_training(description, client) as run:
        if result.exists():
            run.log_history(*history_file.read_records(result))
        else:
            module, history = train(plan, facts, config["trainer"], folder, result.name, run.log_history)
            with atomic_directory(result) as part:
                history_file.write_history(history.records, history.text_samples, part)
                stopped = {"stopped": history.stopped} if history.stopped else {}
                model_folder.save_model(module, part, {**plan.metadata, **stopped})
        run.log_weights(result)
        run.log_stop(read_metadata(result).get("stopped"))


def train(
    plan: Plan,
    facts: Facts,
    trainer: dict[str, Any],
    folder: Path,
    name: str,
    on_records: Callable[[list[Record], list[TextSample]], None] | None = None,
) -> tuple[TrainableModule, History]:
    """Create the module and the data loaders of a plan, and train the module. Every rank calls `train`."""
    fit.set_determinism(plan.seed, trainer["threads"])
    load = task_module(plan.model.task, "model.loader").load
    train_batches, validation_batches = (
        load(plan.processed, split, plan.seed, **plan.model.batches) for split in ("train", "validation")
    )
    class_name, arguments = split_class(plan.model.module)
    module = find_class(plan.model.task, class_name)(facts=facts, **arguments)
    warm_start.initialize(module, plan.warm_start, folder)
    history = fit.fit(
        module, train_batches, validation_batches,
        folder=folder, trainer=trainer, best=plan.model.best, on_records=on_records, name=name, **plan.fit,
    )  # fmt: skip
    return module, history


if __name__ == "__main__":
    main()
