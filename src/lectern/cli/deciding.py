"""Commands that decide: promote, rollback, reconcile; and those that check what was decided."""

from typing import Annotated

import typer

from lectern.cli.shared import Json, Name, connect, show_table
from lectern.errors import UserError


def add_to(app: typer.Typer) -> None:
    for command in (promote, rollback, reconcile, lineage):
        app.command()(command)


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


def rollback(name: Name) -> None:
    """Make the champion before this one the champion again.

    Example: lectern rollback mnist
    """
    from lectern import promotion

    before = promotion.rollback(connect(), name)
    print(f"{name}: version {before.version} ({before.tags['lectern.experiment']}) is the champion again.")


def reconcile() -> None:
    """Write back to the tracking store what the outs of DVC's stages and the trail know and it does not."""
    from lectern import reconcile

    done = reconcile.reconcile(connect())
    print("\n".join(done) if done else "Nothing was missing.")


def lineage(
    model: Annotated[str, typer.Argument(help="a model and a version or alias: mnist@champion, mnist@3")],
    as_json: Json = False,
) -> None:
    """Print the chain from source addresses to the version, each link checked now; exit code 1 where one is broken.

    Example: lectern lineage mnist@champion
    """
    from lectern import lineage, registry

    client = connect()
    name, _, which = model.partition("@")
    links = lineage.trace(client, registry.get_version(client, name, which or registry.CHAMPION))
    rows = [{"link": link.name, "value": link.value, "holds": link.broken or "yes"} for link in links]
    show_table(rows, as_json, f"{model} has no links.")
    broken = sum(bool(link.broken) for link in links)
    if broken:
        raise UserError(f"{broken} of {len(links)} links of {model} do not hold.")
