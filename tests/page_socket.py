"""Open the WebSocket of the web page without a browser, and send messages to the server."""

import html
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from websockets.sync.client import ClientConnection, connect

from lectern_server import Server

SOCKET = "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"


@dataclass
class PageSocket:
    """An open page. `elements` maps the number of each element to its description for the browser."""

    client: str
    elements: dict[str, Any]
    socket: ClientConnection

    def listeners(self) -> list[tuple[int, str]]:
        """Return the number of the element and the identifier of each listener."""
        return [
            (int(number), event["listener_id"])
            for number, element in self.elements.items()
            for event in element.get("events", [])
        ]

    def send(self, name: str, *content: Any) -> None:
        self.socket.send(f"42{json.dumps([name, *content])}")

    def send_event(self, element: int, listener: str, **content: Any) -> None:
        self.send("event", {"client_id": self.client, "id": element, "listener_id": listener, **content})

    def log(self, message: str) -> None:
        self.send("log", {"client_id": self.client, "level": "warning", "message": message})

    def wait_for_answer(self) -> None:
        """Wait until the server has acknowledged a last message, and discard the other messages of the server."""
        self.socket.send(f"421{json.dumps(['ack', {'client_id': self.client, 'next_message_id': 0}])}")
        while not str(message := self.socket.recv(timeout=60)).startswith("431"):
            if message == "2":  # a ping of Engine.IO
                self.socket.send("3")


@contextmanager
def open_socket(server: Server, tab: str = "digits") -> Iterator[PageSocket]:
    """Request a page, and open its WebSocket for a block."""
    text = server.get(f"/?tab={tab}").text
    client = re.search(r"client_id\W+([0-9a-f-]{36})", text)[1]
    elements = re.search(r"parseElements\(String\.raw`(.*?)`\)", text, re.DOTALL)[1]
    query = f"&client_id={client}&next_message_id=0&implicit_handshake=true&tab_id={client}&document_id=b"
    with connect(f"{server.url.replace('http', 'ws', 1)}{SOCKET}{query}", max_size=None) as socket:
        socket.send("40")
        yield PageSocket(client, json.loads(html.unescape(elements)), socket)
