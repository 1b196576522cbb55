"""Define the commands that train on a cluster or search hyperparameters."""

import re
from typing import Annotated

import typer

from lectern.errors import UserError

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
PANEL = "Train on a cluster and search hyperparameters"


def register_commands(app: typer.Typer) -> None:
    # options after COMMAND, such as -m, are options of COMMAND
    passed_on = {"ignore_unknown_options": True, "allow_interspersed_args": False}
    for command in (submit, launch):
        app.command(context_settings=passed_on, rich_help_panel=PANEL)(command)
    app.command(rich_help_panel=PANEL)(sweep)


def submit(
    words: Annotated[
        list[str], typer.Argument(metavar="COMMAND", help="the command to run, such as python pipelines/train.py ...")
    ],
    cluster: Annotated[
        str | None,
        typer.Option(
            help="name of a file in conf/cluster without .yaml; the default is $CLUSTER, or local if CLUSTER is not set"
        ),
    ] = None,
) -> None:
    """Run a stage, such as a training, as a Slurm job.

    Print the log of the job and wait until the job has ended. Ctrl-C cancels the job.

    Example: TRAINER=cluster LAUNCH="lectern submit" dvc repro train@mnist-cnn

    Example: lectern submit python pipelines/train.py -m dataset=mnist model=digits_cnn seed=1,2,3,4
    """
    from lectern.cluster import submit as submission

    submission.submit(words, cluster)


def launch(
    words: Annotated[
        list[str], typer.Argument(metavar="COMMAND", help="the command to run, such as python pipelines/train.py ...")
    ],
) -> None:
    """Run a command with the words of the environment variable LAUNCH before the command.

    dvc.yaml starts trainings with `lectern launch`.

    Example: LAUNCH="env OMP_NUM_THREADS=2" lectern launch python pipelines/train.py dataset=mnist model=digits_cnn
    """
    from lectern.cluster import launch as launcher

    launcher.launch(words)


def sweep(
    experiment: Annotated[str, typer.Argument(help="name of an experiment in experiments.yaml, such as mnist-cnn")],
    trials: Annotated[int, typer.Option(help="total number of trials, including the trials of earlier searches")] = 20,
    parallel: Annotated[int, typer.Option(help="number of trials that run at the same time")] = 1,
    time: Annotated[
        str | None, typer.Option(help="duration after which no new trial starts, such as 90m or 2h")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(help="name of the training budget, laptop or full; the default is `budget` in params.yaml"),
    ] = None,
) -> None:
    """Search for better values of the hyperparameters in conf/sweep/<model>.yaml.

    The best values are written to conf/model/<model>.yaml.

    Example: TRAINER=cluster LAUNCH="lectern submit" lectern sweep mnist-cnn --trials 50 --parallel 8 --time 2h
    """
    from lectern.sweeps.apply_best import write_values
    from lectern.sweeps.mlflow_record import best_trial
    from lectern.sweeps.search import Search, print_line

    overrides, sharers = training_overrides(experiment, budget)
    search = Search(experiment, overrides)
    best = best_trial(search.run(trials, parallel, seconds(time), print_line))
    if best is None:
        raise UserError(f"No trial finished. Increase --time, or read the logs in {search.folder}.")
    if best.user_attrs["values"] == search.config_values():
        print(
            "No trial was better than the values in the config. "
            f"Trial {best.number} used the values in the config; its result is {best.value:.4f}."
        )
        return
    path = write_values(search.plan.model.name, best.user_attrs["values"])
    print(
        f"The best trial is trial {best.number} with the result {best.value:.4f}. "
        f"Its values were written to {path}; see `git diff {path}`."
    )
    print(
        f"These experiments must be trained again: {', '.join(sharers)}. To undo the change, run `git checkout {path}`."
    )


def training_overrides(experiment: str, budget: str | None) -> tuple[list[str], list[str]]:
    """Return the arguments of an experiment's train stage, and the names of all experiments with its model config."""
    from lectern.artifacts.mapping_file import read_mapping
    from lectern.artifacts.paths import PARAMS
    from lectern.stages.experiments import get_experiment, read_experiments

    chosen = get_experiment(experiment)
    params = read_mapping(PARAMS)
    if missing := {"seed", "budget"} - params.keys():
        raise UserError(
            f"{PARAMS} lacks {', '.join(sorted(missing))}. "
            f"Add the missing keys, or run `git checkout HEAD -- {PARAMS}`."
        )
    overrides = [f"dataset={chosen.dataset}", f"model={chosen.model}", f"seed={params['seed']}"]
    sharers = [name for name, other in read_experiments().items() if other.model == chosen.model]
    return [*overrides, f"budget={budget or params['budget']}"], sharers


def seconds(time: str | None) -> float | None:
    """Convert a duration such as 90s, 30m, 2h or 1d to seconds."""
    if time is None:
        return None
    match = re.fullmatch(r"([\d.]+)([smhd])", time)
    if not match:
        raise UserError(f"--time is {time!r}; expected a number followed by s, m, h or d, such as 90m or 2h.")
    return float(match[1]) * SECONDS[match[2]]
