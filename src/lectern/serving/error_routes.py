"""Answer requests with a wrong method or an unknown path in JSON, before the web page answers them in HTML."""

from collections import defaultdict

from fastapi import APIRouter, FastAPI
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from lectern.serving.client_message import shorten


def add_error_routes(app: FastAPI, *routers: APIRouter) -> None:
    """Add a route for the other methods of each path, and a route for unknown paths of the API.

    The routes must be added after all other routes of the API, because the first route that fits answers a request.
    """
    methods: dict[str, set[str]] = defaultdict(set)
    for router in (app.router, *routers):
        for route in router.routes:
            if isinstance(route, Route):
                methods[route.path] |= route.methods or set()
    app.router.routes += [Route(path, WrongMethod(allowed)) for path, allowed in methods.items()]
    app.router.routes += [Route(path, UnknownPath()) for path in ("/v1", "/v1/{path:path}")]


class WrongMethod:
    """An endpoint that answers with status 405."""

    def __init__(self, allowed: set[str]):
        self.allowed = ", ".join(sorted(allowed))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        detail = f"The method is {shorten(scope['method'])}; expected {self.allowed}."
        raise HTTPException(405, detail, {"Allow": self.allowed})


class UnknownPath:
    """An endpoint that answers with status 404."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise HTTPException(404, f"The API has no path {shorten(scope['path'])!r}. The page /docs lists the paths.")
