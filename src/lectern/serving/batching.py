"""Requests to one version, answered together: those that come while a batch is computed are the next batch.

Nobody waits for company: a request that finds the network idle is answered alone and at once.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import numpy as np

Compute = Callable[[np.ndarray], Awaitable[np.ndarray]]


class DynamicBatcher:
    """Arrays whose rows are answered one by one, to their answers; `most` rows are computed at a time."""

    def __init__(self, compute: Compute, most: int):
        self.compute, self.most = compute, most
        self.waiting: deque[tuple[np.ndarray, asyncio.Future]] = deque()
        self.worker: asyncio.Task | None = None

    async def ask(self, inputs: np.ndarray) -> np.ndarray:
        """The answers to these rows, in their order."""
        future = asyncio.get_running_loop().create_future()
        self.waiting.append((inputs, future))
        if self.worker is None or self.worker.done():
            self.worker = asyncio.create_task(self.work())
        return await future

    async def work(self) -> None:
        while self.waiting:
            batch = self.take()
            try:
                answered = await self.compute(np.concatenate([inputs for inputs, _ in batch]))
            except Exception as error:  # theirs, who asked: the server goes on
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            share(answered, batch)

    def take(self) -> list[tuple[np.ndarray, asyncio.Future]]:
        """As many of those that wait as fit, one at least; who has gone away is left out."""
        taken, rows = [], 0
        while self.waiting and (not taken or rows + len(self.waiting[0][0]) <= self.most):
            inputs, future = self.waiting.popleft()
            if not future.done():
                taken.append((inputs, future))
                rows += len(inputs)
        return taken


def share(answered: np.ndarray, batch: list[tuple[np.ndarray, asyncio.Future]]) -> None:
    """Give each its rows."""
    start = 0
    for inputs, future in batch:
        if not future.done():
            future.set_result(answered[start : start + len(inputs)])
        start += len(inputs)
