"""Combine concurrent prediction requests to one model into batches.

If the model is idle, a request is computed immediately. Requests that arrive while a batch is computed form the next
batch.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class QueuedRequest(NamedTuple):
    """The input rows of a request, and the future that receives the output rows."""

    inputs: Array
    result: "asyncio.Future[Array]"


class DynamicBatcher:
    """A queue of prediction requests that are computed in batches of at most `max_rows` input rows.

    A request is never split, so a request with more than `max_rows` rows is computed as a separate batch.
    """

    def __init__(self, compute: Callable[[Array], Awaitable[Array]], max_rows: int):
        self.compute, self.max_rows = compute, max_rows
        self.queue: deque[QueuedRequest] = deque()
        self.worker: asyncio.Task[None] | None = None

    async def predict(self, inputs: Array) -> Array:
        """Add a request to the queue, and return one output row per input row, in the order of the input rows."""
        request = QueuedRequest(inputs, asyncio.get_running_loop().create_future())
        self.queue.append(request)
        if self.worker is None or self.worker.done():
            self.worker = asyncio.create_task(self.process_queue())
        return await request.result

    async def process_queue(self) -> None:
        """Compute batches until the queue is empty. If a batch fails, each request of the batch gets the exception."""
        while self.queue:
            batch = self.next_batch()
            if not batch:
                continue
            try:
                outputs = await self.compute(np.concatenate([request.inputs for request in batch]))
            except Exception as error:
                for request in batch:
                    if not request.result.done():
                        request.result.set_exception(error)
            else:
                split_outputs(outputs, batch)

    def next_batch(self) -> list[QueuedRequest]:
        """Remove as many requests from the queue as fit into one batch, and return these requests.

        Requests of clients that have disconnected are dropped.
        """
        batch: list[QueuedRequest] = []
        rows = 0
        while self.queue and (not batch or rows + len(self.queue[0].inputs) <= self.max_rows):
            request = self.queue.popleft()
            if not request.result.done():
                batch.append(request)
                rows += len(request.inputs)
        return batch


def split_outputs(outputs: Array, batch: list[QueuedRequest]) -> None:
    """Set the result of each request to the output rows that belong to the request."""
    start = 0
    for request in batch:
        if not request.result.done():
            request.result.set_result(outputs[start : start + len(request.inputs)])
        start += len(request.inputs)
