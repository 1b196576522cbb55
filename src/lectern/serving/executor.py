"""Run the predictions of the API and the web page in thread pools."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch

from lectern.serving import metrics
from lectern.serving.batching import Array, DynamicBatcher
from lectern.serving.champions import Champion
from lectern.serving.deadline import Deadline, ModelBusy, install_deadline_hook
from lectern.serving.memory import release_memory
from lectern.serving.settings import Settings

STREAM_SLICE_S = 0.05  # a stream computes text for this number of seconds; other streams can then use the thread

Result = TypeVar("Result")


class Executor:
    """The thread pools that run predictions, with a limit on the number of requests per model.

    Each model has a separate thread pool, so slow requests to one model do not delay requests to other models. Short
    functions, which parse a body or compute a slice of a stream, run in one shared pool.
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        self.in_progress: Counter[str] = Counter()  # requests per model
        self.file_slots = defaultdict[str, asyncio.Semaphore](lambda: asyncio.Semaphore(settings.workers))  # per model
        self.short_pool = self.create_pool("short")
        self.model_pools: dict[str, ThreadPoolExecutor] = {}
        self.batchers: dict[str, tuple[Champion, DynamicBatcher]] = {}
        self.has_memory_to_release = False  # true after a picture, a video or a large body was read
        install_deadline_hook()

    def create_pool(self, name: str) -> ThreadPoolExecutor:
        threads = (self.settings.torch_threads,)
        return ThreadPoolExecutor(self.settings.workers, name, initializer=torch.set_num_threads, initargs=threads)

    async def run_short(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Run a short function in a thread, to keep the event loop free."""
        return await asyncio.get_running_loop().run_in_executor(self.short_pool, partial(function, *arguments))

    async def run_inference(self, champion: Champion, function: Callable[..., Result], *arguments: Any) -> Result:
        """Run a function in the thread pool of the model, with the time limit of a prediction.

        Raises ModelBusy if the function does not finish before the time limit.
        """
        deadline = Deadline(self.settings.prediction_timeout_seconds)
        return await self.run_until(deadline, self.model_pool(champion), function, *arguments)

    async def run_until(
        self, deadline: Deadline, pool: ThreadPoolExecutor, function: Callable[..., Result], *arguments: Any
    ) -> Result:
        """Run a function in a thread pool until its deadline.

        Raises ModelBusy if the function does not finish before the deadline. If the caller is cancelled, the function
        stops before the next layer of a network or the next frame of a video.
        """
        job = partial(deadline.run, function, *arguments)
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, job)
        except asyncio.CancelledError:
            deadline.cancelled = True
            raise

    def model_pool(self, champion: Champion) -> ThreadPoolExecutor:
        if champion.name not in self.model_pools:
            self.model_pools[champion.name] = self.create_pool(champion.name)
        return self.model_pools[champion.name]

    async def predict(self, champion: Champion, inputs: Any, params: dict[str, Any]) -> Any:
        """Return the prediction of a champion.

        If the task supports batches, requests without params are combined into batches.

        Raises UserError if an input is invalid. Raises ModelBusy if the model has too many requests in progress, or if
        the prediction does not finish before the time limit.
        """
        with self.track(champion):
            if champion.request_module.SUPPORTS_BATCHING and not params:
                return await self.batcher(champion).predict(inputs)
            return await self.run_inference(champion, champion.model.predict, inputs, params)

    async def predict_chunks(self, champion: Champion, chunks: Generator[Array, None, None]) -> Any:
        """Predict for one chunk of inputs after the other, and return the joined predictions.

        Only one chunk at a time is in memory, because all inputs together can be too large. The time limit of a
        prediction applies to all chunks together, and includes the time to read the chunks.
        """
        outputs, deadline = [], Deadline(self.settings.prediction_timeout_seconds)
        pool, predict = self.model_pool(champion), champion.model.predict
        self.has_memory_to_release = True
        with self.track(champion):
            async with self.limit_files(champion, deadline):
                try:
                    while (inputs := await self.run_until(deadline, self.short_pool, next, chunks, None)) is not None:
                        outputs.append(await self.run_until(deadline, pool, predict, inputs, {}))
                finally:
                    with suppress(ValueError):  # a cancelled thread closes the chunks itself
                        chunks.close()
        if isinstance(outputs[0], pd.DataFrame):
            return pd.concat(outputs, ignore_index=True)
        return np.concatenate(outputs)

    async def run_with_file(self, champion: Champion, function: Callable[..., Result], *arguments: Any) -> Result:
        """Run a function that reads a file in the thread pool of the model, with the time limit of a prediction."""
        deadline = Deadline(self.settings.prediction_timeout_seconds)
        self.has_memory_to_release = True
        with self.track(champion):
            async with self.limit_files(champion, deadline):
                return await self.run_until(deadline, self.model_pool(champion), function, *arguments)

    @asynccontextmanager
    async def limit_files(self, champion: Champion, deadline: Deadline) -> AsyncIterator[None]:
        """Limit the number of open files per model to `workers`, because decoding one file needs up to 1.5 GB.

        Raises ModelBusy if no other file is closed before the deadline.
        """
        try:
            async with asyncio.timeout(deadline.expires_at - time.monotonic()):
                await self.file_slots[champion.name].acquire()
        except TimeoutError:
            raise ModelBusy(
                f"The server has processed other files for {deadline.seconds:g} seconds; at most "
                f"{self.settings.workers} files per model are processed at the same time. Retry later."
            ) from None
        try:
            yield
        finally:
            self.file_slots[champion.name].release()

    async def release_memory(self) -> None:
        """Return freed memory to the operating system if pictures or videos were read since the last call."""
        if self.has_memory_to_release and not self.in_progress.total():
            self.has_memory_to_release = False
            await self.run_short(release_memory)

    async def stream(self, champion: Champion, pieces: Iterator[str]) -> AsyncGenerator[str, None]:
        """Yield a generated text in slices.

        The next slice is computed only when the client has received the last slice, so no text is generated after the
        client has disconnected.
        """
        with self.track(champion):
            while text := await self.run_short(next_slice, pieces):
                yield text

    def batcher(self, champion: Champion) -> DynamicBatcher:
        """Return the DynamicBatcher of a champion.

        Each version has a separate batcher, so a batch uses only one version.
        """
        if self.batchers.get(champion.name, (None,))[0] is not champion:
            batcher = DynamicBatcher(partial(self.predict_batch, champion), champion.request_module.MAX_ROWS)
            self.batchers[champion.name] = (champion, batcher)
        return self.batchers[champion.name][1]

    async def predict_batch(self, champion: Champion, inputs: Array) -> Array:
        metrics.BATCH_ROWS.labels(champion.name).observe(len(inputs))
        return await self.run_inference(champion, champion.model.predict, inputs, {})

    @contextmanager
    def track(self, champion: Champion) -> Iterator[None]:
        """Count the request that the block computes, and measure its duration.

        Raises ModelBusy if the model has too many requests in progress.
        """
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
    """Return the text that is generated within STREAM_SLICE_S seconds, or an empty text if no text is left."""
    ends_at, text = time.perf_counter() + STREAM_SLICE_S, []
    for piece in pieces:
        text.append(piece)
        if time.perf_counter() > ends_at:
            break
    return "".join(text)
