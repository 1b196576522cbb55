"""Run predictions in threads, for the API and for the page."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch

from lectern.serving import metrics
from lectern.serving.batching import Array, DynamicBatcher
from lectern.serving.champions import Champion
from lectern.serving.deadline import Deadline, ModelBusy, install_deadline_hook
from lectern.serving.settings import Settings

STREAM_SLICE_S = 0.05  # seconds of computation per slice of a stream; other streams can run between two slices

Result = TypeVar("Result")


class Executor:
    """Runs predictions in thread pools and limits the number of requests per model.

    Each model has its own pool, so slow requests to one model do not delay requests to another model.
    Short jobs, such as parsing a body or computing a slice of a stream, have a separate pool.
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        self.in_progress: Counter[str] = Counter()  # requests per model
        self.short_pool = self.create_pool("short")
        self.model_pools: dict[str, ThreadPoolExecutor] = {}
        self.batchers: dict[str, tuple[Champion, DynamicBatcher]] = {}
        install_deadline_hook()

    def create_pool(self, name: str) -> ThreadPoolExecutor:
        threads = (self.settings.torch_threads,)
        return ThreadPoolExecutor(self.settings.workers, name, initializer=torch.set_num_threads, initargs=threads)

    async def run_short(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Run a short function in a thread, so that it does not block the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self.short_pool, partial(function, *arguments))

    async def run_inference(self, champion: Champion, function: Callable[..., Result], *arguments: Any) -> Result:
        """Run a function in the thread pool of the model, within the time limit.

        Raises ModelBusy if the function does not finish in time. If the caller is cancelled, the function stops
        before the next layer of the network.
        """
        if champion.name not in self.model_pools:
            self.model_pools[champion.name] = self.create_pool(champion.name)
        deadline = Deadline(self.settings.prediction_timeout_seconds)
        job = partial(deadline.run, function, *arguments)
        try:
            return await asyncio.get_running_loop().run_in_executor(self.model_pools[champion.name], job)
        except asyncio.CancelledError:
            deadline.cancelled = True
            raise

    async def predict(self, champion: Champion, inputs: Any, params: dict[str, Any]) -> Any:
        """Return the prediction of the champion.

        Raises UserError for invalid inputs, and ModelBusy as `run_inference` does.
        """
        with self.track(champion):
            if champion.request_module.SUPPORTS_BATCHING and not params:
                return await self.batcher(champion).predict(inputs)
            return await self.run_inference(champion, champion.model.predict, inputs, params)

    async def predict_chunks(self, champion: Champion, chunks: Iterator[Array]) -> Any:
        """Predict chunk by chunk for inputs that are too large for the memory, and return the joined predictions."""
        outputs = []
        with self.track(champion):
            while (inputs := await self.run_short(next, chunks, None)) is not None:
                outputs.append(await self.run_inference(champion, champion.model.predict, inputs, {}))
        if isinstance(outputs[0], pd.DataFrame):
            return pd.concat(outputs, ignore_index=True)
        return np.concatenate(outputs)

    async def stream(self, champion: Champion, pieces: Iterator[str]) -> AsyncGenerator[str, None]:
        """Yield a generated text in slices.

        A slice is computed only when the client needs it, so a closed stream stops the computation.
        """
        with self.track(champion):
            while text := await self.run_short(next_slice, pieces):
                yield text

    def batcher(self, champion: Champion) -> DynamicBatcher:
        """Return the batcher of this version. Requests to different versions are never in the same batch."""
        if self.batchers.get(champion.name, (None,))[0] is not champion:
            batcher = DynamicBatcher(partial(self.predict_batch, champion), champion.request_module.MAX_ROWS)
            self.batchers[champion.name] = (champion, batcher)
        return self.batchers[champion.name][1]

    async def predict_batch(self, champion: Champion, inputs: Array) -> Array:
        metrics.BATCH_ROWS.labels(champion.name).observe(len(inputs))
        return await self.run_inference(champion, champion.model.predict, inputs, {})

    @contextmanager
    def track(self, champion: Champion) -> Iterator[None]:
        """Count a request in the metrics. Raises ModelBusy if the model has too many requests in progress."""
        name = champion.name
        if self.in_progress[name] >= self.settings.max_requests_per_model:
            raise ModelBusy(
                f"{name} already has {self.in_progress[name]} requests in progress, which is the maximum. "
                "Retry in a second."
            )
        self.in_progress[name] += 1
        metrics.IN_PROGRESS.labels(name).set(self.in_progress[name])
        started = time.perf_counter()
        try:
            yield
            metrics.PREDICTIONS.labels(name, champion.version.number).inc()
        finally:
            self.in_progress[name] -= 1
            metrics.IN_PROGRESS.labels(name).set(self.in_progress[name])
            metrics.PREDICTION_SECONDS.labels(name).observe(time.perf_counter() - started)


def next_slice(pieces: Iterator[str]) -> str:
    """Return the text that is generated within STREAM_SLICE_S seconds, or an empty text at the end."""
    ends_at, text = time.perf_counter() + STREAM_SLICE_S, []
    for piece in pieces:
        text.append(piece)
        if time.perf_counter() > ends_at:
            break
    return "".join(text)
