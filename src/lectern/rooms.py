"""A task's name and a leg of the journey to the room's module: the hall's only way into a room."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from lectern.errors import UserError


def rooms() -> list[str]:
    """The tasks there are: folders of this package that know how to preprocess."""
    return sorted(path.parent.name for path in Path(__file__).parent.glob("*/preprocess.py"))


def leg(task: str, name: str) -> ModuleType:
    """The module `lectern.<task>.<name>`.

    Raises UserError for a task that has no room; a room that lacks the leg is our own mistake, an ImportError.
    """
    if task not in rooms():
        raise UserError(f"There is no task {task!r}. The tasks are: {', '.join(rooms())}.")
    return import_module(f"lectern.{task}.{name}")


def has_leg(task: str, name: str) -> bool:
    """Whether the room offers an optional leg."""
    return task in rooms() and find_spec(f"lectern.{task}.{name}") is not None
