"""Settings to a running server: API and page behind the same limits."""

import socket
import sys

import uvicorn
from starlette.types import ASGIApp

from lectern.errors import UserError
from lectern.serving import page
from lectern.serving.api import create_app
from lectern.serving.champions import Champions
from lectern.serving.middleware import ApiKeyMiddleware, BodyLimitMiddleware
from lectern.serving.settings import Settings
from lectern.tracking import store

PATIENCE = {"timeout_graceful_shutdown": 5, "timeout_keep_alive": 75}  # seconds; pools of clients keep theirs for less


def build(settings: Settings) -> ASGIApp:
    """The whole server, its champions loaded. Raises UserError where the store does not answer."""
    champions = Champions(store.connect())
    champions.follow()
    app = create_app(champions, settings)
    page.mount(app)
    app.add_middleware(BodyLimitMiddleware, settings=settings)
    if settings.api_key:
        app.add_middleware(ApiKeyMiddleware, key=settings.api_key)
    for champion in champions.listed():
        print(f"{champion.name}: version {champion.number}", file=sys.stderr)
    return app


def serve(settings: Settings) -> None:
    """Serve until interrupted. Raises UserError for an address that cannot be listened on."""
    listening = listen(settings)
    app = build(settings)
    host, port = listening.getsockname()[:2]
    print(f"The page: http://{host}:{port} · the API: http://{host}:{port}/docs", file=sys.stderr, flush=True)
    config = uvicorn.Config(app, log_level="warning", server_header=False, **PATIENCE)
    uvicorn.Server(config).run(sockets=[listening])


def listen(settings: Settings) -> socket.socket:
    """The socket, before models are loaded: a port that is taken is told at once."""
    try:
        return socket.create_server((settings.host, settings.port))
    except (OSError, OverflowError) as error:
        raise UserError(
            f"{settings.host}:{settings.port} cannot be listened on: {error}. Choose another: --port N"
        ) from error
