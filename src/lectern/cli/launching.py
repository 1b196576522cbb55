"""Commands that train somewhere else, or many times."""

from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    words = {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}
    app.command(context_settings=words)(submit)


def submit(
    context: typer.Context,
    cluster: Annotated[str | None, typer.Option(help="a file of conf/cluster; CLUSTER without it, or local")] = None,
) -> None:
    """Send a training to Slurm, show its log and wait for its end. Ctrl-C cancels it.

    Example: TRAINER=cluster LAUNCH="lectern submit" dvc repro train@mnist-cnn

    Example: lectern submit python pipelines/train.py -m dataset=mnist model=digits_cnn seed=1,2,3,4
    """
    from lectern.cluster import submission

    submission.submit(context.args, cluster)
