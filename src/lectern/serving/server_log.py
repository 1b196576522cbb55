"""Keep text of clients and of the registry from damaging the log of the server."""

import logging

from lectern.errors import escape_control_characters

CLIENT_TEXT = ("nicegui", "lectern.serving")  # loggers whose messages can contain text of clients or of the registry
MAX_LENGTH = 4000  # a visitor can send log messages of a megabyte through the WebSocket of the page
SOCKET_MESSAGES = ("engineio.server", "socketio.server", "asyncio")


def filter_log() -> None:
    """Escape control characters in log messages, and log no traceback for an invalid WebSocket message."""
    for name in CLIENT_TEXT:
        logging.getLogger(name).addFilter(escape_message)
    for name in SOCKET_MESSAGES:
        logging.getLogger(name).addFilter(is_server_mistake)


def escape_message(record: logging.LogRecord) -> bool:
    """Shorten a log message, and escape its control characters and line breaks. The traceback is not changed."""
    record.msg, record.args = escape_control_characters(record.getMessage()[:MAX_LENGTH], kept=""), ()
    return True


def is_server_mistake(record: logging.LogRecord) -> bool:
    """Return whether to log a record. Socket.IO logs a traceback for each message of a client that it cannot parse.

    NiceGUI itself logs the exceptions of the event handlers of the page.
    """
    if record.name == "asyncio":
        return "AsyncServer._handle_event_internal" not in record.getMessage()
    return not record.exc_info
