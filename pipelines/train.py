"""A data set and a model's recipe to a model folder: weights, what rebuilds them, and the history of training."""

from pathlib import Path

from lectern.artifacts import history_file, model_folder
from lectern.artifacts.dataset import read_facts
from lectern.artifacts.model_folder import find_class
from lectern.stages.stage import stage
from lectern.task_modules import task_module
from lectern.tracking import runs
from lectern.training import distributed, fit, run_lock
from lectern.training.plan import Plan, read_plan


@stage("train")
def main(config: dict) -> None:
    plan = read_plan(config)
    facts = read_facts(plan.processed)
    folder = Path("runs") / plan.key
    out = Path(config["out"] or folder / f"{plan.dataset.name}-{plan.model.name}")
    if not distributed.is_first_process():
        learn(plan, facts, config["trainer"], folder, out.name)
        return
    with run_lock.lock_run_directory(folder), runs.training_run(plan, facts, config, out.name) as run:
        module, history = learn(plan, facts, config["trainer"], folder, out.name, run.log)
        history_file.write_history(history.records, history.text_samples, out)
        model_folder.save_model(module, out)
        run.add({}, {runs.WEIGHTS: runs.weights_digest(out)})
    run_lock.clear(folder, keep=out)


def learn(plan: Plan, facts: dict, trainer: dict, folder: Path, name: str, listen=None):
    """Train as planned; on every rank."""
    fit.set_determinism(plan.seed, trainer["threads"])
    load = task_module(plan.model.task, "model.loader").load
    train, validation = (
        load(plan.processed, split, plan.seed, **plan.model.batches) for split in ("train", "validation")
    )
    arguments = {key: value for key, value in plan.model.module.items() if key != "class"}
    module = find_class(plan.model.task, plan.model.module["class"])(facts=facts, **arguments)
    history = fit.fit(
        module, train, validation,
        folder=folder, trainer=trainer, best=plan.model.best, listen=listen, name=name, **plan.fit,
    )  # fmt: skip
    return module, history


if __name__ == "__main__":
    main()
