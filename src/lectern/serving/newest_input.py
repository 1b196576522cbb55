"""Process the newest input of a visitor who changes the input faster than the server processes it."""

from collections.abc import Awaitable, Callable


class NewestInput:
    """Call an asynchronous function after a change of the input, without two calls at the same time.

    If the input changes during a call, the function is called once more afterwards. That call uses the newest input,
    and earlier changes are skipped.
    """

    def __init__(self, process: Callable[[], Awaitable[None]]):
        self.process = process
        self.is_busy = self.has_changed = False

    async def change(self) -> None:
        """Process the input now, or after the call that is in progress."""
        self.has_changed = True
        if self.is_busy:
            return
        self.is_busy = True
        try:
            while self.has_changed:
                self.has_changed = False
                await self.process()
        finally:
            self.is_busy = False
