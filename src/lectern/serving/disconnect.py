"""Stop the computation for a request when the client of the request disconnects."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

Result = TypeVar("Result")


async def cancel_on_disconnect(request: Request, work: Awaitable[Result]) -> Result:
    """Await `work` and return its result.

    If the client disconnects before the result is ready, cancel `work` and raise ClientDisconnect.
    """
    working = asyncio.ensure_future(work)
    disconnect = asyncio.ensure_future(wait_for_disconnect(request))
    try:
        await asyncio.wait((working, disconnect), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        disconnect.cancel()


async def wait_for_disconnect(request: Request) -> None:
    """Wait until the client closes the connection.

    The request body must be read before `wait_for_disconnect` is called.
    """
    while (await request.receive())["type"] != "http.disconnect":
        pass
