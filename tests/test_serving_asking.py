"""Requests that are answered together stay apart; and what is computed ends with its time, or with who asked for it."""

import asyncio
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mlflow.entities.model_registry import ModelVersion

from lectern.errors import UserError
from lectern.serving.batching import DynamicBatcher
from lectern.serving.champions import Champion
from lectern.serving.deadline import Busy, TooLong
from lectern.serving.executor import Executor
from lectern.serving.settings import read_settings


def test_requests_that_wait_are_answered_as_one_batch_each_with_its_own_rows():
    sizes = []

    async def double(rows: np.ndarray) -> np.ndarray:
        sizes.append(len(rows))
        await asyncio.sleep(0.02)
        return 2 * rows

    async def ask() -> list[np.ndarray]:
        together = DynamicBatcher(double, most=8)
        return await asyncio.gather(*(together.ask(np.full(count, count)) for count in (1, 2, 3, 2, 4, 9)))

    answers = asyncio.run(ask())
    assert [answer.tolist() for answer in answers] == [[2 * count] * count for count in (1, 2, 3, 2, 4, 9)]
    assert sizes == [8, 4, 9]  # as many as fit; a request is never split


def test_a_batch_that_fails_tells_each_and_the_next_is_answered():
    async def fail_on_seven(rows: np.ndarray) -> np.ndarray:
        if 7 in rows:
            raise UserError("seven")
        return rows

    async def ask():
        together = DynamicBatcher(fail_on_seven, most=2)
        first = await asyncio.gather(*(together.ask(np.array([n])) for n in (7, 1)), return_exceptions=True)
        return first, await together.ask(np.array([2]))

    first, second = asyncio.run(ask())
    assert all(isinstance(answer, UserError) for answer in first) and second.tolist() == [2]


def test_who_has_gone_away_costs_the_others_nothing():
    async def same(rows: np.ndarray) -> np.ndarray:
        await asyncio.sleep(0.02)
        return rows

    async def ask() -> np.ndarray:
        together = DynamicBatcher(same, most=4)
        gone, stays = (asyncio.create_task(together.ask(np.array([n]))) for n in (1, 2))
        await asyncio.sleep(0)
        gone.cancel()
        return await stays

    assert asyncio.run(ask()).tolist() == [2]


# What it may cost


class Endless(Champion):
    """A champion whose network never comes to its end; it remembers that it began and that it was ended."""

    request_format = SimpleNamespace(TOGETHER=False)

    def __init__(self, name: str):
        super().__init__(name, ModelVersion(name, "1", 0), "digits", torch.nn.Linear(2, 2))
        self.began, self.left = threading.Event(), threading.Event()

    def answer(self, inputs, params) -> None:
        try:
            while True:
                self.module(torch.ones(2))
                self.began.set()
        finally:
            self.left.set()


class Sleepy(Endless):
    """One whose answer takes half a second in one piece."""

    def answer(self, inputs, params) -> str:
        time.sleep(0.5)
        return "slept"


@pytest.fixture
def asking(four, monkeypatch):
    """With settings of one's own."""
    monkeypatch.chdir(four)
    made = []

    def make(**changed) -> Executor:
        made.append(Executor(read_settings(**changed)))
        return made[-1]

    return make


def test_an_answer_that_takes_too_long_is_ended_in_the_middle(asking):
    endless = Endless("endless")
    with pytest.raises(TooLong, match="not answered within 0.2 seconds.*answer_seconds in conf/serve.yaml"):
        asyncio.run(asking(answer_seconds=0.2).ask(endless, [], {}))
    assert endless.left.wait(20)


def test_who_has_waited_too_long_for_a_thread_is_told_and_never_begun(asking):
    first, second = Sleepy("one model"), Endless("one model")

    async def ask() -> list:
        made = asking(answer_seconds=0.2, workers=1)
        return await asyncio.gather(*(made.ask(each, [], {}) for each in (first, second)), return_exceptions=True)

    answers = asyncio.run(ask())
    assert answers[0] == "slept" and "was busy with others for 0.2 seconds" in str(answers[1])
    assert not second.began.is_set()


def test_what_nobody_waits_for_any_more_is_ended_in_the_middle(asking):
    endless = Endless("endless")

    async def ask_and_go() -> None:
        asked = asyncio.create_task(asking().ask(endless, [], {}))
        await asyncio.to_thread(endless.began.wait, 20)
        asked.cancel()
        assert await asyncio.to_thread(endless.left.wait, 20)

    asyncio.run(ask_and_go())


def test_no_more_are_taken_for_a_model_than_may_be_under_way_and_others_are(asking):
    one, other = Endless("one"), Endless("other")

    async def ask() -> None:
        made = asking(waiting=2, workers=1)
        asked = [asyncio.create_task(made.ask(one, [], {})) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Busy, match="2 requests to one are under way, which is the most"):
            await made.ask(one, [], {})
        asked.append(asyncio.create_task(made.ask(other, [], {})))
        assert await asyncio.to_thread(other.began.wait, 20)
        for each in asked:
            each.cancel()

    asyncio.run(ask())
