"""Store the trials of a search in an Optuna study, so that a later search continues with the same trials."""

from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from lectern.sweeps.search_space import SearchSpace

VALUES = "values"  # trial attribute with the values for the config; Optuna's own parameters are not rounded


def open_study(folder: Path, mode: str, seed: int) -> optuna.Study:
    """Create the study in a folder, or load the study of an earlier search.

    Trials that were running when an earlier search was interrupted start again with the same values, and their
    trainings resume from checkpoints.
    """
    folder.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=folder.name,
        direction="maximize" if mode == "max" else "minimize",
        storage=JournalStorage(JournalFileBackend(str(folder / "trials.journal"))),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5),
        load_if_exists=True,
    )
    # A continued search must not draw the same random values again, so the seed depends on the number of trials.
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))
    for trial in study.get_trials(states=[TrialState.RUNNING]):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params, user_attrs=trial.user_attrs)
    return study


def enqueue_baseline(study: optuna.Study, space: SearchSpace, values: dict[str, Any]) -> None:
    """Add a trial with the values in the config, unless a trial with these values is complete or waiting."""
    if not find_trial(study, values, TrialState.COMPLETE, TrialState.WAITING):
        parameters = {key: space[key].to_parameter(value) for key, value in values.items()}
        study.enqueue_trial(parameters, user_attrs={VALUES: values})


def find_trial(study: optuna.Study, values: dict[str, Any], *states: TrialState) -> FrozenTrial | None:
    """Return a trial with the given values and one of the given states, or None. The first state has priority."""
    for state in states:
        for trial in study.get_trials(deepcopy=False, states=[state]):
            if trial.user_attrs.get(VALUES) == values:
                return trial
    return None


def copy_result(study: optuna.Study, trial: optuna.Trial, earlier: FrozenTrial) -> None:
    """Give a trial the result of an earlier trial with the same values."""
    for step, value in earlier.intermediate_values.items():
        trial.report(value, step)
    study.tell(trial, earlier.value, state=earlier.state)
