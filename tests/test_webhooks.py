"""Test the webhooks of docs/registry.md: a real MLflow server calls an address when the champion changes."""

import json
import queue
import re
import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import pytest

from children import lectern
from registered import BEST, BETTER, NAME
from store_servers import ROOT, run_mlflow_server

CREATE, CHECK = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/registry.md").read_text(), re.MULTILINE | re.DOTALL)
SECRET = re.search(r'secret="(.*)"', CREATE)[1]


class Call(NamedTuple):
    """A request of the MLflow server to the receiver."""

    headers: dict[str, str]
    body: str

    @property
    def alias(self) -> tuple[str, str, str]:
        data = json.loads(self.body)["data"]
        return data["name"], data["alias"], data["version"]


@pytest.fixture
def receiver() -> Iterator[tuple[str, queue.Queue[Call]]]:
    """Run a server that records each request. Yield its address and the recorded requests."""
    calls: queue.Queue[Call] = queue.Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            calls.put(Call(dict(self.headers), self.rfile.read(int(self.headers["Content-Length"])).decode()))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", calls
        server.shutdown()


def await_champion(calls: queue.Queue[Call], log: Path) -> Call:
    """Return the next call about the alias `champion`.

    If no call arrives, raise AssertionError with the log of the server.
    """
    try:
        return next(call for call in iter(lambda: calls.get(timeout=120), None) if call.alias[1] == "champion")
    except queue.Empty:
        raise AssertionError(f"no call:\n{log.read_text()}") from None


@pytest.mark.slow
@pytest.mark.nightly
def test_a_promotion_and_a_rollback_call_the_address_with_a_valid_signature(
    registered_client, receiver, tmp_path, monkeypatch
):
    address, calls = receiver
    # MLflow's settings for tests of webhooks on one machine
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOWED_SCHEMES", "http")
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true")
    folder = tmp_path / "server"
    folder.mkdir()
    shutil.copyfile(registered_client.tracking_uri.removeprefix("sqlite:///"), folder / "mlflow.db")
    with run_mlflow_server(f"sqlite:///{folder / 'mlflow.db'}", folder, workers=2) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", (folder / "admin-password").read_text().strip())
        exec(CREATE.replace("https://deploy.example.com", address), {})
        for words, version in ((["promote", NAME, "--version", BETTER], BETTER), (["promote", NAME], BEST)):
            ended = lectern(*words)
            assert ended.code == 0, ended.said
            first = await_champion(calls, folder / "log")
            assert first.alias == (NAME, "champion", version)
        assert lectern("rollback", NAME).code == 0
        last = await_champion(calls, folder / "log")
        assert last.alias == (NAME, "champion", BETTER)
    receiver_code: dict = {}
    exec(CHECK, receiver_code)
    is_signed = receiver_code["is_signed"]
    assert is_signed(first.headers, first.body, SECRET) and is_signed(last.headers, last.body, SECRET)
    assert not is_signed(last.headers, last.body, "another secret")
    assert not is_signed(last.headers, last.body.replace(BETTER, BEST), SECRET)
