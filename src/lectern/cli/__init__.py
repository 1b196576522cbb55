"""Define the command line `lectern ...`."""

import sys
from functools import cache
from io import TextIOWrapper
from typing import NoReturn

import typer

from lectern.atomic import explain_write_error
from lectern.cli import add, compare, inspect, promote, serve, train
from lectern.errors import UserError, print_message
from lectern.task_modules import has_task_module, task_module, task_names

HELP = "Promote, inspect and serve the models that `dvc repro` trains."
EXIT_CODES = (
    "Exit codes: Exit code 0 means success. Exit code 1 means an error, which the printed message explains. "
    "Exit code 2 means wrong arguments. Exit code 3 means that a check of the gate, the lineage or the score failed. "
    "Exit code 4 means that another process promoted a version of the same model at the same time."
)
app = typer.Typer(help=HELP, epilog=EXIT_CODES, no_args_is_help=True, pretty_exceptions_enable=False)
for commands in (promote, inspect, compare, serve, train, add):
    commands.register_commands(app)


@cache
def full_app() -> typer.Typer:
    """Return the Typer app with the general commands and the commands of all tasks."""
    for task in task_names():
        if has_task_module(task, "commands"):
            task_module(task, "commands").register_commands(app)
    for command in app.registered_commands:
        command.rich_help_panel = command.rich_help_panel or "Commands of one task"
    return app


def main() -> None:
    """Run the command line.

    For an error that the user can fix, print the error message and exit with the code of the error.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names can contain bytes that are not UTF-8
    try:
        full_app()()
    except UserError as error:
        exit_with_message(error)
    except Exception as error:
        from lectern.tracking.refusals import explain_refusal

        write_error = explain_write_error(error) if isinstance(error, OSError) else None
        explained = explain_refusal(error) or (UserError(write_error) if write_error else None)
        if explained is None:
            raise
        exit_with_message(explained)


def exit_with_message(error: UserError) -> NoReturn:
    print_message(str(error))
    sys.exit(error.code)
