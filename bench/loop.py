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
    """The first steps of an epoch of some batches, and how long it took from the first batch to the last."""

    def __init__(self, batches, steps: int):
        self.batches, self.steps, self.seconds = batches, min(steps, len(batches)), 0.0

    def __getattr__(self, name: str):  # its place and its sampler are those of the batches
        return getattr(self.batches, name)

    def __len__(self) -> int:
        return self.steps

    def __iter__(self):
        began = None
        for batch in itertools.islice(self.batches, self.steps):
            began = began or time.perf_counter()
            self.seconds = time.perf_counter() - began  # nobody asks for more than the last one
            yield batch

    @property
    def speed(self) -> float:
        """Steps a second."""
        return (self.steps - 1) / self.seconds


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
    limit, batches = plan.fit.get("clip_norm"), Short(train, STEPS)
    for index, batch in enumerate(batches):
        loss = module.training_step(batch, index)
        optimizer.zero_grad()
        loss.backward()
        if limit is not None:
            torch.nn.utils.clip_grad_norm_(module.parameters(), limit)
        optimizer.step()
    return batches.speed


def lightning(plan: Plan, trainer: dict) -> float:
    """Steps a second of `training.fit` with history and checkpoints, without the validation at the end."""
    module, train, validation = make(plan)
    batches, fit = Short(train, STEPS), {**plan.fit, "epochs": 1, "validations_per_epoch": 1}
    with tempfile.TemporaryDirectory() as folder:
        arguments = {"folder": Path(folder), "trainer": trainer, "best": plan.model.best, "name": "bench"}
        training.fit(module, batches, Short(validation, 1), **arguments, **fit)
    return batches.speed


if __name__ == "__main__":
    main()
