"""Keep text of clients and of the registry from damaging the log of the server."""

import logging

from lectern.errors import escape_control_characters
from lectern.serving.log_limit import LogLimit

CLIENT_TEXT = ("nicegui", "lectern.serving")  # loggers whose messages can contain text of clients or of the registry
MAX_LENGTH = 2000  # a visitor can send log messages of a megabyte through the WebSocket of the page
MAX_TRACEBACK = 8000
SOCKET_MESSAGES = ("engineio.server", "socketio.server", "asyncio")
HTTP_MESSAGES = ("uvicorn.error",)


def filter_log() -> None:
    """Escape control characters in log messages, limit their number, and log no traceback for invalid messages."""
    limit = LogLimit()
    for name in CLIENT_TEXT:
        logging.getLogger(name).addFilter(escape_message)
    for name in SOCKET_MESSAGES:
        logging.getLogger(name).addFilter(is_server_mistake)
    for name in (*CLIENT_TEXT, *SOCKET_MESSAGES, *HTTP_MESSAGES):
        logging.getLogger(name).addFilter(limit)
        logging.getLogger(name).addFilter(shorten_traceback)


def escape_message(record: logging.LogRecord) -> bool:
    """Shorten a log message, and escape its control characters and line breaks. The traceback is not changed."""
    record.msg, record.args = escape_control_characters(record.getMessage()[:MAX_LENGTH], kept=""), ()
    return True


def shorten_traceback(record: logging.LogRecord) -> bool:
    """Remove the middle of a long traceback, because the message of an exception can contain text of a client."""
    if record.exc_info:
        text = logging.Formatter().formatException(record.exc_info)
        end = MAX_TRACEBACK // 2
        # logging.Formatter writes `exc_text` in place of the traceback
        record.exc_text = text if len(text) <= MAX_TRACEBACK else f"{text[:end]}\n...\n{text[-end:]}"
    return True


def is_server_mistake(record: logging.LogRecord) -> bool:
    """Return whether to log a record. Socket.IO logs a traceback for each message of a client that it cannot parse.

    NiceGUI itself logs the exceptions of the event handlers of the page.
    """
    if record.name == "asyncio":
        return "AsyncServer._handle_event_internal" not in record.getMessage()
    return not record.exc_info
