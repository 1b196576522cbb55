"""Test failed, slow and redirected transfers, and the messages about addresses that do not answer."""

import socket
import time
from collections import Counter
from types import SimpleNamespace

import pytest
import requests
import yaml
from urllib3.exceptions import MaxRetryError

from download_server import (
    TEXT,
    endless_page,
    error_page,
    fast_downloader,
    file_origin,
    list_entries,
    redirect,
    send,
    sha256,
)
from lectern.download import http
from lectern.download.checks import SourceRejected
from lectern.download.fetch import download_origin
from lectern.download.http import Downloader
from lectern.errors import UserError
from test_download import server
from test_origins import ORIGIN_CONFIGS

__all__ = ["server"]  # imported because it is a fixture


@pytest.fixture
def closed_address() -> str:
    """Return an address on which no server listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}"


def test_a_truncated_transfer_leaves_no_file(tmp_path, server):
    server.pages["/text.txt"] = send(TEXT[:5000], length=len(TEXT))
    with pytest.raises(UserError, match="5000 bytes read, 5000 more expected"):
        download_origin(file_origin([server.address]), tmp_path, None, fast_downloader())
    assert list_entries(tmp_path) == []
    assert server.requests["/text.txt"] == 2


@pytest.mark.parametrize("first", [send(TEXT[:5000], length=len(TEXT)), error_page(503), error_page(429)])
def test_a_broken_transfer_is_repeated(tmp_path, server, first):
    server.pages["/text.txt"] = [first, send(TEXT)]
    download_origin(file_origin([server.address]), tmp_path, None, fast_downloader())
    assert (tmp_path / "text.txt").read_bytes() == TEXT
    assert server.requests["/text.txt"] == 2


def test_a_missing_file_is_requested_only_once(tmp_path, server):
    with pytest.raises(UserError, match="HTTP 404 Not Found"):
        download_origin(file_origin([server.address]), tmp_path, None, fast_downloader())
    assert server.requests["/text.txt"] == 1


def test_a_redirect_is_followed(tmp_path, server):
    server.pages |= {"/text.txt": redirect(f"{server.address}/moved/text.txt"), "/moved/text.txt": TEXT}
    download_origin(file_origin([server.address]), tmp_path, None, fast_downloader())
    assert (tmp_path / "text.txt").read_bytes() == TEXT


def test_an_endless_redirect_is_an_error(tmp_path, server):
    server.pages["/text.txt"] = redirect(f"{server.address}/text.txt")
    with pytest.raises(UserError, match="Exceeded 30 redirects"):
        download_origin(file_origin([server.address]), tmp_path, None, fast_downloader())
    assert list_entries(tmp_path) == []


def test_a_stalled_transfer_times_out(tmp_path, server):
    server.pages["/text.txt"] = lambda handler: time.sleep(1)
    with pytest.raises(UserError, match="timed out"):
        downloader = Downloader(attempts=2, backoff=0.01, read_timeout=0.1)
        download_origin(file_origin([server.address]), tmp_path, None, downloader)
    assert list_entries(tmp_path) == []


def test_wrong_content_is_an_error_with_both_digests(tmp_path, server):
    server.pages["/text.txt"] = b"<html>please log in</html>"
    with pytest.raises(UserError) as error:
        download_origin(file_origin([server.address]), tmp_path, None, fast_downloader())
    assert sha256(TEXT) in str(error.value) and sha256(b"<html>please log in</html>") in str(error.value)
    assert list_entries(tmp_path) == []


@pytest.mark.parametrize("page", [endless_page, send(b"", length=10**12)])
def test_a_response_larger_than_the_pinned_size_is_aborted(tmp_path, server, page):
    server.pages["/text.txt"] = page
    with pytest.raises(UserError, match=r"expected at most 10,000"):
        download_origin(file_origin([server.address]), tmp_path, None, fast_downloader())
    assert list_entries(tmp_path) == []


def test_the_request_forbids_a_compressed_response(tmp_path, server):
    encodings = []
    server.pages["/text.txt"] = lambda handler: (
        encodings.append(handler.headers["Accept-Encoding"]),
        send(TEXT)(handler),
    )
    download_origin(file_origin([server.address]), tmp_path, None, fast_downloader())
    assert encodings == ["identity"]


def test_without_a_network_the_error_names_every_address_the_mirror_setting_and_make_demo(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(socket, "getaddrinfo", fail)
    for origin in (yaml.safe_load(path.read_text()) for path in ORIGIN_CONFIGS):
        if "urls" not in origin:
            continue
        started = time.monotonic()
        with pytest.raises(UserError) as error:
            download_origin(origin, tmp_path / origin["name"], None)
        assert time.monotonic() - started < 10
        message = str(error.value)
        assert all(url in message for url in origin["urls"]), message
        assert message.count("Temporary failure in name resolution") == len(origin["urls"])
        assert "LECTERN_MIRROR" in message and "make demo" in message
        assert list_entries(tmp_path / origin["name"]) == []


def test_an_unreachable_host_is_tried_only_once(tmp_path, server, closed_address, monkeypatch):
    texts = {f"{number}.txt": bytes([65 + number]) * 9 for number in range(5)}
    origin = {
        "name": "texts",
        "urls": [closed_address, server.address],
        "files": {name: {"sha256": sha256(text), "bytes": 9} for name, text in texts.items()},
    }
    server.pages = {f"/{name}": text for name, text in texts.items()}
    requested = Counter()
    get = requests.get

    def counting_get(url, **options):
        requested[url.rpartition("/")[0]] += 1
        return get(url, **options)

    monkeypatch.setattr(requests, "get", counting_get)
    download_origin(origin, tmp_path, None, fast_downloader())
    assert list_entries(tmp_path) == sorted(texts)
    assert requested == {closed_address: 1, server.address: 5}


def test_waiting_for_unreachable_hosts_takes_at_most_ten_seconds_in_total(tmp_path, monkeypatch):
    clock, timeouts = [0.0], []

    def get(url, timeout, **_):
        timeouts.append(timeout[0])
        clock[0] += timeout[0]
        raise requests.ConnectionError(MaxRetryError(None, url, TimeoutError("timed out")))

    monkeypatch.setattr(requests, "get", get)
    monkeypatch.setattr(http, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    downloader = Downloader()
    for number in range(5):
        with pytest.raises(SourceRejected, match="timed out"):
            downloader.download(f"http://host{number}.invalid/text.txt", tmp_path / "text.txt", 1)
    assert sum(timeouts) <= 10.5 and len(timeouts) == 5


def test_passwords_in_addresses_are_never_printed(tmp_path, server, capsys):
    mirror = server.address.replace("http://", "http://reader:secret@")
    with pytest.raises(UserError) as error:
        download_origin(file_origin(["http://me:secret@nowhere.invalid"]), tmp_path, mirror, fast_downloader())
    assert "secret" not in str(error.value) + capsys.readouterr().err
    assert f"http://***@{server.address.removeprefix('http://')}" in str(error.value)
