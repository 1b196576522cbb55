"""Test that a foreign web page cannot reach the server through the browser of a user."""

import socket
import subprocess
import sys
from http.client import HTTPResponse

import numpy as np
import pytest

from children import lectern
from lectern.serving.memory import release_memory
from lectern.serving.server import is_loopback


def get_status(server, path: str, **headers: str) -> tuple[int, str]:
    response = server.get(path, headers=headers)
    return response.status_code, response.text


FOREIGN_HOSTS = [
    *("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.", "0.0.0.0"),
    *("[::1", "::1", "x@localhost", "localhost#x", "localhost:x"),
]


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
@pytest.mark.parametrize("path", ["/", "/docs", "/v1/models", "/metrics"])
def test_a_request_with_a_foreign_host_is_400(server, host, path):
    status, text = get_status(server, path, Host=host)
    assert status == 400 and "The header Host is" in text and "allowed_hosts in conf/serve.yaml" in text
    assert "expected one of" not in text  # the allowed names can be internal names


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1234", "127.0.0.1", "[::1]:8000"])
def test_the_names_of_the_loopback_address_are_allowed(server, host):
    assert get_status(server, "/v1/models", Host=host)[0] == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_checks_accept_every_host(server, path):
    assert get_status(server, path, Host="10.1.2.3:8000")[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", ""])
def test_a_request_of_a_foreign_page_is_403(server, origin):
    status, text = get_status(server, "/v1/models", Origin=origin)
    assert status == 403 and "The header Origin is" in text


def test_a_request_from_a_page_of_this_server_is_answered(server):
    assert get_status(server, "/v1/models", Origin=server.url)[0] == 200


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [("evil.example", "http://evil.example", 403), (None, "http://evil.example", 403), (None, None, 101)],
    ids=["foreign host", "foreign origin", "own page"],
)
def test_only_a_page_of_this_server_can_open_a_websocket(server, host, origin, status):
    address = ":".join(map(str, server.host_and_port))
    lines = [
        "GET /_nicegui_ws/socket.io/?EIO=4&transport=websocket HTTP/1.1",
        f"Host: {host or address}",
        f"Origin: {origin or server.url}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    with socket.create_connection(server.host_and_port, 60) as connection:
        connection.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
        response = HTTPResponse(connection)
        response.begin()
        assert response.status == status


def test_an_address_that_other_machines_reach_needs_a_key(serving_project, monkeypatch):
    monkeypatch.chdir(serving_project)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{serving_project / 'mlflow.db'}")
    ended = lectern("serve", "--host", "0.0.0.0", "--port", "0")
    assert ended.code == 1 and "LECTERN_API_KEY" in ended.said and "--insecure" in ended.said


def test_only_addresses_of_this_machine_are_loopback():
    assert [host for host in ("127.0.0.1", "127.8.9.1", "::1", "localhost") if not is_loopback(host)] == []
    assert [host for host in ("0.0.0.0", "::", "192.168.1.2", "example.org", "") if is_loopback(host)] == []


MEASURE = """
import re, sys
from pathlib import Path
import numpy as np
from lectern.serving.memory import release_memory

def resident_megabytes():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

blocks = [np.ones(30_000, np.uint8) for _ in range(10_000)]  # small blocks, which glibc does not return by itself
kept = blocks[-1]
del blocks
before = resident_megabytes()
release_memory()
assert resident_megabytes() < before - 200, (before, resident_megabytes())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and needs glibc")
def test_freed_memory_is_returned_to_the_operating_system():
    release_memory()
    assert np.ones(3).sum() == 3
    ended = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
