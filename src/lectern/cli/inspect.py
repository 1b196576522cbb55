"""Commands that look and change nothing: experiments, what is registered, what was decided."""

from fnmatch import fnmatch
from typing import Annotated

import typer

from lectern.cli.completion import complete_experiments
from lectern.cli.output import Json, Name, connect, show_table

Pattern = Annotated[
    str, typer.Argument(help="which, as a shell pattern: 'demo-*'", autocompletion=complete_experiments)
]

LOOK = "Look"


def add_to(app: typer.Typer) -> None:
    app.command(rich_help_panel=LOOK)(experiments)
    app.command(rich_help_panel=LOOK)(store)
    group = typer.Typer(help="What is registered.", no_args_is_help=True)
    for name, command in {"list": list_models, "show": show, "history": history}.items():
        group.command(name)(command)
    app.add_typer(group, name="registry", rich_help_panel=LOOK)


def experiments(pattern: Pattern = "*", as_json: Json = False) -> None:
    """What the experiments of dvc.yaml reached, beside their baselines, and the versions they became.

    Example: lectern experiments 'mnist-*'
    """
    from lectern.registry.overview import experiment_summary
    from lectern.stages.experiments import list_experiments

    client = connect()
    rows = [experiment_summary(client, paths) for paths in list_experiments() if fnmatch(paths.experiment, pattern)]
    show_table(rows, as_json, f"No experiment in dvc.yaml is called {pattern}.")


def store() -> None:
    """The address of the tracking store, as `make ui` hands it to MLflow.

    Example: mlflow ui --backend-store-uri "$(lectern store)"
    """
    from lectern.tracking import store as runs

    print(runs.store_address())


def list_models(
    as_json: Json = False,
    names: Annotated[str | None, typer.Option(help="print only the names that match a shell pattern")] = None,
) -> None:
    """Every model with its champion and challenger.

    Example: lectern registry list --json
    """
    from lectern.registry import versions

    client = connect()
    if names:
        print("\n".join(name for name in versions.names(client) if fnmatch(name, names)))
        return
    models = [summary(client, versions, name) for name in versions.names(client)]
    show_table(models, as_json, "Nothing is registered yet: dvc repro, or make demo.")


def summary(client, versions, name: str) -> dict:
    """A model in a row of the table."""
    known = versions.aliases(client, name)
    champion = versions.get_version(client, name, versions.CHAMPION) if versions.CHAMPION in known else None
    return {
        "model": name,
        "versions": len(versions.versions(client, name)),
        "champion": f"{champion.version} ({champion.tags['lectern.experiment']})" if champion else None,
        "score": round(versions.numeric_tag(champion, "score"), 4) if champion else None,
        "baseline": round(versions.numeric_tag(champion, "baseline"), 4) if champion else None,
        "challenger": known.get(versions.CHALLENGER),
    }


def show(name: Name, as_json: Json = False) -> None:
    """Every version of a model, the newest first.

    Example: lectern registry show mnist
    """
    from lectern.registry import versions

    client = connect()
    known = versions.aliases(client, name)
    cut = None if as_json else 8  # of a digest: enough to tell two apart
    rows = [
        {
            "version": int(version.version),
            "experiment": version.tags["lectern.experiment"],
            "score": round(versions.numeric_tag(version, "score"), 4),
            "baseline": round(versions.numeric_tag(version, "baseline"), 4),
            "test data": version.tags["lectern.test_digest"][:cut],
            "weights": version.tags["lectern.weights"][:cut],
            "alias": ", ".join(alias for alias, number in known.items() if number == str(version.version)),
        }
        for version in versions.versions(client, name)
    ]
    show_table(rows, as_json, f"{name} has no version.")


def history(name: Name, as_json: Json = False) -> None:
    """Every decision on a model, from the trail.

    Example: lectern registry history mnist
    """
    from lectern.registry import audit_log

    client = connect()
    decisions = audit_log.read_decisions(client, name)
    if not decisions:
        check_name(client, name)
    rows = [
        {
            "when": line["when"][:19].replace("T", " "),
            "who": f"{line['who']['user']} on {line['who']['host']}",
            "action": line["action"],
            "from": told(line["from"]),
            "to": told(line["to"]),
            "why": why(line),
        }
        for line in decisions
    ]
    show_table(decisions if as_json else rows, as_json, f"Nothing has been decided on {name} yet.")


def told(version: dict | None) -> str | None:
    """A version of the trail in a few words."""
    return f"{version['version']} ({version['experiment']}, {float(version['score']):.4f})" if version else None


def why(line: dict) -> str | None:
    """What the gate found, in short: the comparison with the champion, or why nobody listened to it."""
    if "forced" in line:
        return f"forced: {line['forced']}"
    rules = line.get("rules", [])
    return next((rule["reason"] for rule in rules if rule["name"].startswith("better than")), None)


def check_name(client, name: str) -> None:
    """Raises UserError with the nearest name for a model that is not there."""
    from lectern.registry import versions

    versions.aliases(client, name)
