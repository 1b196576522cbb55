"""Test over sockets that the server limits request headers, pipelined requests and visitors who leave."""

import asyncio
import socket
import threading
import time
from functools import partial
from http.client import HTTPConnection

import pytest
import uvicorn

from lectern.serving.header_limits import HeaderLimitProtocol

PAGE = b"GET /?tab=digits HTTP/1.1\r\nHost: localhost\r\n\r\n"
MODELS = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"


def read_all(connection: socket.socket) -> bytes:
    """Return all bytes that the server sends until it closes the connection."""
    return b"".join(iter(lambda: connection.recv(65_536), b""))


@pytest.mark.parametrize(
    "sent", [b"", b"GET /healthz HTTP/1.1\r\nHost: localh", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nG"]
)
@pytest.mark.slow
def test_a_connection_with_an_incomplete_header_is_closed_and_does_not_delay_other_requests(server_with_key, sent):
    with socket.create_connection(server_with_key.host_and_port, 60) as connection:
        connection.sendall(sent)
        assert server_with_key.get("/healthz").status_code == 200
        answers = read_all(connection)
    assert answers.count(b"HTTP/1.1") == sent.count(b"\r\n\r\n")


@pytest.mark.slow
def test_a_header_without_an_end_is_431(server_with_key):
    with socket.create_connection(server_with_key.host_and_port, 60) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\n" + b"X: " + b"a" * 65_536)
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 431 ") and b"larger than 65,536 bytes" in answer


def test_a_complete_header_that_is_too_large_is_431(server):
    with socket.create_connection(server.host_and_port, 60) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 65_536 + b"\r\n\r\n")
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 431 ") and answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("count", [2, 50])
def test_only_the_first_of_pipelined_requests_is_answered(server, count):
    with socket.create_connection(server.host_and_port, 60) as connection:
        connection.sendall(MODELS * count)
        answers = read_all(connection)
    assert answers.startswith(b"HTTP/1.1 200 ") and answers.count(b"HTTP/1.1") == 1 and answers.endswith(b"]")


def test_a_connection_can_be_used_again_after_each_answer(server):
    connection = HTTPConnection(*server.host_and_port, timeout=60)
    for _ in range(50):
        connection.request("GET", "/nope")
        assert b"Not Found" in connection.getresponse().read()


def test_a_request_after_the_complete_body_of_a_response_is_no_pipelined_request():
    async def app(scope, receive, send) -> None:
        """Send the complete body, and end the response later, as some middleware does."""
        headers = [(b"content-length", b"4")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"body", "more_body": True})
        await asyncio.sleep(0.2)
        await send({"type": "http.response.body"})

    protocol = partial(HeaderLimitProtocol, header_timeout_seconds=60.0)
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, http=protocol, lifespan="off", loop="asyncio", log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        connection = HTTPConnection(*listening.getsockname(), timeout=60)
        for _ in range(2):
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"body"
        connection.close()
    finally:
        server.should_exit = True
        thread.join()


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("seconds", [0, 0.3])
def test_visitors_who_leave_while_the_page_is_built_write_no_traceback(server, seconds, count):
    before = len(server.output)
    connections = [socket.create_connection(server.host_and_port) for _ in range(8)]
    for connection in connections:
        connection.sendall(PAGE * count)
    time.sleep(seconds)
    for connection in connections:
        connection.close()
    assert server.get("/").status_code == 200  # pages are built one after the other
    assert "Traceback" not in "".join(server.output[before:])
