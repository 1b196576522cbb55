"""Items in shards to an order in which every process goes through shards of its own, a few at a time."""

import math

import numpy as np

LANES = 8  # places of the data that each batch is drawn from; for 1, 2, 4 and 8 processes the batches are the same
MIXED = 4  # shards whose items are mixed with each other


def in_lanes(shards: np.ndarray, batch_size: int, world: int, random: np.random.Generator) -> np.ndarray:
    """The order of an epoch: all items once, where `shards` says in which shard each one lies.

    The shards are laid end to end in a new order and cut into lanes of as many items, give or take one. A batch takes
    the same number from each lane, and within a lane from a few shards. A process has the same lanes all the epoch,
    since its slice of a batch (`batches.Rows`) is theirs; also that of the last batch, for as long as it lasts.

    >>> in_lanes(np.array([0, 0, 0, 1, 1, 1]), 2, 2, np.random.default_rng(0))  # the one has shard 0, the other 1
    array([2, 5, 0, 3, 1, 4])
    """
    lanes = math.lcm(world, math.gcd(LANES, batch_size))
    count, turn = len(shards), random.permutation(shards.max() + 1)
    laid = np.argsort(turn[shards], kind="stable")
    cuts = count * np.arange(lanes + 1) // lanes
    lane = np.repeat(np.arange(lanes), np.diff(cuts))
    place = np.arange(count) - cuts[lane]
    mixed = laid[np.lexsort((random.random(count), place // math.ceil(MIXED * count / len(turn)), lane))]
    return mixed[np.lexsort((lane, place // (batch_size // lanes)))]
