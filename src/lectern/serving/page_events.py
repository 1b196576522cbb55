"""Check the messages that arrive through the WebSocket of the web page, because a client can send any message."""

import logging
from collections.abc import Callable
from inspect import isawaitable
from typing import Any

from nicegui import Client, core, json, ui
from nicegui.element import Element
from pydantic import BaseModel, ConfigDict, ValidationError

from lectern.serving.client_message import shorten

UNCHECKED = ("connect", "disconnect")  # Socket.IO calls the handlers of these messages with different arguments
VALUE_CHANGE = "update:"  # start of the type of each event with the new value of an element

log = logging.getLogger("lectern.serving")


class InvalidMessage(ValueError):
    """Raised for a message that the browser of a visitor cannot have sent."""


class Event(BaseModel):
    """The content of the message `event`. Each argument is a JSON text."""

    model_config = ConfigDict(strict=True)

    client_id: str
    id: int
    listener_id: str
    args: list[str | None] = []


def check_messages() -> None:
    """Check all messages before NiceGUI processes them. An invalid message is one line in the log."""
    handlers: dict[str, Callable[..., Any]] = core.sio.handlers["/"]
    core.sio.on("event", receive_event)
    for name, handler in list(handlers.items()):
        if name not in UNCHECKED:
            handlers[name] = create_checked_handler(name, handler)


def create_checked_handler(name: str, handler: Callable[..., Any]) -> Callable[..., Any]:
    """Return a handler that ignores the messages for which `handler` raises an exception."""

    async def handle_message(*arguments: Any) -> Any:
        try:
            result = handler(*arguments)
            return await result if isawaitable(result) else result
        except ValidationError as error:
            reason = f"the key {'.'.join(map(str, error.errors()[0]['loc']))!r} is missing or has a wrong type"
        except Exception as error:
            reason = repr(error)
        log.warning("An invalid message %r of a visitor of the page was ignored: %s", name, shorten(reason))
        return None

    return handle_message


def receive_event(_: str, message: Any) -> None:
    """Call the handler of an event. Events of elements that have been deleted are ignored."""
    event = Event.model_validate(message)
    client = Client.instances.get(event.client_id)
    element = client.elements.get(event.id) if client and client.has_socket_connection else None
    listener = element._event_listeners.get(event.listener_id) if element else None
    if client is None or element is None or listener is None or element is client.layout:
        return  # the listeners of the layout are for NiceGUI's sub pages, which Lectern does not use
    values = [None if argument is None else json.loads(argument) for argument in event.args]
    if listener.type.startswith(VALUE_CHANGE) and not (len(values) == 1 and is_possible_value(element, values[0])):
        raise InvalidMessage(f"{type(element).__name__} cannot have the value {shorten(repr(values))}")
    client.handle_event(event.model_dump())


def is_possible_value(element: Element, value: Any) -> bool:
    """Return whether a visitor can choose or enter `value` with an element of the page."""
    match element:
        case ui.select():
            index = value.get("value") if isinstance(value, dict) else None
            return type(index) is int and 0 <= index < len(element.options)
        case ui.tabs() | ui.tab_panels():
            return value in [child.props["name"] for child in element]
        case ui.input():  # ui.textarea is a subclass
            return value is None or isinstance(value, str)
        case ui.checkbox() | ui.expansion():
            return isinstance(value, bool)
    return False
