"""What the server does not take, through real HTTP: each mistake gets its answer at once, and the server serves on."""

import io
import json
import socket
import time
from http.client import HTTPResponse
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image

from served import DIGITS, POEMS, ROAD, TOY, as_png


def test_an_unknown_model_is_404_with_the_nearest(server):
    answered = server.predict("sample_digit", input=1)
    assert answered.status_code == 404 and "did you mean 'sample_digits'?" in answered.json()["detail"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"input": [[0] * 28] * 27}, "at least 28 items"),
        ({"input": [[0] * 28] * 27 + [[0] * 29]}, "at most 28 items"),
        ({"input": [[0] * 28] * 27 + [[300] + [0] * 27]}, "less than or equal to 255"),
        ({"input": [[0] * 28] * 27 + [["ink"] + [0] * 27]}, "valid integer"),
        ({"input": [[0] * 28] * 27 + [[0.5] + [0] * 27]}, "valid integer"),
        ({"inputs": []}, "at least 1 item"),
        ({}, "give one `input`, or a list of `inputs`"),
        ({"input": [[0] * 28] * 28, "params": {"beam": 2}}, "params"),
        ([1, 2], "object"),
    ],
    ids=["low", "wide", "large", "text", "fraction", "none", "nothing", "params", "list"],
)
def test_wrong_images_are_422_with_what_is_wrong(server, body, told):
    answered = server.post(f"/v1/models/{DIGITS}/predict", json=body)
    assert answered.status_code == 422 and told in answered.json()["detail"], answered.text


@pytest.mark.parametrize(
    ("name", "body", "told"),
    [
        (POEMS, b'{"input": {"prompt": "x"}, "params": {"temperature": NaN}}', "params.temperature"),
        (POEMS, b'{"input": {"prompt": "x"}, "params": {"length": 1e9}}', "params.length"),
        (POEMS, b'{"input": {"prompt": "\xff\xfe"}}', "JSON"),
        (POEMS, b'{"input": {"prompt": "\\ud800"}}', "JSON"),
        (POEMS, json.dumps({"input": {"prompt": "x" * 1_000_000}}).encode(), "at most 10000 characters"),
        (TOY, json.dumps({"input": {"source": "man " * 2000}}).encode(), "pieces"),
        (TOY, b'{"input": {"source": "  "}}', "empty"),
        (TOY, b'{"input": {"source": "A man."}, "params": {"beam": 2, "n_best": 3}}', "n_best is 3"),
        (ROAD, json.dumps({"inputs": [[[[[0, 0, 0]]], [[[0, 0, 0]] * 2]]]}).encode(), "ragged"),
        (DIGITS, b'{"input": ' + b"[" * 100_000, "JSON"),
        (DIGITS, b"", "JSON"),
    ],
    ids=["nan", "long", "utf8", "surrogate", "million", "pieces", "blank", "n_best", "ragged", "deep", "empty"],
)
def test_wrong_bodies_are_422_with_what_is_wrong(server, name, body, told):
    headers = {"Content-Type": "application/json"}
    answered = server.post(f"/v1/models/{name}/predict", data=body, headers=headers)
    assert answered.status_code == 422 and told in answered.json()["detail"], answered.text


def bomb() -> bytes:
    """A picture of 400 million white pixels in half a megabyte."""
    file = io.BytesIO()
    Image.new("1", (20_000, 20_000), 1).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "kind", "body", "status", "told"),
    [
        (DIGITS, "image/png", bomb, 422, "at most 40 million"),
        (DIGITS, "image/png", lambda: b"no picture", 422, "no picture"),
        (DIGITS, "image/png", lambda: as_png(np.zeros((300, 300), np.uint8))[:-60], 422, "damaged"),
        (DIGITS, "image/png", lambda: as_png(np.full((300, 300), 255, np.uint8)), 422, "Nothing is drawn"),
        (DIGITS, "text/plain", lambda: b"7", 415, "image/png"),
        (DIGITS, "", lambda: b"7", 415, "application/json"),
        (ROAD, "video/mp4", lambda: b"no video" * 100, 422, "cannot be read as a video"),
        (ROAD, "video/mp4", lambda: as_png(np.zeros((8, 8, 3), np.uint8)), 422, ""),
        (POEMS, "video/mp4", lambda: b"", 415, "application/json"),
    ],
    ids=["bomb", "none", "cut", "blank", "text", "untyped", "video", "png", "prompt"],
)
def test_files_that_are_none_are_refused(server, name, kind, body, status, told):
    answered = server.post(f"/v1/models/{name}/predict", data=body(), headers={"Content-Type": kind})
    if told:
        assert answered.status_code == status and told in answered.json()["detail"], answered.text
    else:
        assert answered.status_code in (200, status)  # FFmpeg may know it whatever it is called


def hear(talking: socket.socket) -> tuple[int, bytes]:
    """The whole answer, in however many pieces it comes."""
    with HTTPResponse(talking) as answered:
        answered.begin()
        return answered.status, answered.read()


def test_a_body_of_a_hundred_megabytes_is_413_before_it_is_sent(server):
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 10) as talking:
        head = f"POST /v1/models/{DIGITS}/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        talking.sendall(f"{head}Content-Length: 100000000\r\n\r\n".encode())
        status, said = hear(talking)
    assert status == 413 and b"larger than 16 MB" in said


def test_a_body_that_does_not_say_how_long_it_is_is_cut_off_too(server):
    def pieces():
        for _ in range(30):
            yield b" " * 1_000_000

    try:
        answered = server.post(
            f"/v1/models/{DIGITS}/predict", data=pieces(), headers={"Content-Type": "application/json"}
        )
        assert answered.status_code == 413
    except requests.ConnectionError:
        pass  # it hung up while more was being sent
    assert server.get("/healthz").status_code == 200


def test_a_client_that_leaves_in_the_middle_of_a_stream_stops_the_writing(server):
    def answers_and_refused() -> tuple[float, float]:
        lines = dict(line.rsplit(" ", 1) for line in server.get("/metrics").text.splitlines() if line[0] != "#")
        done = float(lines.get(f'lectern_answers_total{{model="{POEMS}",version="1"}}', 0))
        return done, float(lines[f'lectern_answer_seconds_count{{model="{POEMS}"}}'])

    server.predict(POEMS, input={"prompt": ""}, params={"length": 1})
    done, ended = answers_and_refused()
    body = {"input": {"prompt": ""}, "params": {"length": 5000}}
    answered = server.post(f"/v1/models/{POEMS}/stream", json=body, stream=True)
    next(answered.iter_content(None))
    answered.close()
    deadline = time.monotonic() + 60
    while answers_and_refused()[1] == ended and time.monotonic() < deadline:
        time.sleep(0.05)
    assert answers_and_refused() == (done, ended + 1)  # it came to an end, and not to its own


def test_without_the_key_every_call_but_the_health_checks_is_401(guarded):
    for path in ("/", "/v1/models", "/docs", "/openapi.json", "/metrics", f"/v1/models/{DIGITS}/predict"):
        assert guarded.get(path).status_code == 401, path
    wrong = guarded.get("/v1/models", headers={"Authorization": "Bearer another key"})
    assert wrong.status_code == 401 and "LECTERN_API_KEY" in wrong.json()["detail"]
    assert guarded.get("/v1/models", headers={"Authorization": "Basic %%%"}).status_code == 401
    assert guarded.get("/healthz").status_code == guarded.get("/readyz").status_code == 200


def test_with_the_key_calls_are_answered(guarded):
    assert len(guarded.get("/v1/models", headers={"Authorization": "Bearer a key"}).json()) == 4
    assert guarded.get("/v1/models", auth=("", "a key")).status_code == 200  # as a browser sends it


def test_a_slow_client_is_408_and_others_are_answered_meanwhile(guarded):
    host, port = guarded.url.removeprefix("http://").split(":")
    head = f"POST /v1/models/{DIGITS}/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with socket.create_connection((host, int(port)), 60) as talking:
        talking.sendall(f"{head}Authorization: Bearer a key\r\nContent-Length: 100\r\n\r\n{{".encode())
        assert guarded.get("/healthz").status_code == 200
        status, said = hear(talking)
    assert status == 408 and b"within 2 seconds" in said


def test_it_listens_on_loopback_alone(server):
    port = int(server.url.rsplit(":", 1)[1])
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, state = line.split()[1], line.split()[3]
        if state == "0A" and int(local.split(":")[1], 16) == port:
            assert local.startswith("0100007F")


def test_a_port_that_is_taken_is_a_message_and_exit_code_1(server, four):
    import os
    import subprocess
    import sys

    port = server.url.rsplit(":", 1)[1]
    done = subprocess.run(
        [sys.executable, "-c", "from lectern.cli import main; main()", "serve", "--port", port],
        cwd=four, capture_output=True, text=True, env={**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{four}/mlflow.db"},
    )  # fmt: skip
    assert done.returncode == 1 and "Traceback" not in done.stderr and "cannot be listened on" in done.stderr
