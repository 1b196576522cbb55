"""A data set and a model's recipe to a model folder: weights, what rebuilds them, and the history of training."""

from pathlib import Path

from lectern import models, rows, run_folder, tracking, training
from lectern.models import find_class
from lectern.plan import Plan, read_plan
from lectern.processed import read_facts
from lectern.rooms import leg
from lectern.stage import stage


@stage("train")
def main(config: dict) -> None:
    plan = read_plan(config)
    facts = read_facts(plan.processed)
    folder = Path("runs") / plan.key
    out = Path(config["out"] or folder / f"{plan.dataset.name}-{plan.model.name}")
    if not training.is_first_process():
        learn(plan, facts, config["trainer"], folder, out.name)
        return
    with run_folder.alone_in(folder), tracking.open_training(plan, facts, config, out.name) as run:
        module, history = learn(plan, facts, config["trainer"], folder, out.name, run.log)
        rows.write(history.rows, history.shown, out)
        models.save(module, out)
        run.add({}, {tracking.WEIGHTS: tracking.weights_digest(out)})
    run_folder.clear(folder, keep=out)


def learn(plan: Plan, facts: dict, trainer: dict, folder: Path, name: str, listen=None):
    """Train as planned; on every rank."""
    training.start(plan.seed, trainer["threads"])
    load = leg(plan.model.task, "batches").load
    train, validation = (
        load(plan.processed, split, plan.seed, **plan.model.batches) for split in ("train", "validation")
    )
    arguments = {key: value for key, value in plan.model.module.items() if key != "class"}
    module = find_class(plan.model.task, plan.model.module["class"])(facts=facts, **arguments)
    history = training.fit(
        module, train, validation,
        folder=folder, trainer=trainer, best=plan.model.best, listen=listen, name=name, **plan.fit,
    )  # fmt: skip
    return module, history


if __name__ == "__main__":
    main()
