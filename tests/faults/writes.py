"""Call a function before each write of a process. The function can kill the process or let the write fail."""

import itertools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

# names of audit events of Python; os.replace raises the event os.rename
FILE_EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir")
CHANGES = ("INSERT", "UPDATE", "DELETE", "CREATE", "ALTER")
IGNORED = (".pyc", ".db", ".db-journal", ".db-wal", ".db-shm", ".lock")  # SQLite and locks write these files

Act = Callable[[str], None]  # a function that receives a description of the write


def is_file_write(name: str, arguments: tuple[Any, ...]) -> bool:
    """Return whether an audit event of Python is a file operation that changes files."""
    if name == "open":
        _, mode, flags = arguments
        return bool(set(mode or "") & set("wax+")) or (mode is None and bool(flags & (os.O_WRONLY | os.O_RDWR)))
    return name in FILE_EVENTS


def before_file_writes(folder: Path, act: Act) -> None:
    """Call `act` before each file operation that changes a file in the folder, and before each fsync."""
    inside, sync = str(folder), os.fsync

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if (name == "open" or name in FILE_EVENTS) and isinstance(arguments[0], str | Path):
            path = os.path.abspath(arguments[0])
            if path.startswith(inside) and not path.endswith(IGNORED) and is_file_write(name, arguments):
                act(f"{name} {path}")

    def fsync(descriptor: int) -> None:
        act("fsync")
        sync(descriptor)

    os.fsync = fsync
    sys.addaudithook(hook)


def before_store_writes(act: Act) -> None:
    """Call `act` before each statement that changes a database, and before each commit of such statements."""

    @event.listens_for(Engine, "before_cursor_execute")
    def before_statement(connection, _cursor, statement: str, *_) -> None:
        if statement.lstrip().upper().startswith(CHANGES):
            act(statement.split("(")[0])
            connection.info["changed"] = True

    @event.listens_for(Engine, "commit")
    def before_commit(connection) -> None:
        if connection.info.pop("changed", False):
            act("COMMIT")


def numbered(act: Callable[[int, str], None]) -> Act:
    """Return a function that numbers the writes, starting at 1."""
    numbers = itertools.count(1)
    return lambda write: act(next(numbers), write)
