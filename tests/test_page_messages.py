"""Test over WebSockets that forged messages to the web page have no effect and cannot fill the log."""

import json
import logging

import pytest

from lectern.serving.log_limit import BURST, LogLimit
from page_socket import open_socket

VALUES = (None, True, 7, -1, 1e300, "unknown", "x" * 100_000, [], {}, {"value": 999}, {"value": "x"}, {"value": -1})
FORGED = [
    *({"args": [json.dumps(value)]} for value in VALUES),
    *({"args": args} for args in ([], [None], [1], ["1", "2"], ["no json"], ["[" * 100_000], "text", 5, None, {})),
    {},
]
MESSAGES = [(), ({},), ([],), (None,), (5,), ("text",), ({"client_id": []},), (1, 2, 3)]


@pytest.mark.parametrize("tab", ["digits", "language_model", "translation", "steering", "sentences", "models"])
def test_forged_messages_are_few_short_lines_in_the_log_and_other_visitors_are_not_affected(server, tab):
    before = len(server.output)
    with open_socket(server, tab) as visitor, open_socket(server, tab) as forger:
        for element, listener in forger.listeners():
            for content in FORGED:
                forger.send_event(element, listener, **content)
        for name in ("event", "log", "ack", "javascript_response", "handshake", "unknown"):
            for content in MESSAGES:
                forger.send(name, *content)
        for element, listener in [(10**9, "x"), (0, "x"), (forger.listeners()[0][0], "x")]:
            forger.send_event(element, listener, args=[])
        for listener in ([], {}, 5):
            forger.send_event(0, listener, args=[])
        forger.wait_for_answer()
        visitor.wait_for_answer()
    assert server.get("/healthz").status_code == 200
    lines = server.output[before:]
    assert "Traceback" not in "".join(lines)
    assert len(lines) < 2 * BURST and max(map(len, lines), default=0) < 300, lines


def test_the_log_contains_few_messages_of_one_origin_and_the_number_of_missing_messages(caplog, monkeypatch):
    log, times = logging.getLogger("test of the limit"), [0.0]
    monkeypatch.setattr("lectern.serving.log_limit.time.monotonic", lambda: times[0])
    log.addFilter(LogLimit())
    for times[0] in [*(0.0 for _ in range(1000)), 1000.0]:
        log.warning("a message of %s", "a visitor")
    log.warning("another origin")
    assert len(caplog.messages) == BURST + 2
    assert caplog.messages[BURST:] == [
        "a message of a visitor (970 similar messages were not logged)",
        "another origin",
    ]
