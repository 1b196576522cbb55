"""Predict with the packaged code of a version in a separate process."""

import os
import signal
import tempfile
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path
from threading import Lock
from typing import Any

from lectern.errors import UserError
from lectern.registry.packaged_code import extract_code
from lectern.serving import packaged_worker
from lectern.serving.deadline import Cancelled, ModelBusy, check_current_deadline

CHECK_SECONDS = 0.02  # seconds between two checks of the time limit while a call waits


class ProcessEnded(ModelBusy, UserError):
    """Raised if the process of a PackagedModel ends during a call, for example because the memory is full."""


class PackagedModel:
    """A model with the methods of `LoadedModel`, whose packaged code runs in a separate process.

    The process computes one call at a time. If a call reaches its time limit, the process is killed, and the next call
    starts a new process. Raises UserError if the packaged code of the version does not have the digest `digest`, or if
    the packaged code cannot load the model.
    """

    def __init__(self, version_files: Path, model_folder: Path, digest: str, threads: int | None = None):
        self.folder = tempfile.TemporaryDirectory(prefix="lectern-code-")
        code = extract_code(version_files, digest, Path(self.folder.name))
        self.arguments = (code, model_folder, threads)
        self.lock = Lock()
        self.pool: ProcessPoolExecutor | None = None
        self.start()

    def predict(self, inputs: Any, params: dict[str, Any] | None = None) -> Any:
        """Return the prediction that the packaged code computes."""
        return self.run(packaged_worker.call, "predict", inputs, params)

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a function of the packaged `serving/request.py` in the separate process, and return its result."""
        return self.run(packaged_worker.call, "call", name, *arguments)

    def iterate(self, name: str, *arguments: Any) -> Iterator[Any]:
        """Yield the items of a generator in the packaged `serving/request.py`."""
        return self.run_iterator("iterate", name, *arguments)

    def read_file(self, path: Path, megapixels: float) -> Generator[Any, None, None]:
        """Yield the model inputs that the packaged code reads from a file."""
        return self.run_iterator("read_file", path, megapixels)

    def run_iterator(self, method: str, *arguments: Any) -> Generator[Any, None, None]:
        """Yield the items of a method that returns an iterator.

        The separate process computes the next item only when the caller requests the next item.
        """
        number = self.run(packaged_worker.start_iterator, method, *arguments)
        pool = self.pool
        try:
            while items := self.run(packaged_worker.next_items, number):
                yield from items
        except packaged_worker.UnknownIterator:
            raise ProcessEnded(f"The process of the model was replaced. {RETRY}") from None
        finally:
            if self.pool is pool:  # if the process was replaced, the iterator does not exist any more
                with suppress(ModelBusy):
                    self.run(packaged_worker.stop_iterator, number)

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a function in the separate process, and return its result."""
        with self.turn():
            pool = self.pool or self.start()
            try:
                return self.result(pool.submit(function, *arguments))
            except BrokenProcessPool:
                self.pool = None
                raise ProcessEnded(f"The process of the model ended during this call. {RETRY}") from None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until no other thread uses the separate process, and reserve the process for the block."""
        while not self.lock.acquire(timeout=CHECK_SECONDS):
            check_current_deadline()
        try:
            yield
        finally:
            self.lock.release()

    def result(self, future: "Future[Any]") -> Any:
        """Wait for the result of a call, and return the result.

        If the time limit of this thread's prediction is reached, kill the separate process.
        """
        try:
            while not wait([future], CHECK_SECONDS).done:
                check_current_deadline()
        except (ModelBusy, Cancelled):
            os.kill(self.process, signal.SIGKILL)
            self.pool = None
            raise
        return future.result()

    def start(self) -> ProcessPoolExecutor:
        """Start the separate process, and let the process load the model."""
        pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        try:
            loaded: packaged_worker.Loaded = pool.submit(packaged_worker.load, *self.arguments).result()
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"the code cannot load the model ({error!r})") from error
        self.process, self.facts, self.signature = loaded
        self.pool = pool
        return pool


RETRY = "Retry the request."
