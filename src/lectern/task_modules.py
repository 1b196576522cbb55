"""A task's name and a leg of the journey to the room's module: the hall's only way into a room."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from lectern.errors import UserError


def task_names() -> list[str]:
    """Return the names of the tasks, which are the packages in `tasks/`."""
    return sorted(path.parent.name for path in Path(__file__).parent.glob("tasks/*/__init__.py"))


def task_module(task: str, name: str) -> ModuleType:
    """The module `lectern.<task>.<name>`.

    Raises UserError for a task that has no room; a room that lacks the leg is our own mistake, an ImportError.
    """
    if task not in task_names():
        raise UserError(f"There is no task {task!r}. The tasks are: {', '.join(task_names())}.")
    return import_module(f"lectern.tasks.{task}.{name}")


def has_task_module(task: str, name: str) -> bool:
    """Whether the room offers an optional leg."""
    return task in task_names() and find_spec(f"lectern.tasks.{task}.{name}") is not None
