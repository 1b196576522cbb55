"""Limit the time and the size of request headers, which uvicorn does not limit."""

from asyncio import BaseTransport, TimerHandle, get_running_loop
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MAX_HEADER_BYTES = 65_536
TOO_LARGE = (
    "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-type: text/plain\r\n\r\n"
    f"The request header is larger than {MAX_HEADER_BYTES:,} bytes, which is the maximum."
)


class StopParsing(Exception):
    """Raised in a callback of the HTTP parser, because of a pipelined request or a header that is too large."""


def has_sent_response(cycle: RequestResponseCycle) -> bool:
    """Return whether the client has the complete response, although the application may not have finished it."""
    has_sent_body = cycle.response_started and not cycle.chunked_encoding and cycle.expected_content_length == 0
    return cycle.response_complete or has_sent_body


class HeaderLimitProtocol(HttpToolsProtocol):
    """HTTP protocol that closes a connection whose request header is too large (status 431) or does not arrive in time.

    The time starts with the connection or with the first byte of a further request. A request that arrives before the
    response to the previous request (pipelining) is ignored, and the connection is closed after that response.
    """

    header_timer: TimerHandle | None = None
    header_bytes = 0
    is_closing = False

    def __init__(self, *args: Any, header_timeout_seconds: float, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.header_timeout_seconds = header_timeout_seconds

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.start_header_timer(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.stop_header_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.is_closing:
            return
        if self.header_timer:
            self.header_bytes += len(data)
        super().data_received(data)
        if self.header_timer and self.header_bytes > MAX_HEADER_BYTES:
            self.refuse_header()

    def on_message_begin(self) -> None:
        if self.cycle and not has_sent_response(self.cycle):
            self.is_closing, self.cycle.keep_alive = True, False
            raise StopParsing
        super().on_message_begin()
        if not self.header_timer:
            self.start_header_timer(self.transport)

    def on_headers_complete(self) -> None:
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > MAX_HEADER_BYTES:
            self.refuse_header()
            raise StopParsing
        self.stop_header_timer()
        super().on_headers_complete()

    def refuse_header(self) -> None:
        self.is_closing = True
        self.stop_header_timer()
        self.transport.write(TOO_LARGE.encode())
        self.transport.close()

    def send_400_response(self, msg: str) -> None:
        if not self.is_closing:  # the response is sent or follows
            super().send_400_response(msg)

    def start_header_timer(self, transport: BaseTransport) -> None:
        self.header_bytes = 0
        self.header_timer = get_running_loop().call_later(self.header_timeout_seconds, transport.close)

    def stop_header_timer(self) -> None:
        if self.header_timer:
            self.header_timer.cancel()
            self.header_timer = None
