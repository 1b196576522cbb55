"""Commands that decide: promote, rollback, reconcile; and those that check what was decided."""

from typing import Annotated

import typer

from lectern.cli.shared import Json, Name, connect, show_table
from lectern.errors import UserError

Model = Annotated[str, typer.Argument(help="a model and a version or alias: mnist@champion, mnist@3")]


def add_to(app: typer.Typer) -> None:
    for command in (promote, rollback, reconcile, lineage, verify):
        app.command()(command)


def promote(
    name: Name,
    version: Annotated[str | None, typer.Option(help="a version's number; the challenger without it")] = None,
    force: Annotated[str | None, typer.Option(help="promote whatever the gate says; the reason is kept")] = None,
) -> None:
    """Put a version through the gate and make it the champion.

    Example: lectern promote mnist --version 3
    """
    from lectern import promotion

    new, rules = promotion.promote(connect(), name, version, force)
    print("\n".join(promotion.tell(rules)))
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


def lineage(model: Model, as_json: Json = False) -> None:
    """Print the chain from source addresses to the version, each link checked now; exit code 1 where one is broken.

    Example: lectern lineage mnist@champion
    """
    from lectern import lineage, registry

    client = connect()
    links = lineage.trace(client, registry.find_named(client, model))
    rows = [{"link": link.name, "value": link.value, "holds": link.holds} for link in links]
    show_table(rows, as_json, f"{model} has no links.")
    broken = sum(bool(link.broken) for link in links)
    if broken:
        raise UserError(f"{broken} of {len(links)} links of {model} do not hold.")


def verify(model: Model) -> None:
    """Score a registered version again, from its own files and the test data here, and compare with its record.

    Example: lectern verify mnist@champion
    """
    from lectern import examination, registry

    client = connect()
    version = registry.find_named(client, model)
    recorded, measured = registry.figure(version, "score"), examination.score_version(client, version)
    print(f"{model}: recorded {recorded:.6f}, measured now {measured:.6f}")
    if abs(recorded - measured) > examination.TOLERANCE * max(1.0, abs(recorded)):
        raise UserError(f"{model} does not give the score that was recorded for it.")
