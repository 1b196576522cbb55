"""Copy rows of a tensor between models whose rows stand for different lists of entries, such as two vocabularies."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lectern.training.warm_start_fit import get_nested


def match_rows(
    tensors: dict[str, Tensor],
    own: Mapping[str, Tensor],
    rows: Mapping[str, str],
    source: Mapping[str, Any],
    target: Mapping[str, Any],
) -> tuple[dict[str, Tensor], list[str]]:
    """Return the tensors of a source with the rows of the target model, and a note about each tensor in `rows`.

    `own` contains the tensors of the target model, `rows` is `TrainableModule.warm_start_rows`, and `source` and
    `target` are the hyperparameters of both models. A row whose entry the source does not have keeps the value in
    `own`.
    """
    matched, notes = dict(tensors), []
    for name, key in rows.items():
        if name in tensors:
            entries, known = get_nested(target, key), get_nested(source, key)
            matched[name], count = copy_rows(tensors[name], own[name], known, entries)
            notes.append(f"{count:,} of {len(entries):,} rows of {name}")
    return matched, notes


def copy_rows(source: Tensor, own: Tensor, known: Sequence[Any], entries: Sequence[Any]) -> tuple[Tensor, int]:
    """Return a copy of `own` with the rows of the source for equal entries, and the number of these rows."""
    position = {entry: row for row, entry in enumerate(known)}
    pairs = [(row, position[entry]) for row, entry in enumerate(entries) if entry in position]
    result = own.detach().clone()
    if pairs:
        targets, sources = torch.tensor(pairs).T
        result[targets] = source[sources].to(result)
    return result, len(pairs)
