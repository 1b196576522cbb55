"""Stop a training after SIGINT, SIGTERM or SIGHUP: finish the current training step and save a checkpoint."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist

from lectern.training.distributed import is_first_process, rank_and_world_size

STOP_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)  # SIGHUP means that the terminal was closed
STOPPING = "\nlectern: {} received; stopping after this step to save a checkpoint. Press Ctrl-C again to end at once.\n"
SAVED = "lectern: saved at step {}. Run the same command again to continue.\n"


class StopOnSignal(pl.Callback):
    """Record stop signals, and stop the training on all ranks after the same training step.

    Lightning's own signal handler is not used, because it starts a collective operation immediately after the signal.
    This operation deadlocks if another rank is in a different collective operation. Lightning's handler also interrupts
    a validation, so that the last training step cannot be saved. StopOnSignal only records the signal. Before each
    possible checkpoint, the ranks exchange the signals that they have received.
    """

    def __init__(self) -> None:
        self.received = 0  # number of a received stop signal, or 0
        self.saved_step: int | None = None

    @contextmanager
    def handle_signals(self) -> Iterator[None]:
        """Record stop signals inside the block.

        Signals that the process ignores, for example under nohup, stay ignored.
        """
        if threading.current_thread() is not threading.main_thread():  # Python sets handlers only in the main thread
            yield
            return
        handled = [number for number in STOP_SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        previous = {number: signal.signal(number, self.record_signal) for number in handled}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def record_signal(self, number: int, _: Any) -> None:
        """Record the first stop signal.

        A second SIGINT ends the process at once, even inside a collective operation.
        """
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        if not self.received and is_first_process():
            write_message(STOPPING.format(signal.Signals(number).name))
        self.received = self.received or number

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Replace the handler for SIGTERM that Lightning installs before `on_train_start`."""
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) != signal.SIG_IGN:
            signal.signal(signal.SIGTERM, self.record_signal)
        trainer._signal_connector.received_sigterm = False

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.exchange_signals(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.exchange_signals(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.exchange_signals(trainer)

    def exchange_signals(self, trainer: pl.Trainer) -> None:
        """Set `received` on all ranks to the largest signal number that any rank has received."""
        if rank_and_world_size()[1] > 1:
            received = torch.tensor(self.received, device=trainer.strategy.root_device)
            dist.all_reduce(received, dist.ReduceOp.MAX)
            self.received = int(received.item())

    def stop_after_save(self, trainer: pl.Trainer) -> None:
        """If a stop signal was received, end the training at the next point at which Lightning can end a training.

        `stop_after_save` is called after each saved checkpoint.
        """
        if self.received:
            self.saved_step = trainer.global_step
            trainer._signal_connector.received_sigterm = True  # Lightning's loops raise SIGTERMException

    def report_saved_step(self) -> None:
        if self.saved_step is not None and is_first_process():
            write_message(SAVED.format(self.saved_step))


def write_message(text: str) -> None:
    """Write a text to stderr without Python's buffer, because a signal handler must not use Python's buffer.

    Errors are ignored, because the terminal can be closed.
    """
    with suppress(OSError):
        os.write(2, text.encode())
