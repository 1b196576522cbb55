"""Select the items of a split by their number or by their share of all items."""

import hashlib
from collections.abc import Sequence

import numpy as np

from lectern.config import Amount
from lectern.errors import UserError


def count_items(amount: Amount, total: int, where: str, items: str) -> int:
    """Return the number of items that `amount` selects from `total` items.

    An int is a number of items, and a float is a share of all items. `items` is the plural name of an item. Raises
    UserError if no item is selected, or if no item remains.
    """
    count = amount if isinstance(amount, int) else round(amount * total)
    if not 0 < count < total:
        raise UserError(
            f"{where} is {amount:,}, which selects {count:,} of {total:,} {items}; at least one of them must be "
            f"selected, and at least one must remain. Expected a number from 1 to {total - 1:,}, or a share of the "
            f"{items}, such as 0.1."
        )
    return count


def select_groups(keys: Sequence[str], count: int) -> np.ndarray:
    """Return a mask that selects at least `count` items. Items with equal keys form a group.

    The groups are selected in the order of a hash of their keys. If items are added, the order of the other groups does
    not change. The mask selects complete groups, and as few groups as possible. If there are several groups, the mask
    never selects all of them.
    """
    values, group, sizes = np.unique(np.asarray(keys, dtype=str), return_inverse=True, return_counts=True)
    order = np.argsort([hashlib.sha256(value.encode()).hexdigest() for value in values])
    needed = int(np.searchsorted(np.cumsum(sizes[order]), count)) + 1
    chosen = order[: min(needed, max(1, len(values) - 1))]
    return np.isin(group, chosen)
