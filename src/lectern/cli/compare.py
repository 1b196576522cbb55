"""Define the commands that compare and share experiments with DVC."""

from pathlib import Path
from typing import Annotated

import typer

from lectern.cli.completion import complete_experiments
from lectern.cli.output import Json, show_table

PANEL = "Compare and share experiments"


def register_commands(app: typer.Typer) -> None:
    for command in (runs, plots, report, pull):
        app.command(rich_help_panel=PANEL)(command)


def runs(
    all_commits: Annotated[
        bool, typer.Option("--all-commits", help="also show the runs that started from earlier commits")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the runs of `dvc exp run`, each with its score, the baseline and what was changed.

    Example: lectern runs --all-commits
    """
    from lectern.revisions.experiment_table import list_runs

    rows = list_runs(*(["--all-commits"] if all_commits else []))
    example = "dvc exp run -S conf/model/digits_cnn.yaml:module.learning_rate=0.01 register@mnist-cnn"
    show_table(rows, as_json, f"The workspace equals the commit, and there are no runs. To start a run: {example}")


def plots() -> None:
    """Write plots/dvc.yaml, from which `dvc plots show` draws the plots of all experiments.

    Example: lectern plots && dvc plots show
    """
    from lectern.artifacts.paths import PLOTS
    from lectern.stages.dvc_plots import write_plots

    write_plots()
    print(f"Wrote {PLOTS}. To draw the plots, run `dvc plots show`, or `dvc plots diff` for two commits.")


def report(
    base: Annotated[str, typer.Argument(help="commit, branch or tag to compare with, such as main")],
    head: Annotated[str, typer.Argument(help="commit, branch or tag with the new results")] = "HEAD",
    output: Annotated[Path, typer.Option(help="folder for report.md and its pictures")] = Path("runs/report"),
) -> None:
    """Write a Markdown report about the experiments that differ between two commits, for a pull request.

    The report contains the metrics, the confidence interval of the difference in score, what changed, the result of the
    promotion gate and the learning curves.

    Example: lectern report main my-branch --output report
    """
    from lectern.revisions.report import write_report

    print(f"Wrote {write_report(base, head, output)}")


def pull(
    experiments: Annotated[
        list[str],
        typer.Argument(help="names of experiments, such as mnist-cnn", autocompletion=complete_experiments),
    ],
    remote: Annotated[str | None, typer.Option(help="name of a DVC remote; the default is the default remote")] = None,
) -> None:
    """Fetch the model, the report, the card and the processed data of experiments from a DVC remote.

    The raw data is not fetched, and no stage runs. `lectern reconcile` then registers the fetched models.

    Example: lectern pull mnist-cnn && lectern reconcile
    """
    from lectern.revisions.pull import pull_experiment

    for experiment in experiments:
        for message in pull_experiment(experiment, *(["--remote", remote] if remote else [])):
            print(message)
