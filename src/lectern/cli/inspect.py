"""Define the commands that show experiments, registered models and promotion decisions. No command changes anything."""

from fnmatch import fnmatch
from typing import Annotated, Any

import typer

from lectern.cli.completion import complete_experiments
from lectern.cli.output import Json, Name, connect, open_model, print_text, print_warning, show_table

Pattern = Annotated[
    str,
    typer.Argument(
        help="shell pattern that selects the experiments by name, such as 'mnist-*'",
        autocompletion=complete_experiments,
    ),
]
PANEL = "Show experiments and models"
DIGEST_LENGTH = 8  # number of characters of each digest in a table


def register_commands(app: typer.Typer) -> None:
    app.command(rich_help_panel=PANEL)(experiments)
    app.command(rich_help_panel=PANEL)(store)
    group = typer.Typer(help="Show registered models.", no_args_is_help=True)
    group.command("list")(list_models)
    group.command("show")(show_model)
    group.command("history")(show_history)
    app.add_typer(group, name="registry", rich_help_panel=PANEL)


def experiments(
    pattern: Pattern = "*",
    as_json: Json = False,
    names: Annotated[
        bool,
        typer.Option("--names", help="print only the names of the experiments, without opening the tracking store"),
    ] = False,
) -> None:
    """Show the scores, baselines and registered versions of the experiments in dvc.yaml.

    Example: lectern experiments 'mnist-*'

    Example: lectern experiments --names
    """
    from lectern.stages.experiments import list_experiments

    selected = [paths for paths in list_experiments() if fnmatch(paths.experiment, pattern)]
    if names:
        for paths in selected:
            print_text(paths.experiment)
        return
    client = connect()
    from lectern.registry.overview import config_problem, experiment_summary, outputs_problem, read_models

    models = read_models(client)
    rows = [experiment_summary(models, paths) for paths in selected]
    show_table(rows, as_json, f"No experiment in dvc.yaml matches {pattern!r}.")
    for paths in selected:
        if paths.is_complete() and (problem := outputs_problem(paths)):
            print_warning(f"{paths.experiment}: {problem}")
    for dataset in dict.fromkeys(paths.dataset for paths in selected):
        if problem := config_problem(dataset):
            print_warning(problem)
        for version in models[dataset].unreadable if dataset in models else ():
            print_warning(version.reason)


def store() -> None:
    """Print the address of the tracking store, and prepare a SQLite store so that MLflow can open it.

    The address can contain a password. Pass the address in a variable, because other users can see arguments.

    Example: MLFLOW_BACKEND_STORE_URI="$(lectern store)" mlflow ui
    """
    from lectern.tracking.sqlite_address import sqlite_file
    from lectern.tracking.store import connect, store_address

    if sqlite_file(store_address()):
        connect()
    print(store_address())


def list_models(
    as_json: Json = False,
    names: Annotated[
        str | None, typer.Option(help="print only the names of the models that match this shell pattern")
    ] = None,
) -> None:
    """Show every registered model with its champion and its challenger.

    Example: lectern registry list --json

    Example: lectern registry list --names 'sample_*'
    """
    client = connect()
    from lectern.registry.overview import config_problem, model_summary, read_models
    from lectern.registry.registered_model import NO_MODELS

    models = read_models(client).values()
    if names:
        for model in models:
            if fnmatch(model.name, names):
                print_text(model.name)
        return
    rows = [model_summary(model) for model in models]
    show_table(rows, as_json, NO_MODELS)
    for problem in filter(None, (config_problem(model.name) for model in models)):
        print_warning(problem)
    for version in (version for model in models for version in model.unreadable):
        print_warning(version.reason)


def show_model(name: Name, as_json: Json = False) -> None:
    """Show every version of a registered model, starting with the newest version.

    Example: lectern registry show mnist
    """
    model = open_model(name)
    from lectern.registry.overview import config_problem, version_summary

    length = None if as_json else DIGEST_LENGTH
    rows = [version_summary(model, version, length) for version in model.versions]
    show_table(rows, as_json, f"{name} has no readable version." if model.unreadable else f"{name} has no version.")
    if problem := config_problem(name):
        print_warning(problem)
    for version in model.unreadable:
        print_warning(version.reason)


def show_history(name: Name, as_json: Json = False) -> None:
    """Show all promotions, rollbacks and retirements of a registered model, as recorded in the audit log.

    Example: lectern registry history mnist
    """
    client = connect()
    from lectern.registry.audit_log import read_decisions, read_local_decisions
    from lectern.registry.registered_model import RegisteredModel, find_model

    model = find_model(client, name)
    decisions = read_decisions(model) if model else read_local_decisions(name)
    if not decisions:
        RegisteredModel(client, name)  # raises UserError if no model `name` is registered
    rows = [
        {
            "when": decision["when"][:19].replace("T", " "),
            "who": f"{decision['who']['user']} on {decision['who']['host']}",
            "action": decision["action"],
            "from": format_version(decision["from"]),
            "to": format_version(decision["to"]),
            "reason": format_reason(decision),
        }
        for decision in decisions
    ]
    show_table(decisions if as_json else rows, as_json, f"The audit log has no decision on {name} yet.")


def format_version(described: dict[str, Any] | None) -> str | None:
    """Format the description of a version in the audit log."""
    if described is None:
        return None
    return f"{described['version']} ({described['experiment']}, {float(described['score']):.4f})"


def format_reason(decision: dict[str, Any]) -> str | None:
    """Return why a version was promoted: the comparison with the champion, or the user's reason to ignore the gate."""
    if "forced" in decision:
        return f"forced: {decision['forced']}"
    rules = decision.get("rules", [])
    return next((rule["reason"] for rule in rules if rule["name"].startswith("better than")), None)
