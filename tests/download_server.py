"""Provide a web server, origin configs and archives for the download tests."""

import hashlib
import io
import os
import tarfile
import threading
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from lectern.download.http import Downloader

TEXT = b"To be, or not to be\n" * 500
MEMBERS = {
    "driving_log.csv": b"center,steering\n" * 40,
    "IMG/center_1.jpg": b"one" * 99,
    "IMG/center_2.jpg": b"two" * 9,
}
Respond = Callable[[BaseHTTPRequestHandler], None]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def file_origin(urls: list[str], name: str = "text.txt", content: bytes = TEXT) -> dict:
    """Return the config of an origin with one pinned file."""
    return {"name": "texts", "urls": urls, "files": {name: {"sha256": sha256(content), "bytes": len(content)}}}


def archive_origin(urls: list[str], members: dict[str, bytes] = MEMBERS) -> dict:
    """Return the config of an origin that uses the given members of an archive."""
    lines = "".join(f"{sha256(content)}  {path}\n" for path, content in sorted(members.items()))
    archive = {
        "name": "data.zip",
        "inside": "data/",
        "members": ["driving_log.csv", "IMG/center_*.jpg"],
        "digest": sha256(lines.encode()),
        "bytes": sum(map(len, members.values())),
    }
    return {"name": "drive", "urls": urls, "archive": archive}


def zip_archive(members: dict[str, bytes], inside: str = "data/", compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for path, content in members.items():
            archive.writestr(inside + path, content)
    return buffer.getvalue()


def tar_archive(members: dict[str, bytes], *more: tarfile.TarInfo, inside: str = "data/") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path, content in members.items():
            info = tarfile.TarInfo(f"{inside}{path}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in more:
            archive.addfile(info)
    return buffer.getvalue()


def fast_downloader() -> Downloader:
    return Downloader(attempts=2, backoff=0.01, connect_timeout=2.0, read_timeout=2.0)


def write_file(folder: Path, path: str, content: bytes) -> Path:
    """Write a file below a folder and return the path of the folder."""
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(content)
    return folder


def list_entries(folder: Path) -> list[str]:
    """Return the names in a folder, including the names of hidden and temporary files."""
    return sorted(os.listdir(folder)) if folder.exists() else []


class FileServer:
    """A web server on localhost.

    `pages` maps each path to one response, or to a list of responses for successive requests.
    """

    def __init__(self, address: str):
        self.address = address
        self.pages: dict[str, bytes | Respond | list[bytes | Respond]] = {}
        self.requests: Counter[str] = Counter()

    def respond(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests[handler.path] += 1
        page = self.pages.get(handler.path, error_page(404))
        if isinstance(page, list):
            page = page.pop(0) if len(page) > 1 else page[0]
        (send(page) if isinstance(page, bytes) else page)(handler)


@contextmanager
def running_file_server() -> Iterator[FileServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            files.respond(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        files = FileServer(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield files
        server.shutdown()


def send(content: bytes, length: int | None = None, code: int = 200) -> Respond:
    """Return a response that declares `length` bytes. The given content can have fewer bytes."""

    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        handler.send_header("Content-Length", str(len(content) if length is None else length))
        handler.end_headers()
        handler.wfile.write(content)

    return respond


def error_page(code: int) -> Respond:
    return send(b"<html>a long page about an error</html>" * 1000, code=code)


def redirect(address: str) -> Respond:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", address)
        handler.end_headers()

    return respond


def endless_page(handler: BaseHTTPRequestHandler) -> None:
    """Send 32 MiB without a declared length, or less if the client disconnects."""
    handler.send_response(200)
    handler.end_headers()
    with suppress(OSError):
        for _ in range(500):
            handler.wfile.write(b"0" * 2**16)
