"""Build the pages of visitors one after the other, and limit the number of pages in memory.

Building a page occupies the event loop, and a page consists of thousands of objects on the server.
"""

import asyncio

from nicegui import Client

from lectern.serving.deadline import ModelBusy

MAX_WAITING = 100
MAX_UNOPENED = 32
PAUSE_SECONDS = 0.02  # time between two pages, in which the event loop answers other requests


class PageTurns:
    """A queue of the visitors whose pages are built next."""

    def __init__(self, max_pages: int):
        self.max_pages = max_pages
        self.lock, self.waiting = asyncio.Lock(), 0

    async def wait_for_turn(self) -> None:
        """Return when the page of a visitor can be built.

        Raises ModelBusy if there are too many pages or visitors.
        """
        if self.waiting >= MAX_WAITING or len(Client.instances) >= self.max_pages:
            raise ModelBusy("Too many visitors have opened this page. Reload it in a minute.")
        self.waiting += 1
        try:
            async with self.lock:
                await asyncio.sleep(PAUSE_SECONDS)
        finally:
            self.waiting -= 1
        delete_unopened_pages()


def delete_unopened_pages() -> None:
    """Delete the oldest pages whose visitors have never opened the WebSocket of the page, such as crawlers.

    NiceGUI also deletes these pages, but only after a minute.
    """
    unopened = [client for client in Client.instances.values() if client.environ is None]
    for client in unopened[:-MAX_UNOPENED]:
        client.delete()
