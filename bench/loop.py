"""An experiment's own training loop against a plain PyTorch loop on the same module and batches, interleaved.

    python bench/loop.py dataset=mnist model=digits_cnn

prints steps a second of both and their ratio, over rounds of one short epoch each. The ratio in processor time is
there for a machine that does other work at the same time.
"""

import itertools
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from lectern.training import fit as training  # first: torch reads once, when it loads, how threads wait

# isort: split
import torch

from lectern.artifacts.dataset import read_facts
from lectern.artifacts.model_folder import find_class
from lectern.stages.stage import stage
from lectern.task_modules import task_module
from lectern.training.plan import Plan, read_plan

SECONDS, ROUNDS = 10, 5  # of a plain round, about
FEWEST, MOST = 5, 300  # steps of a round


class Speed(NamedTuple):
    """Steps a second, by the clock and of the processor's time."""

    clock: float
    processor: float


class Short:
    """The first steps of an epoch of some batches, and how long it took from the second batch to the last.

    A first step is slower than others: it sets up what they use.
    """

    def __init__(self, batches, steps: int):
        self.batches, self.steps = batches, min(steps, len(batches))

    def __getattr__(self, name: str):  # its place and its sampler are those of the batches
        return getattr(self.batches, name)

    def __len__(self) -> int:
        return self.steps

    def __iter__(self):
        for index, batch in enumerate(itertools.islice(self.batches, self.steps)):
            self.now = time.perf_counter(), time.process_time()  # nobody asks for more than the last one
            if index <= 1:
                self.began = self.now
            yield batch

    @property
    def speed(self) -> Speed:
        seconds, processor = (now - began for now, began in zip(self.now, self.began, strict=True))
        return Speed((self.steps - 2) / seconds, (self.steps - 2) / processor)


@stage("train")
def main(config: dict) -> None:
    plan = read_plan(config)
    training.set_determinism(plan.seed, config["trainer"]["threads"])
    steps = max(FEWEST, min(MOST, int(SECONDS * plain(plan, FEWEST).clock)))
    rounds = [(plain(plan, steps), lightning(plan, steps, config["trainer"])) for _ in range(ROUNDS)]
    for name, speeds in zip(("plain loop", "lectern"), zip(*rounds, strict=True), strict=True):
        clock = [speed.clock for speed in speeds]
        print(f"{name}: {statistics.median(clock):.2f} steps/s (of {min(clock):.2f} to {max(clock):.2f})")
    clock, processor = (statistics.median(ours[i] / theirs[i] for theirs, ours in rounds) for i in range(2))
    print(f"lectern is at {clock:.3f} of the plain loop by the clock, at {processor:.3f} in processor time")
    print(f"{ROUNDS} rounds of {steps} steps each, interleaved")


def make(plan: Plan):
    load = task_module(plan.model.task, "model.loader").load
    parts = (load(plan.processed, split, plan.seed, **plan.model.batches) for split in ("train", "validation"))
    arguments = {key: value for key, value in plan.model.module.items() if key != "class"}
    module = find_class(plan.model.task, plan.model.module["class"])(facts=read_facts(plan.processed), **arguments)
    return module, *parts


def plain(plan: Plan, steps: int) -> Speed:
    """A loop that does nothing but train: AdamW, no schedule, no history, no checkpoint, no bar."""
    module, train, _ = make(plan)
    module.train()
    optimizer = torch.optim.AdamW(module.parameters(), 1e-3, fused=True)
    limit, batches = plan.fit.get("clip_norm"), Short(train, steps)
    mixed = plan.fit.get("precision") == "bf16-mixed"
    for index, batch in enumerate(batches):
        # no cache, as Lightning has it: a weight's gradients from all time steps are then summed in float32
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed, cache_enabled=False):
            loss = module.training_step(batch, index)
        optimizer.zero_grad()
        loss.backward()
        if limit is not None:
            torch.nn.utils.clip_grad_norm_(module.parameters(), limit)
        optimizer.step()
    return batches.speed


def lightning(plan: Plan, steps: int, trainer: dict) -> Speed:
    """`training.fit` with history, without the validation at the end; with a checkpoint where 200 steps are a round."""
    module, train, validation = make(plan)
    batches, fit = Short(train, steps), {**plan.fit, "epochs": 1, "validations_per_epoch": 1}
    with tempfile.TemporaryDirectory() as folder:
        arguments = {"folder": Path(folder), "trainer": trainer, "best": plan.model.best, "name": "bench"}
        training.fit(module, batches, Short(validation, 1), **arguments, **fit)
    return batches.speed


if __name__ == "__main__":
    main()
