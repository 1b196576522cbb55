"""Import modules of the package `lectern.tasks.<task>` by the name of the task."""

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from lectern.errors import UserError


@cache
def task_names() -> tuple[str, ...]:
    """Return the sorted names of the tasks, which are the packages in `tasks/`."""
    return tuple(sorted(path.parent.name for path in Path(__file__).parent.glob("tasks/*/__init__.py")))


def task_module(task: str, name: str) -> ModuleType:
    """Import `tasks.<task>.<name>` of this package, for example `task_module("digits", "report.evaluate")`.

    Raises UserError if the task does not exist. Raises ImportError if the task does not have the module.
    """
    if task not in task_names():
        raise UserError(f"Unknown task {task!r}. Available: {', '.join(task_names())}.")
    return import_module(f"{__package__}.tasks.{task}.{name}")


@cache
def has_task_module(task: str, name: str) -> bool:
    """Return whether the task has the optional module `tasks.<task>.<name>`."""
    return task in task_names() and find_spec(f"{__package__}.tasks.{task}.{name}") is not None
