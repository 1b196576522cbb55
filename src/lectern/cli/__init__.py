"""`lectern ...`: words typed to what the registry and the rooms do, and tables back."""

import sys

import typer

from lectern.cli import deciding, looking
from lectern.errors import UserError
from lectern.rooms import has_leg, leg, rooms

HELP = "Promote, ask and look after the models that `dvc repro` makes."
app = typer.Typer(help=HELP, no_args_is_help=True, pretty_exceptions_enable=False)
deciding.add_to(app)
looking.add_to(app)


def main() -> None:
    """Entry point: a user's mistake is a message and exit code 1."""
    for task in rooms():
        if has_leg(task, "commands"):
            leg(task, "commands").add_to(app)
    try:
        app()
    except UserError as error:
        sys.exit(f"lectern: {error}")
