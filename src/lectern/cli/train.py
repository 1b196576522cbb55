"""Commands that train somewhere else, or many times."""

import re
from typing import Annotated

import typer

from lectern.errors import UserError

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def add_to(app: typer.Typer) -> None:
    as_they_are = {"ignore_unknown_options": True, "allow_interspersed_args": False}  # -m is the training's
    app.command(context_settings=as_they_are, rich_help_panel="Train elsewhere, or many times")(submit)
    app.command(rich_help_panel="Train elsewhere, or many times")(sweep)


def submit(
    words: Annotated[list[str], typer.Argument(metavar="COMMAND", help="python pipelines/train.py ...")],
    cluster: Annotated[str | None, typer.Option(help="a file of conf/cluster; CLUSTER without it, or local")] = None,
) -> None:
    """Send a training, or another stage, to Slurm, show its log and wait for its end. Ctrl-C cancels it.

    Example: TRAINER=cluster LAUNCH="lectern submit" dvc repro train@mnist-cnn

    Example: lectern submit python pipelines/train.py -m dataset=mnist model=digits_cnn seed=1,2,3,4
    """
    from lectern.cluster import submit as submission

    submission.submit(words, cluster)


def sweep(
    experiment: Annotated[str, typer.Argument(help="an experiment of dvc.yaml: mnist-cnn")],
    trials: Annotated[int, typer.Option(help="how many trainings in all, those of earlier searches included")] = 20,
    parallel: Annotated[int, typer.Option(help="how many at once: jobs, where LAUNCH sends them")] = 1,
    time: Annotated[str | None, typer.Option(help="after which no new one begins: 90m, 2h")] = None,
    budget: Annotated[str | None, typer.Option(help="that of params.yaml without it")] = None,
) -> None:
    """Search better values for the keys in conf/sweep/<model>.yaml, and write the winner to conf/model/<model>.yaml.

    Example: TRAINER=cluster LAUNCH="lectern submit" lectern sweep mnist-cnn --trials 50 --parallel 8 --time 2h
    """
    from lectern.sweeps import apply_best
    from lectern.sweeps.mlflow_record import best_of
    from lectern.sweeps.search import Search, say

    words, sharers = training_of(experiment, budget)
    search = Search(experiment, words)
    best = best_of(search.run(trials, parallel, seconds(time), say))
    if best is None:
        raise UserError(f"No trial came to its end. Give it more --time, or see the logs in {search.folder}.")
    if best.user_attrs["values"] == search.own_values():
        print(f"Nothing better than the config was found: {best.value:.5g} in trial {best.number}.")
        return
    path = apply_best.write_back(search.plan.model.name, best.user_attrs["values"])
    print(f"The best is trial {best.number}, {best.value:.5g}. Its values stand in {path} now: git diff {path}")
    print(f"That makes stale: {', '.join(sharers)}. To keep them, commit; to drop them: git checkout {path}")


def training_of(experiment: str, budget: str | None) -> tuple[list[str], list[str]]:
    """What the train stage of an experiment is given, and the experiments that share its model."""
    import yaml

    from lectern.artifacts.paths import PARAMS
    from lectern.stages.experiments import get_experiment, read_experiments

    chosen = get_experiment(experiment)
    params = yaml.safe_load(PARAMS.read_text())
    words = [f"dataset={chosen.dataset}", f"model={chosen.model}", f"seed={params['seed']}"]
    sharers = [name for name, other in read_experiments().items() if other.model == chosen.model]
    return [*words, f"budget={budget or params['budget']}"], sharers


def seconds(time: str | None) -> float | None:
    """A length of time as people write it: 90s, 30m, 2h, 1d."""
    if time is None:
        return None
    found = re.fullmatch(r"([\d.]+)([smhd])", time)
    if not found:
        raise UserError(f"--time is {time!r}; a number and one of s, m, h, d is expected, as 90m or 2h.")
    return float(found[1]) * SECONDS[found[2]]
