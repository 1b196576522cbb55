"""`lectern ...`: words typed to what the registry and the rooms do, and tables back."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from lectern.errors import UserError
from lectern.rooms import has_leg, leg, rooms

app = typer.Typer(
    help="Promote, ask and look after the models that `dvc repro` makes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
registry_app = typer.Typer(help="What is registered.", no_args_is_help=True)
app.add_typer(registry_app, name="registry")

Name = Annotated[str, typer.Argument(help="a registered model, named after its data set: mnist")]
Json = Annotated[bool, typer.Option("--json", help="print JSON for a script")]


@app.command()
def promote(
    name: Name,
    version: Annotated[str | None, typer.Option(help="a version's number; the challenger without it")] = None,
) -> None:
    """Put a version through the gate and make it the champion.

    Example: lectern promote mnist --version 3
    """
    from lectern import promotion

    new, rules = promotion.promote(connect(), name, version)
    for rule in rules:
        print(f"  yes  {rule.name}: {rule.reason}")
    print(f"{name}: version {new.version} ({new.tags['lectern.experiment']}) is the champion.")


@app.command()
def rollback(name: Name) -> None:
    """Make the champion before this one the champion again.

    Example: lectern rollback mnist
    """
    from lectern import promotion

    before = promotion.rollback(connect(), name)
    print(f"{name}: version {before.version} ({before.tags['lectern.experiment']}) is the champion again.")


@app.command()
def reconcile() -> None:
    """Write back to the tracking store what the outs of DVC's stages and the trail know and it does not."""
    from lectern import reconcile

    done = reconcile.reconcile(connect())
    print("\n".join(done) if done else "Nothing was missing.")


@registry_app.command("list")
def list_models(as_json: Json = False) -> None:
    """Every model with its champion and challenger."""
    from lectern import registry

    client = connect()
    warn_of_missing(client)
    models = [summary(client, registry, name) for name in registry.names(client)]
    if as_json:
        print(json.dumps(models))
        return
    table = Table("model", "versions", "champion", "score", "floor", "challenger")
    for model in models:
        table.add_row(*(str(model[column] if model[column] is not None else "-") for column in model))
    Console().print(table if models else "Nothing is registered yet: dvc repro, or make demo.")


def summary(client, registry, name: str) -> dict:
    """A model in a row of the table."""
    known = registry.aliases(client, name)
    champion = registry.get_version(client, name, registry.CHAMPION) if registry.CHAMPION in known else None
    return {
        "model": name,
        "versions": len(registry.versions(client, name)),
        "champion": f"{champion.version} ({champion.tags['lectern.experiment']})" if champion else None,
        "score": round(registry.figure(champion, "score"), 4) if champion else None,
        "floor": round(registry.figure(champion, "floor"), 4) if champion else None,
        "challenger": known.get(registry.CHALLENGER),
    }


@registry_app.command()
def show(name: Name, as_json: Json = False) -> None:
    """Every version of a model, the newest first."""
    from lectern import registry

    client = connect()
    known = registry.aliases(client, name)
    rows = [
        {
            "version": int(version.version),
            "experiment": version.tags["lectern.experiment"],
            "score": round(registry.figure(version, "score"), 4),
            "floor": round(registry.figure(version, "floor"), 4),
            "test data": version.tags["lectern.test_digest"][:12],
            "weights": version.tags["lectern.weights"][:12],
            "alias": ", ".join(alias for alias, number in known.items() if number == str(version.version)),
        }
        for version in registry.versions(client, name)
    ]
    if as_json:
        print(json.dumps(rows))
        return
    table = Table(*rows[0], title=name)
    for row in rows:
        table.add_row(*map(str, row.values()))
    Console().print(table)


@registry_app.command()
def history(name: Name, as_json: Json = False) -> None:
    """Every decision on a model, from the trail."""
    from lectern import trail

    decisions = trail.read(name)
    if as_json:
        print(json.dumps(decisions))
        return
    table = Table("when", "who", "action", "from", "to", title=name)
    for line in decisions:
        ends = [
            f"{end['version']} ({end['experiment']}, {float(end['score']):.4f})" if end else "-"
            for end in (line["from"], line["to"])
        ]
        table.add_row(line["when"], line["who"]["user"], line["action"], *ends)
    Console().print(table if decisions else f"Nothing has been decided on {name} yet.")


def connect():
    """The store's client; only in a checkout, where the outs and the trail are."""
    from lectern import tracking

    if not Path("dvc.yaml").is_file():
        raise UserError(f"{Path.cwd()} is not the root of a Lectern checkout (no dvc.yaml here). Change to it first.")
    return tracking.connect()


def warn_of_missing(client) -> None:
    from lectern import reconcile

    lost = reconcile.missing(client)
    if lost:
        print(
            f"lectern: this store has no version of {', '.join(lost)}; bring them back: lectern reconcile",
            file=sys.stderr,
        )


def main() -> None:
    """Entry point: a user's mistake is a message and exit code 1."""
    for task in rooms():
        if has_leg(task, "commands"):
            leg(task, "commands").add_to(app)
    try:
        app()
    except UserError as error:
        sys.exit(f"lectern: {error}")
