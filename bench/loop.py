"""An experiment's own training loop against a plain PyTorch loop on the same module and batches, interleaved.

    python bench/loop.py dataset=mnist model=digits_cnn

prints steps a second of both and their ratio, over rounds of one short epoch each.
"""

import itertools
import statistics
import tempfile
import time
from pathlib import Path

import torch

from lectern import training
from lectern.models import find_class
from lectern.plan import Plan, read_plan
from lectern.processed import read_facts
from lectern.rooms import leg
from lectern.stage import stage

STEPS, ROUNDS = 150, 5


class Short:
    """The first steps of an epoch of some batches."""

    def __init__(self, batches, steps: int):
        self.batches, self.steps = batches, min(steps, len(batches))

    def __len__(self) -> int:
        return self.steps

    def __iter__(self):
        return itertools.islice(self.batches, self.steps)


@stage("train")
def main(config: dict) -> None:
    plan = read_plan(config)
    training.start(plan.seed, config["trainer"]["threads"])
    rounds = [(plain(plan), lightning(plan, config["trainer"])) for _ in range(ROUNDS)]
    for name, speeds in zip(("plain loop", "lectern"), zip(*rounds, strict=True), strict=True):
        print(f"{name}: {statistics.median(speeds):.1f} steps/s (of {min(speeds):.1f} to {max(speeds):.1f})")
    print(f"lectern is at {statistics.median(ours / theirs for theirs, ours in rounds):.3f} of the plain loop")


def make(plan: Plan):
    load = leg(plan.model.task, "batches").load
    parts = (load(plan.processed, split, plan.seed, **plan.model.batches) for split in ("train", "validation"))
    arguments = {key: value for key, value in plan.model.module.items() if key != "class"}
    module = find_class(plan.model.task, plan.model.module["class"])(facts=read_facts(plan.processed), **arguments)
    return module, *parts


def plain(plan: Plan) -> float:
    """Steps a second of a loop that does nothing but train: Adam, no history, no checkpoint, no bar."""
    module, train, _ = make(plan)
    module.train()
    optimizer = torch.optim.AdamW(module.parameters(), 1e-3, fused=True)
    began = time.perf_counter()
    for index, batch in enumerate(Short(train, STEPS)):
        loss = module.training_step(batch, index)
        optimizer.zero_grad()
        loss.backward()
        if (limit := plan.fit.get("clip_norm")) is not None:
            torch.nn.utils.clip_grad_norm_(module.parameters(), limit)
        optimizer.step()
    return (index + 1) / (time.perf_counter() - began)


def lightning(plan: Plan, trainer: dict) -> float:
    """Steps a second of `training.fit` with history and checkpoints, without the validation at the end."""
    module, train, validation = make(plan)
    clock = Clock()
    fit = {**plan.fit, "epochs": 1, "validations_per_epoch": 1}
    with tempfile.TemporaryDirectory() as folder:
        arguments = {"folder": Path(folder), "trainer": trainer, "best": plan.model.best, "name": "bench"}
        training.fit(module, clock.around(Short(train, STEPS)), Short(validation, 1), **arguments, **fit)
    return clock.steps / clock.seconds


class Clock:
    """Times from the first batch asked for to the end of the last step's successor question."""

    def around(self, batches):
        self.steps = len(batches)
        clock = self

        class Timed(Short):
            def __iter__(self):
                began = time.perf_counter()
                yield from batches
                clock.seconds = time.perf_counter() - began

        return Timed(batches, len(batches))


if __name__ == "__main__":
    main()
