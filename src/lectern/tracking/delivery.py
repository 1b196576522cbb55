"""Write the updates of a run in a background thread, and repeat failed writes until the tracking store answers.

A training therefore does not wait for a slow tracking store, and does not end if the tracking store is lost.
"""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from threading import Condition, Thread

from tqdm import tqdm

from lectern.errors import format_message
from lectern.tracking.store import first_line, store_address
from lectern.tracking.tracker import Update

FIRST_DELAY, LONGEST_DELAY = 0.5, 15.0  # seconds between two attempts


class Delivery:
    """Writes updates in the order in which they were added.

    `write` is called in a background thread. If `write` is None, all updates are kept.
    """

    def __init__(self, write: Callable[[Update], None] | None, updates: Iterable[Update] = ()):
        self.write, self.waiting = write, deque(updates)
        self.changed = Condition()  # lock for `waiting` and for all attributes below
        self.closing = self.stopped = self.is_failing = False
        self.last_success = time.monotonic()
        if write:
            Thread(target=self.run, args=(write,), name="delivery", daemon=True).start()

    def add(self, update: Update) -> None:
        """Add an update. Never blocks."""
        with self.changed:
            self.waiting.append(update)
            self.changed.notify_all()

    def finish(self, patience: float) -> list[Update]:
        """Wait until all updates are written. Return the updates that could not be written.

        `patience` is the number of seconds to wait without a successful write.
        """
        with self.changed:
            self.closing, self.last_success = True, time.monotonic()
            self.changed.notify_all()
            while self.write and self.waiting and time.monotonic() - self.last_success < patience:
                self.changed.wait(0.1)
            self.stopped = True
            self.changed.notify_all()
            return list(self.waiting)

    def run(self, write: Callable[[Update], None]) -> None:
        delay = FIRST_DELAY
        while update := self.next_update():
            try:
                write(update)
            except Exception as error:  # each database and artifact store raises different errors
                self.report_failure(error)
                self.pause(delay)
                delay = min(2 * delay, LONGEST_DELAY)
            else:
                delay = FIRST_DELAY
                self.confirm()

    def next_update(self) -> Update | None:
        """Wait for the next update and return it, or return None at the end."""
        with self.changed:
            while not (self.waiting or self.closing or self.stopped):
                self.changed.wait()
            return self.waiting[0] if self.waiting and not self.stopped else None

    def confirm(self) -> None:
        """Remove the update that was written."""
        with self.changed:
            if self.is_failing:
                report("the tracking store answers again.")
            self.is_failing, self.last_success = False, time.monotonic()
            if not self.stopped:
                self.waiting.popleft()
            self.changed.notify_all()

    def report_failure(self, error: Exception) -> None:
        """Print a message at the first of several failures in a row."""
        with self.changed:
            if not self.is_failing and not self.stopped:
                report(
                    f"the tracking store {store_address()} does not accept the metrics of this training: "
                    f"{first_line(error)}. The training continues, and the metrics are kept."
                )
            self.is_failing = True

    def pause(self, delay: float) -> None:
        """Wait before the next attempt. After `finish` has been called, wait for a short time only."""
        with self.changed:
            self.changed.wait_for(lambda: self.closing or self.stopped, delay)
            if self.closing and not self.stopped:
                self.changed.wait(FIRST_DELAY)


def report(message: str) -> None:
    """Print a message to stderr, above the progress bar."""
    tqdm.write(format_message(message), file=sys.stderr)
