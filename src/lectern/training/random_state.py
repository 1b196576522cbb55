"""Get and restore the states of all random generators that a training can use."""

import random
from typing import Any

import numpy as np
import torch


def get_random_state() -> dict[str, Any]:
    """Return the random states of torch, Python and NumPy as values that `torch.load` accepts with `weights_only`."""
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    return {
        "torch": torch.get_rng_state(),
        "python": random.getstate(),
        "numpy": [kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, gauss],
        "cuda": get_cuda_random_state(),
    }


def get_cuda_random_state() -> torch.Tensor | None:
    """Return the random state of the current GPU, or None if there is no GPU."""
    return torch.cuda.get_rng_state() if torch.cuda.is_available() else None


def restore_random_state(state: dict[str, Any]) -> None:
    """Restore the random states of torch, Python and NumPy that `get_random_state` has returned."""
    torch.set_rng_state(state["torch"])
    random.setstate(state["python"])
    kind, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, gauss))
    if state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"])
