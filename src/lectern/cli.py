"""`lectern ...`: words typed to what the registry and the rooms do, and tables back."""

import json
import sys
from fnmatch import fnmatch
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
    still = "is the champion." if rules else "is the champion already, and no other version challenges it."
    print(f"{name}: version {new.version} ({new.tags['lectern.experiment']}) {still}")


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


@app.command()
def experiments(
    pattern: Annotated[str, typer.Argument(help="which, as a shell pattern: 'demo-*'")] = "*", as_json: Json = False
) -> None:
    """What the experiments of dvc.yaml reached, beside their floors, and the versions they became."""
    from lectern import reconcile

    client = connect()
    rows = [reconcile.summary(client, outs) for outs in reconcile.experiments() if fnmatch(outs.experiment, pattern)]
    show_table(rows, as_json, f"No experiment in dvc.yaml is called {pattern}.")


@app.command()
def store() -> None:
    """The address of the tracking store, as `make ui` hands it to MLflow."""
    from lectern import tracking

    print(tracking.store_address())


@registry_app.command("list")
def list_models(
    as_json: Json = False,
    names: Annotated[str | None, typer.Option(help="print only the names that match a shell pattern")] = None,
) -> None:
    """Every model with its champion and challenger."""
    from lectern import registry

    client = connect()
    warn_of_missing(client)
    if names:
        print("\n".join(name for name in registry.names(client) if fnmatch(name, names)))
        return
    models = [summary(client, registry, name) for name in registry.names(client)]
    show_table(models, as_json, "Nothing is registered yet: dvc repro, or make demo.")


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
    show_table(rows, as_json, f"{name} has no version.")


@registry_app.command()
def history(name: Name, as_json: Json = False) -> None:
    """Every decision on a model, from the trail."""
    from lectern import trail

    decisions = trail.read(name)
    rows = [
        {
            "when": line["when"],
            "who": line["who"]["user"],
            "action": line["action"],
            "from": told(line["from"]),
            "to": told(line["to"]),
        }
        for line in decisions
    ]
    show_table(decisions if as_json else rows, as_json, f"Nothing has been decided on {name} yet.")


def told(version: dict | None) -> str | None:
    """A version of the trail in a few words."""
    return f"{version['version']} ({version['experiment']}, {float(version['score']):.4f})" if version else None


def show_table(rows: list[dict], as_json: bool, nothing: str) -> None:
    """Rows of the same keys as a table, or as JSON for a script."""
    if as_json:
        print(json.dumps(rows))
    elif rows:
        table = Table(*(column.replace("_", " ") for column in rows[0]))
        for row in rows:
            table.add_row(*("-" if value is None else str(value) for value in row.values()))
        Console().print(table)
    else:
        print(nothing)


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
