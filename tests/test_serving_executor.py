"""Test the batching of requests, time limits, cancellation, and the limit of requests per model."""

import asyncio
import itertools
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fastapi import FastAPI
from mlflow import MlflowClient

from lectern.errors import UserError
from lectern.registry.loaded_model import LoadedModel
from lectern.registry.version_record import ModelVersionRecord
from lectern.serving.batching import DynamicBatcher
from lectern.serving.champions import Champion, Champions
from lectern.serving.deadline import Cancelled, Deadline, ModelBusy, PredictionTimeout
from lectern.serving.executor import Executor
from lectern.serving.file_inputs import take_chunk
from lectern.serving.openapi import Document
from lectern.serving.settings import read_settings
from lectern.tasks.steering.serving.playback import limit_frames

VERSION = ModelVersionRecord(
    name="",
    number=1,
    experiment="test",
    task="digits",
    weights="",
    identity="",
    test_digest="",
    score=1.0,
    baseline=0.0,
    higher_is_better=True,
    run_id="",
    source="",
    card="",
    has_manifest=True,
    load_manifest=pytest.fail,
)

# Batching


def test_waiting_requests_are_computed_as_one_batch_and_each_gets_its_own_rows():
    batch_sizes = []

    async def double(rows: np.ndarray) -> np.ndarray:
        batch_sizes.append(len(rows))
        await asyncio.sleep(0.02)
        return 2 * rows

    async def send_requests() -> list[np.ndarray]:
        batcher = DynamicBatcher(double, max_rows=8)
        return await asyncio.gather(*(batcher.predict(np.full(rows, rows)) for rows in (1, 2, 3, 2, 4, 9)))

    outputs = asyncio.run(send_requests())
    assert [output.tolist() for output in outputs] == [[2 * rows] * rows for rows in (1, 2, 3, 2, 4, 9)]
    assert batch_sizes == [8, 4, 9]  # The rows of one request are never split between batches.


def test_a_failed_batch_fails_each_of_its_requests_and_not_the_next_batch():
    async def fail_on_seven(rows: np.ndarray) -> np.ndarray:
        if 7 in rows:
            raise UserError("seven")
        return rows

    async def send_requests() -> tuple[list, np.ndarray]:
        batcher = DynamicBatcher(fail_on_seven, max_rows=2)
        requests = (batcher.predict(np.array([number])) for number in (7, 1))
        failed = await asyncio.gather(*requests, return_exceptions=True)
        return failed, await batcher.predict(np.array([2]))

    failed, output = asyncio.run(send_requests())
    assert all(isinstance(error, UserError) for error in failed) and output.tolist() == [2]


def test_a_cancelled_request_is_not_computed_and_does_not_affect_other_requests():
    computed = []

    async def identity(rows: np.ndarray) -> np.ndarray:
        computed.extend(rows.tolist())
        await asyncio.sleep(0.02)
        return rows

    async def send_requests() -> np.ndarray:
        batcher = DynamicBatcher(identity, max_rows=4)
        cancelled, kept = (asyncio.create_task(batcher.predict(np.array([number]))) for number in (1, 2))
        await asyncio.sleep(0)
        cancelled.cancel()
        return await kept

    assert asyncio.run(send_requests()).tolist() == [2] and computed == [2]


# Time limits and cancellation


class EndlessModel(LoadedModel):
    """A model whose prediction runs until it is stopped.

    Two events show whether the prediction has started and stopped.
    """

    def __init__(self) -> None:
        self.module = torch.nn.Linear(2, 2)
        self.started, self.stopped = threading.Event(), threading.Event()

    def predict(self, inputs, params) -> None:
        try:
            while True:
                self.module(torch.ones(2))
                self.started.set()
        finally:
            self.stopped.set()


class SlowModel(EndlessModel):
    """A model whose prediction takes half a second and cannot be stopped."""

    def predict(self, inputs, params) -> str:
        time.sleep(0.5)
        return "finished"


class FakeChampion(Champion):
    """A champion whose requests are not combined into batches."""

    request_module = SimpleNamespace(SUPPORTS_BATCHING=False)


def endless_champion(name: str) -> Champion:
    return FakeChampion(replace(VERSION, name=name), EndlessModel())


@pytest.fixture
def create_executor(serving_project, monkeypatch):
    """Return a function that creates an executor with changed settings."""
    monkeypatch.chdir(serving_project)
    return lambda **settings: Executor(read_settings(**settings))


def test_a_prediction_that_exceeds_its_time_limit_is_stopped(create_executor):
    champion = endless_champion("endless")
    message = "took longer than 0.2 seconds.*prediction_timeout_seconds in conf/serve.yaml"
    with pytest.raises(PredictionTimeout, match=message):
        asyncio.run(create_executor(prediction_timeout_seconds=0.2).predict(champion, [], {}))
    assert champion.model.stopped.wait(20)


def test_a_request_that_waits_too_long_for_a_worker_is_rejected_and_never_started(create_executor):
    slow, waiting = FakeChampion(replace(VERSION, name="same model"), SlowModel()), endless_champion("same model")

    async def send_requests() -> list:
        executor = create_executor(prediction_timeout_seconds=0.2, workers=1)
        requests = (executor.predict(champion, [], {}) for champion in (slow, waiting))
        return await asyncio.gather(*requests, return_exceptions=True)

    result, error = asyncio.run(send_requests())
    assert result == "finished" and "No worker thread of this model was free within 0.2 seconds" in str(error)
    assert not waiting.model.started.is_set()


def test_the_time_limit_includes_the_time_to_read_all_chunks_of_a_file(create_executor):
    champion = FakeChampion(VERSION, SlowModel())
    chunks = (np.zeros(1) for _ in itertools.count())
    with pytest.raises(ModelBusy, match="0.2 seconds"):
        asyncio.run(create_executor(prediction_timeout_seconds=0.2).predict_chunks(champion, chunks))


def test_no_further_frame_is_read_when_the_time_limit_is_reached_or_the_client_has_left():
    deadline = Deadline(100)
    frames = iter(lambda: np.zeros(1), None)
    assert len(deadline.run(take_chunk, frames, 5, lambda item: 0)) == 5
    deadline.cancelled = True
    with pytest.raises(Cancelled):
        deadline.run(take_chunk, frames, 5, lambda item: 0)
    with pytest.raises(Cancelled):
        deadline.run(list, limit_frames(frames, 10))


def test_a_cancelled_prediction_is_stopped(create_executor):
    champion = endless_champion("endless")

    async def send_and_cancel() -> None:
        request = asyncio.create_task(create_executor().predict(champion, [], {}))
        assert await asyncio.to_thread(champion.model.started.wait, 20)
        request.cancel()
        assert await asyncio.to_thread(champion.model.stopped.wait, 20)

    asyncio.run(send_and_cancel())


def test_requests_above_the_limit_of_a_model_are_rejected_and_other_models_are_not_affected(create_executor):
    full, other = endless_champion("full"), endless_champion("other")

    async def send_requests() -> None:
        executor = create_executor(max_requests_per_model=2, workers=1)
        requests = [asyncio.create_task(executor.predict(full, [], {})) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(ModelBusy, match="full already has 2 requests in progress, which is the maximum"):
            await executor.predict(full, [], {})
        requests.append(asyncio.create_task(executor.predict(other, [], {})))
        assert await asyncio.to_thread(other.model.started.wait, 20)
        for request in requests:
            request.cancel()

    asyncio.run(send_requests())


class DoublingModel(EndlessModel):
    """A model that doubles its inputs."""

    def predict(self, inputs, params) -> np.ndarray:
        return 2 * inputs


def test_at_most_as_many_files_as_workers_are_open_in_the_api_and_the_page(create_executor):
    champion, open_files, counts = FakeChampion(replace(VERSION, name="films"), DoublingModel()), [], []

    def read_file(number: int):
        open_files.append(number)
        for _ in range(3):
            counts.append(len(open_files))
            yield np.array([number])
        open_files.remove(number)

    def join_frames(frames) -> np.ndarray:
        return np.concatenate(list(frames))

    async def send_files() -> list:
        executor = create_executor(workers=2)
        api = [executor.predict_chunks(champion, read_file(number)) for number in range(4)]
        page = [executor.run_with_file(champion, join_frames, read_file(number)) for number in range(4, 8)]
        return await asyncio.gather(*api, *page)

    outputs = [list(rows) for rows in asyncio.run(send_files())]
    assert outputs == [[2 * number] * 3 for number in range(4)] + [[number] * 3 for number in range(4, 8)]
    assert max(counts) == 2


def test_a_file_that_waits_too_long_for_other_files_is_rejected_with_the_limit(create_executor):
    champion, is_read = FakeChampion(replace(VERSION, name="films"), DoublingModel()), threading.Event()

    async def send_files() -> list:
        executor = create_executor(workers=1, prediction_timeout_seconds=0.2)
        first = asyncio.create_task(executor.run_with_file(champion, is_read.wait, 20))
        await asyncio.sleep(0)
        with pytest.raises(ModelBusy, match="at most 1 files per model are processed at the same time"):
            await executor.run_with_file(champion, list, [])
        is_read.set()
        await first

    asyncio.run(send_files())


def test_a_file_is_closed_when_its_prediction_fails(create_executor):
    closed = []

    def read_file():
        try:
            yield np.zeros(1)
        finally:
            closed.append(True)

    class FailingModel(EndlessModel):
        def predict(self, inputs, params) -> None:
            raise UserError("wrong input")

    with pytest.raises(UserError):
        asyncio.run(create_executor().predict_chunks(FakeChampion(VERSION, FailingModel()), read_file()))
    assert closed


# The OpenAPI document


def test_the_openapi_document_is_built_again_only_after_a_change():
    champions = Champions(MlflowClient())
    document = Document(FastAPI(), champions, max_characters=100)
    first = document()
    assert document() is first
    champions.served["digits"] = FakeChampion(replace(VERSION, task="unknown"), DoublingModel())
    assert document() is not first
