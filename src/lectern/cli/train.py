"""Define the commands that train on a cluster or search for better hyperparameters."""

import signal
from typing import TYPE_CHECKING, Annotated

import typer

from lectern.cli.durations import parse_duration
from lectern.errors import UserError

if TYPE_CHECKING:  # importing Optuna and PyTorch takes seconds
    from lectern.sweeps.search import Outcome

PANEL = "Train on a cluster and search hyperparameters"


def register_commands(app: typer.Typer) -> None:
    # options after COMMAND, such as -m, are options of COMMAND
    passed_on = {"ignore_unknown_options": True, "allow_interspersed_args": False}
    for command in (submit, launch):
        app.command(context_settings=passed_on, rich_help_panel=PANEL)(command)
    app.command(rich_help_panel=PANEL)(sweep)
    app.command("train", rich_help_panel=PANEL)(train_experiment)


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
    """Run a command with the value of the environment variable LAUNCH as a prefix.

    dvc.yaml starts trainings with `lectern launch`.

    Example: LAUNCH="env OMP_NUM_THREADS=2" lectern launch python pipelines/train.py dataset=mnist model=digits_cnn
    """
    from lectern.cluster import launch as launcher

    launcher.launch(words)


def train_experiment(
    experiment: Annotated[str, typer.Argument(help="name of an experiment in experiments.yaml, such as mnist-cnn")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="further arguments of the train stage, such as seed=8")
    ] = None,
    debug: Annotated[
        str | None, typer.Option(help="preset of a debug run: smoke, overfit or profile, a file in conf/debug")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(help="name of the training budget, laptop or full; the default is `budget` in params.yaml"),
    ] = None,
) -> None:
    """Train an experiment outside the pipeline of DVC, for example to find mistakes in a new model.

    The model folder is written to the folder runs/. With --debug, no model folder is written and nothing is recorded.

    Example: lectern train mnist-cnn --debug smoke
    """
    import subprocess
    import sys

    words, _ = training_overrides(experiment, budget)
    words += [f"debug={debug}"] if debug else []
    ended = subprocess.run([sys.executable, "pipelines/train.py", *words, *(overrides or [])])
    raise typer.Exit(ended.returncode)


def sweep(
    experiment: Annotated[str, typer.Argument(help="name of an experiment in experiments.yaml, such as mnist-cnn")],
    trials: Annotated[
        int, typer.Option(min=1, help="total number of trials, including the trials of earlier searches")
    ] = 20,
    parallel: Annotated[int, typer.Option(min=1, help="number of trainings that run at the same time")] = 1,
    time: Annotated[
        str | None, typer.Option(help="duration after which no new trial starts, such as 90m or 1h30m")
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(
            min=2, help="number of further seeds for the comparison of the best values with the config's values"
        ),
    ] = 3,
    budget: Annotated[
        str | None,
        typer.Option(help="name of the training budget, laptop or full; the default is `budget` in params.yaml"),
    ] = None,
) -> None:
    """Search for better values of the hyperparameters in conf/sweep/<model>.yaml.

    At the end, the best trial and the values in the config are trained again with further seeds. If the improvement by
    the best trial is larger than the noise, its values are written to conf/model/<model>.yaml.

    Example: TRAINER=cluster LAUNCH="lectern submit" lectern sweep mnist-cnn --trials 50 --parallel 8 --time 2h
    """
    seconds = float("inf") if time is None else parse_duration(time, "--time")
    from lectern.stages.stage import Interrupted
    from lectern.sweeps.search import Search, print_line
    from lectern.sweeps.trial_loop import Limits

    overrides, sharers = training_overrides(experiment, budget)
    try:
        outcome = Search(experiment, overrides).run(Limits(trials, parallel, seconds, seeds), print_line)
    except KeyboardInterrupt as error:
        number = error.args[0] if isinstance(error, Interrupted) else signal.SIGINT
        print_line(
            f"lectern: stopped by {number.name}. No values were written. Run the same command again to continue."
        )
        raise typer.Exit(128 + number) from error
    print_outcome(outcome, overrides, sharers)


def print_outcome(outcome: "Outcome", overrides: list[str], sharers: list[str]) -> None:
    """Print the best trial of a search, its comparison with the values in the config, and what to do next."""
    from lectern.artifacts.paths import group_config

    baseline, best, comparison = outcome.baseline, outcome.best, outcome.comparison
    if best is None or comparison is None:
        print(
            "No trial was better than the values in the config. "
            f"Trial {baseline.number} used the values in the config; its result is {baseline.value:.5g}."
        )
        return
    model = next(word.removeprefix("model=") for word in overrides if word.startswith("model="))
    path = group_config("model", model)
    print(
        f"The best trial is trial {best.number} with the result {best.value:.5g}. "
        f"Trial {baseline.number} used the values in the config; its result is {baseline.value:.5g}."
    )
    print(comparison.describe())
    if not outcome.is_written:
        print(f"{path} was not changed. To search further, increase --trials. To measure more precisely, use --seeds.")
        return
    print(f"The values of trial {best.number} were written to {path}; see `git diff {path}`.")
    print(
        f"These experiments must be trained again: {', '.join(sharers)}. To undo the change, run `git checkout {path}`."
    )


def training_overrides(experiment: str, budget: str | None) -> tuple[list[str], list[str]]:
    """Return the arguments of an experiment's train stage, and the experiments that use the same model config."""
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
