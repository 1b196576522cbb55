"""Reject requests that a foreign web page sends through the browser of a user.

A page can make its own domain name resolve to the address of this server (DNS rebinding). The browser then sends
requests of the page to the server, with the domain name in the header `Host`. A page of another origin can also open a
WebSocket, with its own address in the header `Origin`.
"""

import re
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from lectern.serving.middleware import PUBLIC_PATHS, count_responses

ANY_HOST = "*"
HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::\d+)?")  # a name or an IPv6 address in brackets, and a port


class HostCheckMiddleware:
    """Middleware that rejects requests with an unknown `Host` (status 400) or a foreign `Origin` (status 403).

    The health checks accept every `Host`, because Kubernetes sends the address of the pod.
    """

    def __init__(self, app: ASGIApp, allowed_hosts: Collection[str]):
        self.app, self.allowed_hosts = app, {host.lower() for host in allowed_hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or scope["path"] in PUBLIC_PATHS:
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        if not self.is_allowed(headers.get("host", "")):
            return await reject(scope, receive, send, 400, describe_host(headers.get("host", "")))
        if not has_own_origin(headers):
            detail = f"The header Origin is {headers['origin'][:80]!r}; expected the address of this server."
            return await reject(scope, receive, send, 403, detail)
        await self.app(scope, receive, send)

    def is_allowed(self, host: str) -> bool:
        return ANY_HOST in self.allowed_hosts or read_host_name(host) in self.allowed_hosts


def describe_host(host: str) -> str:
    """Return the message for an unknown `Host`. It does not contain the allowed names, which can be internal names."""
    return (
        f"The header Host is {host[:80]!r}, which is not an allowed name of this server. "
        "To allow another name, add it to allowed_hosts in conf/serve.yaml."
    )


def read_host_name(host: str) -> str | None:
    """Return the name in a header `Host` without its port, or None if the header is malformed."""
    match = HOST.fullmatch(host)
    return match[1].strip("[]").lower() if match else None


def has_own_origin(headers: Headers) -> bool:
    """Return whether a request comes from a page of this server, or from a client that is no web page."""
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2].lower() == headers.get("host", "").lower()


async def reject(scope: Scope, receive: Receive, send: Send, status: int, detail: str) -> None:
    """Send an error response, or close the WebSocket of the request."""
    if scope["type"] == "websocket":
        return await send({"type": "websocket.close", "code": 1008})
    await JSONResponse({"detail": detail}, status)(scope, receive, count_responses(send))
