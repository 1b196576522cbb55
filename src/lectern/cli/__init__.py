"""`lectern ...`: words typed to what the registry and the rooms do, and tables back."""

import sys
from functools import cache

import typer

from lectern.cli import inspect, promote, serve, train
from lectern.errors import UserError
from lectern.task_modules import has_task_module, task_module, task_names

HELP = "Promote, ask and look after the models that `dvc repro` makes."
CODES = (
    "Exit codes: 0 done; 1 it cannot be done, and the message says why; 2 wrong words on the command line; "
    "3 it was asked, and the answer is no (the gate, a link, a score); 4 another promotion came first."
)
app = typer.Typer(help=HELP, epilog=CODES, no_args_is_help=True, pretty_exceptions_enable=False)
promote.add_to(app)
inspect.add_to(app)
serve.add_to(app)
train.add_to(app)


@cache
def whole() -> typer.Typer:
    """With the commands that only a room has."""
    for task in task_names():
        if has_task_module(task, "commands"):
            task_module(task, "commands").add_to(app)
    for command in app.registered_commands:
        command.rich_help_panel = command.rich_help_panel or "Of one task"
    return app


def main() -> None:
    """Entry point: a user's mistake is a message and an exit code."""
    try:
        whole()()
    except UserError as error:
        print(f"lectern: {error}", file=sys.stderr)
        sys.exit(error.code)
