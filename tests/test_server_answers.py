"""Test over HTTP that hostile requests get short answers without local paths, and write no traceback to the log."""

import asyncio
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from mlflow import MlflowClient
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from children import lectern
from lectern.serving.request_queue import MAX_STARTS, RequestQueueMiddleware
from page_socket import SOCKET, open_socket
from sample_champions import DIGITS, TRANSLATION


def wait_until(condition) -> bool:
    for _ in range(600):
        if condition():
            return True
        time.sleep(0.05)
    return False


# Errors


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", f"/v1/models/{DIGITS}/predict", "POST"),
        ("DELETE", f"/v1/models/{DIGITS}", "GET"),
        ("POST", "/healthz", "GET"),
        ("PUT", "/readyz", "GET"),
        ("POST", f"/v1/models/{DIGITS}/versions/2/pictures/a.png", "GET"),
    ],
)
def test_a_wrong_method_is_405_in_json_and_names_the_right_method(server, method, path, allowed):
    import requests

    response = requests.request(method, server.url + path, timeout=60)
    assert response.status_code == 405 and response.headers["Allow"] == allowed
    assert response.json()["detail"] == f"The method is {method}; expected {allowed}."


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/models/",
        "/v1/nope",
        "/nope",
        "/videos/nope.mp4",
        "/_nicegui/nope",
        *(f"/v1/models/{DIGITS}/versions/{number}/pictures/a.png" for number in ("abc", "1.5", "-1", "9" * 50)),
    ],
)
def test_an_unknown_path_is_404_in_json(server, path):
    response = server.get(path)
    named = path.split("/")[5] if "versions" in path else path
    assert response.status_code == 404 and named in response.json()["detail"]


def test_clients_see_no_path_of_a_version_that_cannot_be_loaded(server, serving_project):
    client, name = MlflowClient(f"sqlite:///{serving_project / 'mlflow.db'}"), "a_missing_model"
    client.create_registered_model(name)
    try:
        tags = client.get_model_version(DIGITS, "2").tags
        version = client.create_model_version(name, "file:///secret_folder/model", tags=tags)
        client.set_registered_model_alias(name, "champion", version.version)
        assert wait_until(lambda: name in server.get("/readyz").json()["problems"])
        responses = [server.get("/readyz"), server.predict(name, input=1), server.get("/?tab=models")]
        assert [text for text in (response.text for response in responses) if "secret_folder" in text] == []
        assert all("log of the server contains the reason" in response.text for response in responses)
        assert wait_until(lambda: any("secret_folder" in line for line in server.output))
    finally:
        client.delete_registered_model(name)


def test_a_long_content_type_is_not_repeated_in_the_error(server):
    headers = {"Content-Type": "x" * 5000}
    response = server.post(f"/v1/models/{DIGITS}/predict", data=b"7", headers=headers)
    assert response.status_code == 415 and len(response.text) < 500


def test_a_long_key_is_not_repeated_in_the_error(server):
    response = server.predict(DIGITS, **{"x" * 50_000: 1})
    assert response.status_code == 422 and len(response.text) < 1500


# The web page


def test_the_page_contains_only_the_elements_of_the_chosen_tab(server):
    text = server.get("/?tab=translation").text
    assert "press Translate or Ctrl" in text and "Draw a digit, upload" not in text


@pytest.mark.parametrize("message", ["garbage", b"\0\xff", "42[", "99"])
def test_an_invalid_websocket_message_writes_no_traceback(server, message):
    address, before = f"{server.url.replace('http', 'ws', 1)}", len(server.output)
    with connect(f"{address}{SOCKET}") as socket:
        for text in ("40", '42["event"]', '42["handshake",{}]', '42["ack",{}]', message):
            socket.send(text)
        try:
            for _ in range(5):
                socket.recv(timeout=0.3)
        except (ConnectionClosed, TimeoutError):
            pass
    log_from_page(server, "end of the test")
    assert "Traceback" not in "".join(server.output[before:])


def test_text_of_a_visitor_is_escaped_in_the_log(server):
    before = len(server.output)
    log_from_page(server, "\x1b[31m\nforged line")
    assert "\\x1b[31m\\nforged line" in "".join(server.output[before:])


def test_a_long_text_of_a_visitor_is_shortened_in_the_log(server):
    before = len(server.output)
    log_from_page(server, "x" * 50_000, end="x" * 20)
    assert max(len(line) for line in server.output[before:]) < 4500


def log_from_page(server, message: str, end: str = "") -> None:
    """Open the page, send a log message through its WebSocket, and wait until the message is in the log."""
    with open_socket(server) as page:
        page.log(message)
        assert wait_until(lambda: (end or message[-10:]) in "".join(server.output[-3:]))


# Many requests


@pytest.mark.slow
def test_visitors_beyond_the_limit_are_503(server):
    with ThreadPoolExecutor(200) as pool:
        responses = list(pool.map(server.get, ["/?tab=digits"] * 200))
    assert {response.status_code for response in responses} == {200, 503}
    assert {response.json()["detail"][:22] for response in responses if response.status_code == 503} == {
        "Too many visitors have"
    }


def test_an_upload_without_a_file_is_422(server):
    before = len(server.output)
    page = server.get("/?tab=digits").text
    path = re.search(r"/_nicegui/client/[0-9a-f-]{36}/upload/\d+", page)[0]
    response = server.post(path, files={"a": (None, "b")})
    assert response.status_code == 422 and "not a file" in response.json()["detail"]
    response = server.post(path, data={"a": "b"})
    assert response.status_code == 422 and "not a form" in response.json()["detail"]
    log_from_page(server, "end of the test")
    assert "Traceback" not in "".join(server.output[before:])


def test_an_upload_with_several_files_is_422(server):
    page = server.get("/?tab=digits").text
    path = re.search(r"/_nicegui/client/[0-9a-f-]{36}/upload/\d+", page)[0]
    response = server.post(path, files=[("file", b"a"), ("file", b"b")])
    assert response.status_code == 422 and "more than one part" in response.json()["detail"]
    assert server.post(path, files=[("file", b"a")]).status_code == 200


@pytest.mark.parametrize("keys", [100, 9_500])
def test_many_unknown_keys_are_one_short_error(server, keys):
    response = server.predict(TRANSLATION, **{str(number): 1 for number in range(keys)})
    assert response.status_code == 422 and len(response.text) < 1500


def test_one_iteration_of_the_event_loop_starts_few_requests():
    started: list[int] = []

    async def app(scope, receive, send) -> None:
        started.append(1)

    async def run() -> list[int]:
        middleware, counts = RequestQueueMiddleware(app), []
        scope = {"type": "http", "path": "/v1/models"}
        requests = [asyncio.create_task(middleware(scope, None, None)) for _ in range(100)]
        while not all(request.done() for request in requests):
            counts.append(len(started))
            await asyncio.sleep(0)
        return [*counts, len(started)]

    counts = asyncio.run(run())
    assert counts[-1] == 100 and max(b - a for a, b in zip(counts, counts[1:], strict=False)) <= MAX_STARTS


# The terminal


@pytest.mark.parametrize(
    "words",
    [
        ("registry", "list"),
        ("registry", "list", "--names", "*"),
        ("registry", "show", "NAME"),
        ("promote", "NAME"),
        ("retire", "NAME"),
    ],
    ids=lambda words: " ".join(words),
)
def test_a_command_prints_no_control_characters_of_a_foreign_name(project, store, words):
    name = "foreign\x1b]0;title\x07"
    client = MlflowClient(store, store)
    client.create_registered_model(name)
    ended = lectern(*(name if word == "NAME" else word for word in words))
    assert "\x1b" not in ended.said and "\x07" not in ended.said, repr(ended.said)
    assert "foreign\\x1b]0;title\\x07" in ended.said or ended.code, ended.said
