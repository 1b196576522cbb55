"""Load batches from tensors in memory, in an order that a resumed run repeats exactly."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from lectern.training.distributed import rank_and_world_size


class ResumableLoader:
    """Base class of loaders that resume within an epoch.

    A subclass implements `__iter__`, and `__len__` with the same value on every rank. `__iter__` must start at
    batch `start % len(self)`, reset `start` to 0 and set `done` to the number of batches yielded in this epoch.
    `identity` contains the values that determine the batches. A checkpoint with other values is rejected. Before each
    batch, `__iter__` sets `items` to the numbers of the batch's items on this rank. `item_name` is the noun for these
    items in messages.
    """

    item_name = "items"

    def __init__(self, **identity: int):
        self.identity = identity
        self.items: Tensor | np.ndarray = torch.empty(0, dtype=torch.int64)
        self.epoch = 0
        self.done = 0  # number of batches yielded in this epoch
        self.start = 0  # the batch from which the next iteration starts
        self.batch_sampler = None  # Lightning reads this attribute if a loader has a sampler.

    @property
    def sampler(self) -> "ResumableLoader":
        """Return the loader itself, because Lightning calls `loader.sampler.set_epoch` before each epoch."""
        return self

    def describe_items(self, items: Tensor | np.ndarray) -> str:
        """Describe items by their numbers, such as "items 4, 2"."""
        return f"{self.item_name} {', '.join(map(str, items.tolist()))}"

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def state_dict(self) -> dict[str, int]:
        return {"done": self.done, **self.identity}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Continue after the last batch before the checkpoint.

        Raises ValueError if the checkpoint was made with different batches.
        """
        wrong = {key: (state_dict[key], value) for key, value in self.identity.items() if state_dict[key] != value}
        if wrong:
            raise ValueError(f"the checkpoint has different batches (checkpoint, loader): {wrong}")
        self.done = self.start = state_dict["done"]


class InMemoryLoader(ResumableLoader):
    """A loader that yields batches of rows of several tensors in an order that depends only on seed and epoch.

    A batch contains the selected rows of each tensor and, as its last item, the loss weight of this rank.

    `batch_size` is the global batch size. Each rank receives one slice of every global batch. The loss weight is
    `world_size * rows of this rank / rows of the global batch`. Each rank multiplies its mean loss by this weight.
    DDP's average over ranks is then the mean over the global batch, even if the slices differ in size. If a batch has
    fewer rows than there are ranks, some ranks receive a row that another rank counts, with a loss weight of 0.
    """

    def __init__(self, *tensors: Tensor, batch_size: int, shuffle: bool = False, seed: int = 0):
        self.tensors, self.batch_size, self.shuffle, self.seed = tensors, batch_size, shuffle, seed
        self.rows = len(tensors[0])
        super().__init__(rows=self.rows, batch_size=batch_size, seed=seed)

    def __len__(self) -> int:
        return -(-self.rows // self.batch_size)

    def order(self) -> Tensor:
        """Return the rows in the order of this epoch."""
        if not self.shuffle:
            return torch.arange(self.rows)
        # A PyTorch generator would use only 32 bits of the seed and the epoch.
        return torch.from_numpy(np.random.default_rng([self.seed, self.epoch]).permutation(self.rows))

    def __iter__(self) -> Iterator[tuple[Tensor | float, ...]]:
        # This code runs at the first next(). At this time, Lightning has already set the epoch.
        rank, world_size = rank_and_world_size()
        order = self.order()
        # A rank without rows in a batch uses this row of the first batch.
        spare = order[min(self.batch_size, self.rows) * rank // world_size :][:1]
        start, self.start = self.start % len(self), 0
        for index in range(start, len(self)):
            batch = order[index * self.batch_size : (index + 1) * self.batch_size]
            mine = batch[len(batch) * rank // world_size : len(batch) * (rank + 1) // world_size]
            loss_weight = world_size * len(mine) / len(batch)
            self.items = mine = mine if len(mine) else spare
            self.done = index + 1
            yield *(tensor[mine] for tensor in self.tensors), loss_weight
