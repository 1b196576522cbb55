"""Start simultaneous requests in small groups, so that the health checks are answered in between."""

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send

from lectern.serving.middleware import PUBLIC_PATHS

MAX_STARTS = 8  # with 1, batches are small, and a request needs twice the CPU time


class RequestQueueMiddleware:
    """Middleware that starts at most MAX_STARTS HTTP requests per iteration of the event loop.

    Otherwise one iteration processes all requests that have arrived at the same time, and a health check waits for all
    of them. The health checks do not wait in the queue.
    """

    def __init__(self, app: ASGIApp):
        self.app, self.starts = app, asyncio.Semaphore(MAX_STARTS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in PUBLIC_PATHS:
            async with self.starts:
                await asyncio.sleep(0)
        await self.app(scope, receive, send)
