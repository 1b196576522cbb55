"""Commands that decide: promote, rollback, reconcile; and those that check what was decided."""

from dataclasses import asdict
from typing import Annotated

import typer

from lectern.cli.completion import complete_versions
from lectern.cli.output import Json, Name, connect, print_json, show_table
from lectern.errors import CheckFailed

Model = Annotated[
    str,
    typer.Argument(help="a model and a version or alias: mnist@champion, mnist@3", autocompletion=complete_versions),
]


def add_to(app: typer.Typer) -> None:
    for command in (promote, rollback, reconcile, lineage, verify):
        app.command(rich_help_panel="Decide and check")(command)


def promote(
    name: Name,
    version: Annotated[str | None, typer.Option(help="a version's number; the challenger without it")] = None,
    force: Annotated[str | None, typer.Option(help="promote whatever the gate says; the reason is kept")] = None,
    as_json: Json = False,
) -> None:
    """Put a version through the gate and make it the champion; exit code 3 where the gate refuses it.

    Example: lectern promote mnist --version 3

    Example: lectern promote mnist --force "the only one trained on the corrected labels"
    """
    from lectern.registry.scoring_process import scoring_worker

    try:
        with scoring_worker() as ask:
            from lectern.registry import gate, promotion  # seconds, while the process beside imports its own

            new, rules = promotion.promote(connect(), name, version, force, ask)
    except CheckFailed as refusal:
        if as_json:
            print_json({"model": name, "promoted": False, "rules": [asdict(rule) for rule in refusal.answers]})
        raise
    if as_json:
        told = {**tell(name, new), "promoted": bool(rules)}
        print_json({**told, "rules": [asdict(rule) for rule in rules]})
        return
    if rules:
        print("\n".join(gate.format_rules(rules)))
    still = "is the champion." if rules else "is the champion already, and no other version challenges it."
    print(f"{name}: version {new.version} ({new.tags['lectern.experiment']}) {still}")


def rollback(
    name: Name,
    version: Annotated[str | None, typer.Option(help="one that has been champion; without it the last before")] = None,
    as_json: Json = False,
) -> None:
    """Make the champion before this one, or an earlier one, the champion again.

    Example: lectern rollback mnist

    Example: lectern rollback mnist --version 2
    """
    from lectern.registry import promotion

    new = promotion.rollback(connect(), name, version)
    if as_json:
        print_json(tell(name, new))
        return
    print(f"{name}: version {new.version} ({new.tags['lectern.experiment']}) is the champion again.")


def tell(name: str, version) -> dict:
    """A version for a script."""
    return {"model": name, "version": int(version.version), "experiment": version.tags["lectern.experiment"]}


def reconcile(as_json: Json = False) -> None:
    """Write back to the tracking store what the outs of DVC's stages and the trail know and it does not.

    Example: MLFLOW_TRACKING_URI=http://mlflow.example.org lectern reconcile
    """
    from lectern.registry import reconcile

    done = reconcile.reconcile(connect(tell=False))
    if as_json:
        print_json(done)
        return
    print("\n".join(done) if done else "Nothing was missing.")


def lineage(model: Model, as_json: Json = False) -> None:
    """Print the chain from source addresses to the version, each link checked now; exit code 3 where one is broken.

    Example: lectern lineage mnist@champion
    """
    from lectern.registry import lineage, versions

    client = connect()
    links = lineage.trace(client, versions.find_named(client, model))
    if as_json:
        print_json([as_answer(link) for link in links])
    else:
        rows = [{"link": link.name, "value": link.value, "holds": link.holds} for link in links]
        show_table(rows, False, f"{model} has no links.")
    broken = sum(bool(link.broken) for link in links)
    if broken:
        raise CheckFailed(f"{broken} of {len(links)} links of {model} do not hold.")


def as_answer(link) -> dict:
    """A link for a script; `holds` is null where nobody was asked."""
    holds = not link.broken if link.checked else None
    return {"link": link.name, "value": link.value, "holds": holds, "why": link.broken}


def verify(model: Model, as_json: Json = False) -> None:
    """Score a registered version again, from its own files and the test data here, and compare with its record.

    Exit code 3 where it is another score.

    Example: lectern verify mnist@champion
    """
    from lectern.registry import gate, versions

    client = connect()
    version = versions.find_named(client, model)
    recorded, (measured, same) = versions.numeric_tag(version, "score"), gate.rescore_version(client, version)
    if as_json:
        print_json({**tell(version.name, version), "recorded": recorded, "measured": measured, "same": same})
    else:
        print(f"{model}: recorded {recorded:.6f}, measured now {measured:.6f}")
    if not same:
        raise CheckFailed(f"{model} does not give the score that was recorded for it.")
