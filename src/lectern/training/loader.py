"""Load batches from tensors in memory, in an order that a resumed training repeats exactly."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from lectern.training.distributed import rank_and_world_size


class ResumableLoader:
    """Base class of loaders that resume within an epoch.

    A subclass implements `__iter__` and `__len__`. `__len__` must return the same value on every rank. `__iter__` must
    start at batch `start % len(self)`, reset `start` to 0, and set `done` to the number of batches yielded in the
    current epoch. Before it yields a batch, `__iter__` must set `items` to the indices of the batch's items on this
    rank. `item_name` is the noun for items in error messages. `identity` contains the values that determine the
    batches, such as the seed. A checkpoint with a different `identity` is rejected.
    """

    item_name = "items"

    def __init__(self, **identity: int):
        self.identity = identity
        self.items: Tensor | np.ndarray = torch.empty(0, dtype=torch.int64)
        self.epoch = 0
        self.done = 0  # number of batches yielded in the current epoch
        self.start = 0  # index of the batch from which the next iteration starts
        self.batch_sampler = None  # Lightning reads `batch_sampler` of loaders with a `sampler`

    @property
    def sampler(self) -> "ResumableLoader":
        """Return the loader itself, because Lightning calls `loader.sampler.set_epoch` before each epoch."""
        return self

    def describe_items(self, items: Tensor | np.ndarray) -> str:
        """Return a text with the indices of items, such as "items 4, 2"."""
        return f"{self.item_name} {', '.join(map(str, items.tolist()))}"

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def state_dict(self) -> dict[str, int]:
        return {"done": self.done, **self.identity}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Continue after the last batch before the checkpoint.

        Raises ValueError if the checkpoint was saved with a different `identity`.
        """
        wrong = {key: (state_dict[key], value) for key, value in self.identity.items() if state_dict[key] != value}
        if wrong:
            raise ValueError(f"the checkpoint has different batches (checkpoint, loader): {wrong}")
        self.done = self.start = state_dict["done"]


class InMemoryLoader(ResumableLoader):
    """A loader of batches of rows of several tensors. The order of the rows depends only on the seed and the epoch.

    A batch is a tuple of the selected rows of each tensor and the loss weight of this rank. `batch_size` is the size of
    the global batch, and each rank receives one slice of every global batch. The loss weight is `world_size * rows of
    this rank / rows of the global batch`. If each rank multiplies its mean loss by the loss weight, DDP's average over
    ranks is the mean loss over the global batch, even if the slices differ in size. If a global batch has fewer rows
    than ranks, the ranks without a row receive a row with a loss weight of 0.
    """

    def __init__(self, *tensors: Tensor, batch_size: int, shuffle: bool = False, seed: int = 0):
        self.tensors, self.batch_size, self.shuffle, self.seed = tensors, batch_size, shuffle, seed
        self.rows = len(tensors[0])
        super().__init__(rows=self.rows, batch_size=batch_size, seed=seed)

    def __len__(self) -> int:
        return -(-self.rows // self.batch_size)

    def order(self) -> Tensor:
        """Return the row indices in the order of the current epoch."""
        if not self.shuffle:
            return torch.arange(self.rows)
        # NumPy mixes the seed and the epoch; a PyTorch generator would use only 32 bits of both.
        return torch.from_numpy(np.random.default_rng([self.seed, self.epoch]).permutation(self.rows))

    def __iter__(self) -> Iterator[tuple[Tensor | float, ...]]:
        # The body of a generator function starts at the first next(), when Lightning has already set the epoch.
        rank, world_size = rank_and_world_size()
        order = self.order()
        # `spare` is a row of the first batch. This rank receives `spare` if a batch has no row for this rank.
        spare = order[min(self.batch_size, self.rows) * rank // world_size :][:1]
        start, self.start = self.start % len(self), 0
        for index in range(start, len(self)):
            batch = order[index * self.batch_size : (index + 1) * self.batch_size]
            mine = batch[len(batch) * rank // world_size : len(batch) * (rank + 1) // world_size]
            loss_weight = world_size * len(mine) / len(batch)
            self.items = mine = mine if len(mine) else spare
            self.done = index + 1
            yield *(tensor[mine] for tensor in self.tensors), loss_weight
