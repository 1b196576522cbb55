"""A champion and inputs to its answer, computed in a thread: what the API and the page have in common."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch

from lectern.serving import deadline, metrics
from lectern.serving.batching import DynamicBatcher
from lectern.serving.champions import Champion
from lectern.serving.deadline import Busy, Deadline
from lectern.serving.settings import Settings

BREATH = 0.05  # seconds of a stream that are computed before others may come in between


class Executor:
    """Threads in which champions compute, and how many requests are under way to each.

    Each model has threads of its own, so that one who asks for long answers keeps no other model's callers waiting.
    What is short, a breath of a stream or the reading of a body, has threads that nothing long is done in.
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        self.under_way: Counter[str] = Counter()
        self.errands = self.pool("errands")
        self.lanes: dict[str, ThreadPoolExecutor] = {}
        self.queues: dict[str, tuple[Champion, DynamicBatcher]] = {}
        deadline.watch()

    def pool(self, name: str) -> ThreadPoolExecutor:
        threads = (self.settings.threads,)
        return ThreadPoolExecutor(self.settings.workers, name, initializer=torch.set_num_threads, initargs=threads)

    async def run(self, function: Callable, *arguments: Any) -> Any:
        """What is short, beside the loop that answers."""
        return await asyncio.get_running_loop().run_in_executor(self.errands, function, *arguments)

    async def work(self, champion: Champion, function: Callable, *arguments: Any) -> Any:
        """What may be long, in a thread of the model's, within its time; who is cancelled ends it at its next layer.

        Raises Busy for what does not come to its end in time.
        """
        if champion.name not in self.lanes:
            self.lanes[champion.name] = self.pool(champion.name)
        one = Deadline(self.settings.answer_seconds)
        computing = partial(one.run, function, *arguments)
        try:
            return await asyncio.get_running_loop().run_in_executor(self.lanes[champion.name], computing)
        except asyncio.CancelledError:
            one.wanted = False
            raise

    async def ask(self, champion: Champion, inputs: Any, params: dict[str, Any]) -> Any:
        """The champion's answer. Raises Busy, and UserError for inputs that the room does not take."""
        with self.counted(champion):
            if champion.request_format.TOGETHER and not params:
                return await self.queue(champion).ask(inputs)
            return await self.work(champion, champion.answer, inputs, params)

    async def ask_in_parts(self, champion: Champion, parts: Iterator[Any]) -> Any:
        """The answers to inputs too large to be held at once, in a row."""
        answered = []
        with self.counted(champion):
            while (inputs := await self.run(next, parts, None)) is not None:
                answered.append(await self.work(champion, champion.answer, inputs, {}))
        if isinstance(answered[0], pd.DataFrame):
            return pd.concat(answered, ignore_index=True)
        return np.concatenate(answered)

    async def stream(self, champion: Champion, pieces: Iterator[str]) -> AsyncIterator[str]:
        """A text as it is written. Who stops listening stops the writing: each bit is computed when it is asked for."""
        with self.counted(champion):
            while text := await self.run(take, pieces):
                yield text

    def queue(self, champion: Champion) -> DynamicBatcher:
        """Where requests to this version meet; another version's are another's, until the last is answered."""
        if self.queues.get(champion.name, (None,))[0] is not champion:
            self.queues[champion.name] = (
                champion,
                DynamicBatcher(partial(self.compute, champion), champion.request_format.ROWS),
            )
        return self.queues[champion.name][1]

    async def compute(self, champion: Champion, inputs: np.ndarray) -> np.ndarray:
        metrics.BATCH.labels(champion.name).observe(len(inputs))
        return await self.work(champion, champion.answer, inputs, {})

    @contextmanager
    def counted(self, champion: Champion) -> Iterator[None]:
        """Within the limit, and in the metrics."""
        name = champion.name
        if self.under_way[name] >= self.settings.waiting:
            many = self.under_way[name]
            raise Busy(f"{many} requests to {name} are under way, which is the most. Come again in a second.")
        self.under_way[name] += 1
        metrics.UNDER_WAY.labels(name).set(self.under_way[name])
        began = time.perf_counter()
        try:
            yield
            metrics.ANSWERS.labels(name, champion.number).inc()
        finally:
            self.under_way[name] -= 1
            metrics.UNDER_WAY.labels(name).set(self.under_way[name])
            metrics.SECONDS.labels(name).observe(time.perf_counter() - began)


def take(pieces: Iterator[str]) -> str:
    """What is written in a breath; nothing at the end."""
    until, text = time.perf_counter() + BREATH, []
    for piece in pieces:
        text.append(piece)
        if time.perf_counter() > until:
            break
    return "".join(text)
