"""Compare Lectern's training loop with a plain PyTorch loop on the same module and batches.

    python bench/loop.py dataset=mnist model=digits_cnn

Prints the steps per second of both loops and their ratio, over interleaved rounds of one short epoch each. The ratio of
CPU time is also printed, because other jobs on the machine disturb it less.
"""

import itertools
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from lectern.training import fit as training  # imported first: it sets how OpenMP threads wait, before torch loads

# isort: split
import torch

from lectern.artifacts.dataset import read_facts
from lectern.artifacts.model_folder import find_class
from lectern.stages.stage import stage
from lectern.task_modules import task_module
from lectern.training.plan import Plan, read_plan

SECONDS, ROUNDS = 10, 5  # approximate duration of a plain round; number of rounds
MIN_STEPS, MAX_STEPS = 5, 300  # per round


class Speed(NamedTuple):
    """Steps per second of wall-clock time and of CPU time."""

    wall: float
    cpu: float


class TimedBatches:
    """The first steps of an epoch, timed from the second batch to the last.

    The first step is not timed, because it allocates buffers that later steps use again.
    """

    def __init__(self, batches, steps: int):
        self.batches, self.steps = batches, min(steps, len(batches))

    def __getattr__(self, name: str):  # the sampler and the position are those of the wrapped batches
        return getattr(self.batches, name)

    def __len__(self) -> int:
        return self.steps

    def __iter__(self):
        for index, batch in enumerate(itertools.islice(self.batches, self.steps)):
            self.last_time = time.perf_counter(), time.process_time()  # the loop requests no batch after the last one
            if index <= 1:
                self.first_time = self.last_time
            yield batch

    @property
    def speed(self) -> Speed:
        wall, cpu = (end - start for start, end in zip(self.first_time, self.last_time, strict=True))
        return Speed((self.steps - 2) / wall, (self.steps - 2) / cpu)


@stage("train")
def main(config: dict) -> None:
    plan = read_plan(config)
    training.set_determinism(plan.seed, config["trainer"]["threads"])
    steps = max(MIN_STEPS, min(MAX_STEPS, int(SECONDS * run_plain_loop(plan, MIN_STEPS).wall)))
    rounds = [(run_plain_loop(plan, steps), run_lectern_loop(plan, steps, config["trainer"])) for _ in range(ROUNDS)]
    for name, speeds in zip(("plain loop", "lectern"), zip(*rounds, strict=True), strict=True):
        wall = [speed.wall for speed in speeds]
        print(f"{name}: {statistics.median(wall):.2f} steps/s ({min(wall):.2f} to {max(wall):.2f})")
    ratios = [statistics.median(lectern[i] / plain[i] for plain, lectern in rounds) for i in range(2)]
    print(f"lectern has {ratios[0]:.3f} of the plain loop's speed by wall-clock time, {ratios[1]:.3f} by CPU time")
    print(f"{ROUNDS} interleaved rounds of {steps} steps each")


def create_module_and_batches(plan: Plan):
    """Return a new module, its training batches and its validation batches."""
    load = task_module(plan.model.task, "model.loader").load
    loaders = (load(plan.processed, split, plan.seed, **plan.model.batches) for split in ("train", "validation"))
    arguments = {key: value for key, value in plan.model.module.items() if key != "class"}
    module = find_class(plan.model.task, plan.model.module["class"])(facts=read_facts(plan.processed), **arguments)
    return module, *loaders


def run_plain_loop(plan: Plan, steps: int) -> Speed:
    """Train with AdamW and nothing else: no schedule, history, checkpoint or progress bar."""
    module, train, _ = create_module_and_batches(plan)
    module.train()
    optimizer = torch.optim.AdamW(module.parameters(), 1e-3, fused=True)
    max_norm, batches = plan.fit.get("clip_norm"), TimedBatches(train, steps)
    mixed = plan.fit.get("precision") == "bf16-mixed"
    for index, batch in enumerate(batches):
        # without the cache, as in Lightning, the gradients of all time steps are summed in float32
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed, cache_enabled=False):
            loss = module.training_step(batch, index)
        optimizer.zero_grad()
        loss.backward()
        if max_norm is not None:
            torch.nn.utils.clip_grad_norm_(module.parameters(), max_norm)
        optimizer.step()
    return batches.speed


def run_lectern_loop(plan: Plan, steps: int, trainer: dict) -> Speed:
    """Train with `training.fit`, including history. A round of at least 200 steps includes a checkpoint."""
    module, train, validation = create_module_and_batches(plan)
    batches, fit = TimedBatches(train, steps), {**plan.fit, "epochs": 1, "validations_per_epoch": 1}
    with tempfile.TemporaryDirectory() as folder:
        arguments = {"folder": Path(folder), "trainer": trainer, "best": plan.model.best, "name": "bench"}
        training.fit(module, batches, TimedBatches(validation, 1), **arguments, **fit)
    return batches.speed


if __name__ == "__main__":
    main()
