"""Test over HTTP that the server rejects invalid requests with a helpful message and continues to run."""

import io
import json
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPResponse
from pathlib import Path

import av
import numpy as np
import pytest
import requests
from PIL import Image

from lectern_server import as_png
from sample_champions import CHAMPIONS, DIGITS, SENTENCES, STEERING, TEXT, TRANSLATION


def test_an_unknown_model_is_404_and_the_message_suggests_the_nearest_name(server):
    response = server.predict("sample_digit", input=1)
    assert response.status_code == 404 and "did you mean 'sample_digits'?" in response.json()["detail"]


# Invalid JSON bodies

ROW = [0] * 28


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"input": [ROW] * 27}, "at least 28 items"),
        ({"input": [ROW] * 27 + [[0] * 29]}, "at most 28 items"),
        ({"input": [ROW] * 27 + [[300] + [0] * 27]}, "less than or equal to 255"),
        ({"input": [ROW] * 27 + [["ink"] + [0] * 27]}, "valid integer"),
        ({"input": [ROW] * 27 + [[0.5] + [0] * 27]}, "valid integer"),
        ({"inputs": []}, "at least 1 item"),
        ({}, "send either `input` or a list of `inputs`"),
        ({"input": [ROW] * 28, "params": {"beam": 2}}, "params"),
        ([1, 2], "object"),
    ],
    ids=["too-low", "too-wide", "too-large", "text", "fraction", "no-rows", "no-input", "params", "list"],
)
def test_an_invalid_image_is_422_and_the_message_names_the_mistake(server, body, message):
    response = server.post(f"/v1/models/{DIGITS}/predict", json=body)
    assert response.status_code == 422 and message in response.json()["detail"], response.text


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        (TEXT, b'{"input": {"prompt": "x"}, "params": {"temperature": NaN}}', "params.temperature"),
        (TEXT, b'{"input": {"prompt": "x"}, "params": {"length": 1e9}}', "params.length"),
        (TEXT, b'{"input": {"prompt": "\xff\xfe"}}', "JSON"),
        (TEXT, b'{"input": {"prompt": "\\ud800"}}', "JSON"),
        (TEXT, json.dumps({"input": {"prompt": "x" * 1_000_000}}).encode(), "at most 10000 characters"),
        (TRANSLATION, json.dumps({"input": {"source": "man " * 2000}}).encode(), "tokens"),
        (TRANSLATION, b'{"input": {"source": "  "}}', "empty"),
        (TRANSLATION, b'{"input": {"source": "A man."}, "params": {"beam": 2, "n_best": 3}}', "n_best is 3"),
        (SENTENCES, b'{"input": {"text": " "}}', "Sentence 1 has no words"),
        (SENTENCES, b'{"input": {"text": "\\u0000 \\u200b\\u202e\\ufeff"}}', "Sentence 1 has no words"),
        (
            SENTENCES,
            json.dumps({"input": {"text": "a " * 4000}}).encode(),
            "has 4,000 words; this model accepts at most",
        ),
        (SENTENCES, json.dumps({"input": {"text": "word " * 10_000}}).encode(), "at most 10000 characters"),
        (STEERING, json.dumps({"inputs": [[[[[0, 0, 0]]], [[[0, 0, 0]] * 2]]]}).encode(), "must have the same length"),
        (DIGITS, b'{"input": ' + b"[" * 100_000, "JSON"),
        (DIGITS, b"", "JSON"),
    ],
    ids=[
        "nan",
        "long",
        "utf8",
        "surrogate",
        "million",
        "tokens",
        "blank",
        "n_best",
        "no-words",
        "invisible",
        "words",
        "text",
        "ragged",
        "deep",
        "empty",
    ],
)
def test_an_invalid_body_is_422_and_the_message_names_the_mistake(server, name, body, message):
    headers = {"Content-Type": "application/json"}
    response = server.post(f"/v1/models/{name}/predict", data=body, headers=headers)
    assert response.status_code == 422 and message in response.json()["detail"], response.text


# Invalid files


def decompression_bomb() -> bytes:
    """Return a PNG with 400 million pixels in half a megabyte."""
    file = io.BytesIO()
    Image.new("1", (20_000, 20_000), 1).save(file, "PNG")
    return file.getvalue()


def jpeg_with_many_scans(width: int = 60, height: int = 60, repetitions: int = 200) -> bytes:
    """Return a progressive JPEG file of six scans that repeats its last scan."""
    file = io.BytesIO()
    Image.new("L", (width, height)).save(file, "JPEG", progressive=True)
    content = file.getvalue()
    last_scan = content[content.rfind(b"\xff\xda") : -2]
    return content[:-2] + repetitions * last_scan + content[-2:]


def jpeg_with_much_metadata() -> bytes:
    """Return a JPEG file of one pixel with 11 MB of EXIF data."""
    exif = b"\xff\xe1\xff\xffExif\0\0".ljust(65_537)
    file = io.BytesIO()
    Image.new("L", (1, 1)).save(file, "JPEG")
    content = file.getvalue()
    return content[:2] + 170 * exif + content[2:]


def gif_with_many_parts() -> bytes:
    """Return a GIF file of one pixel with 100,000 comments, in half a megabyte."""
    file = io.BytesIO()
    Image.new("L", (1, 1)).save(file, "GIF")
    start, pixels = file.getvalue().rsplit(b"\x2c\0\0\0\0", 1)
    return start + b"\x21\xfe\x01a\0" * 100_000 + b"\x2c\0\0\0\0" + pixels


def long_image() -> bytes:
    return as_png(np.zeros((1, 30_000), np.uint8))


def mjpeg_video_with_many_scans() -> bytes:
    """Return a video whose only frame is a JPEG file with many scans."""
    file = io.BytesIO()
    with av.open(file, "w", format="avi") as container:
        stream = container.add_stream("mjpeg", rate=10, width=60, height=60, pix_fmt="yuvj420p")
        packet = av.Packet(jpeg_with_many_scans())
        packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, 0, 0, True
        container.mux(packet)
    return file.getvalue()


def blank_image(shade: int) -> bytes:
    return as_png(np.full((300, 300), shade, np.uint8))


@pytest.mark.parametrize(
    ("name", "media_type", "create_body", "status", "message"),
    [
        (DIGITS, "image/png", decompression_bomb, 422, "at most 40 million"),
        (DIGITS, "image/png", lambda: b"text", 422, "not an image"),
        (DIGITS, "image/jpeg", jpeg_with_many_scans, 422, "scans; at most 100 are allowed"),
        (DIGITS, "image/jpeg", lambda: jpeg_with_many_scans(5000, 4000, 44), 422, "50 scans; at most 40 are allowed"),
        (DIGITS, "image/jpeg", jpeg_with_much_metadata, 422, "more than 10 MB of metadata"),
        (DIGITS, "image/gif", gif_with_many_parts, 422, "more than 200,000 parts"),
        (DIGITS, "image/png", long_image, 422, "at most 20000 pixels per side"),
        (DIGITS, "image/png", lambda: blank_image(0)[:-60], 422, "damaged"),
        (DIGITS, "image/png", lambda: blank_image(255), 422, "Nothing is drawn"),
        (DIGITS, "text/plain", lambda: b"7", 415, "image/png"),
        (DIGITS, "", lambda: b"7", 415, "application/json"),
        (STEERING, "video/mp4", lambda: b"text" * 200, 422, '"body.mp4 cannot be read as a video'),
        (STEERING, "video/x-msvideo", mjpeg_video_with_many_scans, 422, "scans; at most 100 are allowed"),
        (TEXT, "video/mp4", lambda: b"", 415, "application/json"),
    ],
    ids=[
        "bomb",
        "no-image",
        "scans",
        "large-scans",
        "metadata",
        "parts",
        "long",
        "truncated",
        "blank",
        "text",
        "no-type",
        "no-video",
        "mjpeg",
        "wrong-model",
    ],
)
def test_an_invalid_file_is_rejected_and_the_message_names_the_mistake(
    server, name, media_type, create_body, status, message
):
    headers = {"Content-Type": media_type}
    response = server.post(f"/v1/models/{name}/predict", data=create_body(), headers=headers)
    assert response.status_code == status and message in response.text, response.text


def test_an_image_that_is_sent_as_a_video_is_predicted_or_rejected(server):
    headers = {"Content-Type": "video/mp4"}
    image = as_png(np.zeros((8, 8, 3), np.uint8))
    response = server.post(f"/v1/models/{STEERING}/predict", data=image, headers=headers)
    assert response.status_code in (200, 422)  # FFmpeg can recognize the image although the content type is a video.


# Limits of size and time


def read_response(connection: socket.socket) -> tuple[int, bytes]:
    with HTTPResponse(connection) as response:
        response.begin()
        return response.status, response.read()


def request_head(*headers: str, media_type: str = "application/json") -> bytes:
    start = [f"POST /v1/models/{DIGITS}/predict HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: {media_type}"]
    lines = [*start, *headers]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


@pytest.mark.parametrize(
    "media_type",
    ["application/json", "Application/JSON", " application/json", "text/plain", "application/octet-stream"],
)
def test_a_body_of_a_hundred_megabytes_is_413_before_it_is_sent(server, media_type):
    with socket.create_connection(server.host_and_port, 10) as connection:
        connection.sendall(request_head("Content-Length: 100000000", media_type=media_type))
        status, body = read_response(connection)
    assert status == 413 and b"larger than 16 MB" in body


def test_a_stream_of_a_body_that_is_not_json_is_415(server):
    response = server.post(f"/v1/models/{TEXT}/stream", data=b"{}", headers={"Content-Type": "image/png"})
    assert response.status_code == 415 and "the content type 'image/png'" in response.json()["detail"]


def test_a_body_of_unknown_length_is_413_once_it_is_too_large(server):
    chunks = (b" " * 1_000_000 for _ in range(30))
    headers = {"Content-Type": "application/json"}
    try:
        response = server.post(f"/v1/models/{DIGITS}/predict", data=chunks, headers=headers)
        assert response.status_code == 413
    except requests.ConnectionError:
        pass  # The server has closed the connection before the client had sent everything.
    assert server.get("/healthz").status_code == 200


@pytest.mark.slow
def test_a_slow_body_is_408_and_does_not_delay_other_requests(server_with_key):
    with socket.create_connection(server_with_key.host_and_port, 60) as connection:
        connection.sendall(request_head("Authorization: Bearer a key", "Content-Length: 100") + b"{")
        assert server_with_key.get("/healthz").status_code == 200
        status, body = read_response(connection)
    assert status == 408 and b"within 2 seconds" in body


def test_a_stream_stops_when_its_client_disconnects(server):
    def finished_and_ended() -> tuple[float, float]:
        finished = server.metric("lectern_predictions_total", TEXT, ',version="1"')
        return finished, server.metric("lectern_prediction_seconds_count", TEXT)

    finished, ended = finished_and_ended()
    body = {"input": {"prompt": ""}, "params": {"length": 5000}}
    response = server.post(f"/v1/models/{TEXT}/stream", json=body, stream=True)
    next(response.iter_content(None))
    response.close()
    deadline = time.monotonic() + 60
    while finished_and_ended()[1] == ended and time.monotonic() < deadline:
        time.sleep(0.05)
    assert finished_and_ended() == (finished, ended + 1)  # The stream has ended before the text was complete.


@pytest.mark.slow
def test_a_stream_beyond_the_limit_of_requests_is_503(server_with_key):
    body, key = {"input": {"prompt": ""}, "params": {"length": 1000}}, {"Authorization": "Bearer a key"}
    with ThreadPoolExecutor(8) as pool:
        posted = [
            pool.submit(server_with_key.post, f"/v1/models/{TEXT}/stream", json=body, headers=key) for _ in range(8)
        ]
    responses = [each.result() for each in posted]
    refused = [response for response in responses if response.status_code == 503]
    assert refused and all(response.headers["Retry-After"] == "1" for response in refused)
    assert "1 requests in progress" in refused[0].json()["detail"]
    assert all("event: end" in response.text for response in responses if response not in refused)


# API key and address


def test_without_the_key_every_path_but_the_health_checks_is_401(server_with_key):
    for path in ("/", "/v1/models", "/docs", "/openapi.json", "/metrics", f"/v1/models/{DIGITS}/predict"):
        assert server_with_key.get(path).status_code == 401, path
    response = server_with_key.get("/v1/models", headers={"Authorization": "Bearer another key"})
    assert response.status_code == 401 and "LECTERN_API_KEY" in response.json()["detail"]
    assert server_with_key.get("/v1/models", headers={"Authorization": "Basic %%%"}).status_code == 401
    assert server_with_key.get("/healthz").status_code == server_with_key.get("/readyz").status_code == 200


def test_the_key_is_accepted_as_a_bearer_token_and_as_a_browser_password(server_with_key):
    assert len(server_with_key.get("/v1/models", headers={"Authorization": "Bearer a key"}).json()) == len(CHAMPIONS)
    assert server_with_key.get("/v1/models", auth=("", "a key")).status_code == 200


def test_the_server_listens_on_loopback_only(server):
    addresses = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, state = line.split()[1], line.split()[3]
        address, port = local.split(":")
        if state == "0A" and int(port, 16) == server.host_and_port[1]:  # The state 0A means that the socket listens.
            addresses.append(address)
    assert addresses == ["0100007F"]  # the address 127.0.0.1


@pytest.mark.slow
def test_a_port_in_use_is_reported_with_exit_code_1(server, serving_project):
    process = subprocess.run(
        [sys.executable, "-c", "from lectern.cli import main; main()", "serve", "--port", str(server.host_and_port[1])],
        cwd=serving_project,
        capture_output=True,
        text=True,
        env={**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{serving_project}/mlflow.db"},
    )
    assert process.returncode == 1 and "Traceback" not in process.stderr and "cannot listen on" in process.stderr
