"""Order the items of sharded data so that a process reads only some of the shards, and only a few at a time."""

import math

import numpy as np

# number of parts from which each batch is drawn; with 8 parts, 1, 2, 4 and 8 processes get the same batches
MIN_PARTS = 8
SHUFFLED_SHARDS = 4  # number of shards whose items are shuffled together


def shuffle_by_shard(shards: np.ndarray, batch_size: int, world_size: int, random: np.random.Generator) -> np.ndarray:
    """Return the order of one epoch, which contains every item once.

    `shards` contains the index of the shard of each item. The shards are concatenated in random order and cut into
    equal parts. A batch has the same number of items from each part. The items of a part come from a few shards.
    `InMemoryLoader` gives each process a fixed slice of every batch, so a process reads the same parts during the
    entire epoch. The last batch is an exception, because some parts may already be used up.

    >>> shuffle_by_shard(np.array([0, 0, 0, 1, 1, 1]), 2, 2, np.random.default_rng(0))  # one shard per process
    array([2, 5, 0, 3, 1, 4])
    """
    parts = math.lcm(world_size, math.gcd(MIN_PARTS, batch_size))
    count, shard_positions = len(shards), random.permutation(shards.max() + 1)
    concatenated = np.argsort(shard_positions[shards], kind="stable")
    bounds = count * np.arange(parts + 1) // parts
    part = np.repeat(np.arange(parts), np.diff(bounds))
    position = np.arange(count) - bounds[part]  # position within the part
    group = position // math.ceil(SHUFFLED_SHARDS * count / len(shard_positions))
    shuffled = concatenated[np.lexsort((random.random(count), group, part))]
    order: np.ndarray = shuffled[np.lexsort((part, position // (batch_size // parts)))]
    return order
