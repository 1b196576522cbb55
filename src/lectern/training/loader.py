"""Tensors held in memory to batches chosen by index: no worker, no copy of a row more than once."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from lectern.training.distributed import rank_and_world_size


class InMemoryLoader:
    """Rows of tensors of one length, batch after batch, in an order that (seed, epoch) alone decides.

    `batch_size` is the global one: each rank gets its slice of every global batch. A batch is the tensors' rows
    and, last, this rank's share of the global batch (world * mine / all): a mean loss times it makes the average
    that DDP takes over ranks the mean over the items, also in a last batch that does not divide. No part is empty:
    where a batch has fewer rows than there are ranks, some get one that counts elsewhere, with a share of 0.
    """

    def __init__(self, *tensors: Tensor, batch_size: int, shuffle: bool = False, seed: int = 0):
        self.tensors, self.batch_size, self.shuffle, self.seed = tensors, batch_size, shuffle, seed
        self.rows = len(tensors[0])
        self.epoch = self.done = self.start = 0  # done: batches given; start: where the next pass begins
        self.batch_sampler = None  # Lightning asks for it where there is a sampler

    @property
    def sampler(self) -> "InMemoryLoader":  # Lightning calls loader.sampler.set_epoch before each epoch
        return self

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:  # the same on every rank
        return -(-self.rows // self.batch_size)

    def state_dict(self) -> dict[str, int]:
        return {"done": self.done, "rows": self.rows, "batch_size": self.batch_size, "seed": self.seed}

    def load_state_dict(self, state: dict[str, int]) -> None:
        here = self.state_dict()
        wrong = {key: (state[key], here[key]) for key in ("rows", "batch_size", "seed") if state[key] != here[key]}
        if wrong:
            raise ValueError(f"the checkpoint is of other batches (there, here): {wrong}")
        self.done = self.start = state["done"]

    def order(self) -> Tensor:
        """The rows of this epoch. `default_rng` mixes seed and epoch; a torch generator keeps 32 bits of them."""
        if not self.shuffle:
            return torch.arange(self.rows)
        return torch.from_numpy(np.random.default_rng([self.seed, self.epoch]).permutation(self.rows))

    def __iter__(self) -> Iterator[tuple[Tensor | float, ...]]:
        # a generator: nothing here runs before the first next(), when Lightning has told the epoch
        rank, world = rank_and_world_size()
        order = self.order()
        spare = order[min(self.batch_size, self.rows) * rank // world :][:1]  # of this rank's part of the first batch
        start, self.start = self.start % len(self), 0
        for index in range(start, len(self)):
            whole = order[index * self.batch_size : (index + 1) * self.batch_size]
            mine = whole[len(whole) * rank // world : len(whole) * (rank + 1) // world]
            loss_weight = world * len(mine) / len(whole)
            mine = mine if len(mine) else spare
            self.done = index + 1
            yield *(tensor[mine] for tensor in self.tensors), loss_weight
