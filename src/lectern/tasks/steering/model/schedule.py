"""A stretch of training steps to how much of its peak the learning rate is at each."""

import math
from collections.abc import Callable


def one_cycle(first: int, last: int, warm_up: float, start: float = 0.04) -> Callable[[int], float]:
    """Up from `start` along half a cosine for the share `warm_up` of the steps, then down to nothing; else zero."""

    def factor(step: int) -> float:
        if not first <= step < last:
            return 0.0
        progress = (step - first) / (last - first)
        if progress < warm_up:
            return start + (1 - start) * (1 - math.cos(math.pi * progress / warm_up)) / 2
        return (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up))) / 2

    return factor
