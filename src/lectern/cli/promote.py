"""Define the commands that change the champion or check a registered version."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lectern.cli.completion import complete_versions
from lectern.cli.output import Json, Name, connect, open_model, print_json, print_text, show_table
from lectern.errors import CheckFailed

if TYPE_CHECKING:
    from lectern.registry.lineage_links import Link
    from lectern.registry.version_record import ModelVersionRecord

VersionName = Annotated[
    str,
    typer.Argument(
        help="name of a registered model with a version or an alias, such as mnist@3 or mnist@champion",
        autocompletion=complete_versions,
    ),
]


def register_commands(app: typer.Typer) -> None:
    for command in (promote, rollback, retire, reconcile, lineage, verify):
        app.command(rich_help_panel="Promote and check models")(command)


def promote(
    name: Name,
    version: Annotated[
        str | None, typer.Option(help="number of the version to promote; the default is the challenger")
    ] = None,
    force: Annotated[
        str | None,
        typer.Option(
            help="reason to promote the version even if it fails the promotion gate; the audit log records the reason"
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a version the champion if the version passes the promotion gate. If the version fails, the exit code is 3.

    Example: lectern promote mnist --version 3

    Example: lectern promote mnist --force "the only version trained on the corrected labels"
    """
    model = open_model(name)
    from lectern.registry.gate_rules import format_rules
    from lectern.registry.promotion import promote

    try:
        champion, rules = promote(model, version, force)
    except CheckFailed as failure:
        if as_json:
            print_json({"model": name, "promoted": False, "rules": [asdict(rule) for rule in failure.answers]})
        raise
    if as_json:
        print_json(describe(champion) | {"promoted": bool(rules), "rules": [asdict(rule) for rule in rules]})
        return
    ending = "is the champion" if rules else "is already the champion, and there is no challenger to promote"
    print_text("\n".join([*format_rules(rules), f"{champion} ({champion.experiment}) {ending}."]))


def rollback(
    name: Name,
    version: Annotated[
        str | None, typer.Option(help="number of an earlier champion; the default is the previous champion")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make the previous champion, or an earlier champion that --version selects, the champion again.

    Example: lectern rollback mnist

    Example: lectern rollback mnist --version 2
    """
    model = open_model(name)
    from lectern.registry.promotion import rollback

    champion = rollback(model, version)
    if as_json:
        print_json(describe(champion))
        return
    print_text(f"{champion} ({champion.experiment}) is the champion again.")


def retire(name: Name, as_json: Json = False) -> None:
    """Stop serving a model by removing the alias `champion`. All versions of the model stay registered.

    Example: lectern retire mnist
    """
    model = open_model(name)
    from lectern.registry.promotion import retire

    champion = retire(model)
    if as_json:
        print_json(describe(champion) | {"retired": True})
        return
    again = f"lectern promote {name} --version {champion.number}"
    print_text(f"{champion} ({champion.experiment}) is retired. To serve this version again, run `{again}`.")


def describe(version: "ModelVersionRecord") -> dict[str, Any]:
    """Return a version as the dictionary that `--json` prints."""
    return {"model": version.name, "version": version.number, "experiment": version.experiment}


def reconcile(as_json: Json = False) -> None:
    """Restore missing runs, versions and decisions in the tracking store from DVC's outputs and the audit log.

    Example: MLFLOW_TRACKING_URI=http://mlflow.example.org lectern reconcile
    """
    client = connect(warn=False)
    from lectern.registry.reconcile import reconcile

    messages = reconcile(client)
    if as_json:
        print_json(messages)
        return
    print_text("\n".join(messages) if messages else "Nothing was missing.")


def lineage(model: VersionName, as_json: Json = False) -> None:
    """Trace a version back to the sources of its data, and check each link of this lineage.

    If a link is broken, the exit code is 3.

    Example: lectern lineage mnist@champion
    """
    client = connect()
    from lectern.registry.lineage import trace
    from lectern.registry.versions import open_version

    links = trace(*open_version(client, model))
    if as_json:
        print_json([describe_link(link) for link in links])
    else:
        rows = [{"link": link.name, "value": link.value, "status": link.status} for link in links]
        show_table(rows, as_json, f"{model} has no links.")
    broken = sum(bool(link.broken) for link in links)
    if broken:
        raise CheckFailed(f"{broken} of {len(links)} links in the lineage of {model} are broken.")


def describe_link(link: "Link") -> dict[str, Any]:
    """Return a lineage link as the dictionary that `--json` prints. `intact` is null if the link was not checked."""
    intact = not link.broken if link.checked else None
    return {"link": link.name, "value": link.value, "intact": intact, "reason": link.broken or link.note}


def verify(model: VersionName, as_json: Json = False) -> None:
    """Score a version again, and compare the new score with the recorded score.

    If the scores differ, the exit code is 3.

    Example: lectern verify mnist@champion
    """
    client = connect()
    from lectern.registry.gate import rescore_version
    from lectern.registry.score_unit import read_score_unit
    from lectern.registry.versions import find_version

    version = find_version(client, model)
    measured, same = rescore_version(client, version)
    if as_json:
        print_json(describe(version) | {"recorded": version.score, "measured": measured, "same": same})
    else:
        unit = read_score_unit(version.name)
        print_text(f"{model}: the recorded score is {version.score:.4f}, and the new score is {measured:.4f} ({unit})")
    if not same:
        raise CheckFailed(f"{model} does not reproduce its recorded score.")
