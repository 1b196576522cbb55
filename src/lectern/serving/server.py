"""Combine the API and the web page into one server, and run the server."""

import socket
import sys
from asyncio import Protocol
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from ipaddress import ip_address
from typing import cast

import uvicorn
from starlette.types import ASGIApp

from lectern.errors import UserError, escape_control_characters
from lectern.serving.api import create_app
from lectern.serving.champions import Champions
from lectern.serving.executor import Executor
from lectern.serving.header_limits import HeaderLimitProtocol
from lectern.serving.host_check import HostCheckMiddleware
from lectern.serving.memory import exclude_from_collection
from lectern.serving.middleware import ApiKeyMiddleware, BodyLimitMiddleware
from lectern.serving.page import mount_page
from lectern.serving.request_queue import RequestQueueMiddleware
from lectern.serving.server_log import filter_log
from lectern.serving.settings import Settings
from lectern.serving.websocket_errors import WebSocketErrorMiddleware
from lectern.tracking import store

SHUTDOWN_SECONDS = 5
KEEP_ALIVE_SECONDS = 75  # longer than the idle timeout of clients, so that a client closes an idle connection first


def build_app(settings: Settings) -> ASGIApp:
    """Load the champions, and return the ASGI application with the API and the web page.

    Raises UserError if the tracking store is unreachable.
    """
    champions, executor = Champions(store.connect(), settings.torch_threads), Executor(settings)
    champions.refresh()
    app = create_app(champions, executor)
    mount_page(app, champions, executor)
    app.add_middleware(BodyLimitMiddleware, settings=settings)
    if settings.api_key:
        app.add_middleware(ApiKeyMiddleware, api_key=settings.api_key)
    app.add_middleware(HostCheckMiddleware, allowed_hosts=[*settings.allowed_hosts, settings.host])
    app.add_middleware(RequestQueueMiddleware)
    app.add_middleware(WebSocketErrorMiddleware)
    filter_log()
    for champion in champions.all():
        print(escape_control_characters(f"{champion.name}: version {champion.version.number}"), file=sys.stderr)
    return app


def serve(settings: Settings, more_hosts: Sequence[str] = (), insecure: bool = False) -> None:
    """Run the server until it is interrupted.

    Requests may have one of the names `more_hosts` in the header `Host`, in addition to the names in the settings.

    Raises UserError if the host and port are not available. Also raises UserError if other machines could send requests
    without an API key, unless `insecure` is true.
    """
    if not (settings.api_key or insecure or is_loopback(settings.host)):
        raise UserError(
            f"At {settings.host}, every machine in the network could send requests. Set the environment variable "
            "LECTERN_API_KEY, or listen at 127.0.0.1. To serve without an API key, add --insecure."
        )
    settings = replace(settings, allowed_hosts=[*settings.allowed_hosts, *more_hosts])
    listening = open_socket(settings)
    app = build_app(settings)
    exclude_from_collection()
    host, port = listening.getsockname()[:2]
    print(f"Web page: http://{host}:{port}   API: http://{host}:{port}/docs", file=sys.stderr, flush=True)
    config = uvicorn.Config(
        app,
        http=cast(type[Protocol], partial(HeaderLimitProtocol, header_timeout_seconds=settings.header_timeout_seconds)),
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    uvicorn.Server(config).run(sockets=[listening])


def is_loopback(host: str) -> bool:
    """Return whether a host is an address of this machine that other machines cannot reach."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:  # a name, which can resolve to any address
        return False


def open_socket(settings: Settings) -> socket.socket:
    """Open the socket of the server.

    `serve` calls `open_socket` before it loads the models, so that a port in use is reported immediately.
    """
    try:
        return socket.create_server((settings.host, settings.port))
    except (OSError, OverflowError) as error:
        raise UserError(
            f"cannot listen on {settings.host}:{settings.port}: {error}. Choose another port with --port N."
        ) from error
