"""Search hyperparameters of an experiment with parallel trainings. An interrupted search can be resumed."""

import hashlib
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import optuna
from filelock import FileLock, Timeout
from hydra import compose, initialize_config_dir
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from lectern.artifacts.paths import CONF, SWEEPS
from lectern.artifacts.text_lines import split_lines
from lectern.errors import UserError
from lectern.stages.config_files import check_config_files, quote_names
from lectern.stages.stage import to_plain
from lectern.sweeps.mlflow_record import SweepRun, start_sweep_run
from lectern.sweeps.search_space import get_value, read_search_space
from lectern.sweeps.trials import RunningTrial, start_trial
from lectern.tracking import store
from lectern.training.plan import Plan, read_plan

FINISHED_STATES = (TrialState.COMPLETE, TrialState.PRUNED)
POLL_SECONDS = 2.0
MAX_FIRST_FAILURES = 3  # number of failed trials before the first success after which the search stops


class Search:
    """A hyperparameter search for one experiment.

    All trials are stored in a file, so that a later search continues with the results of earlier trials.
    """

    def __init__(self, experiment: str, overrides: list[str]):
        self.experiment, self.overrides = experiment, overrides
        self.plan = self.read_trial_plan({})
        self.space = read_search_space(self.plan.model.name)
        # searches with different settings must not share trials
        comparable = f"{self.plan.key} {sorted(self.space.items(), key=str)}"
        self.name = f"{experiment}-{hashlib.sha256(comparable.encode()).hexdigest()[:8]}"
        self.folder = SWEEPS / self.name
        self.running: list[RunningTrial] = []
        self.failed = 0

    def trial_overrides(self, values: dict[str, Any]) -> list[str]:
        return [*self.overrides, *(f"model.{key}={value}" for key, value in values.items())]

    def read_trial_plan(self, values: dict[str, Any]) -> Plan:
        """Return the plan of a training with the given hyperparameters. The train stage would create the same plan."""
        overrides = self.trial_overrides(values)
        check_config_files("train", overrides)
        with initialize_config_dir(str(CONF.absolute()), version_base="1.3"):
            return read_plan(to_plain(compose("train", quote_names(overrides))))

    def open_study(self) -> optuna.Study:
        """Create an Optuna study, or load the study of an earlier search.

        For comparison, the first trial uses the values that are in the config. Trials that were running when an earlier
        search was interrupted start again with the same values, and their trainings resume from checkpoints.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(
            study_name=self.name,
            direction="maximize" if self.plan.model.best["mode"] == "max" else "minimize",
            storage=JournalStorage(JournalFileBackend(str(self.folder / "trials.journal"))),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=5),
            load_if_exists=True,
        )
        # A continued search must not draw the same random values again, so its seed depends on the number of trials.
        study.sampler = optuna.samplers.TPESampler(seed=self.plan.seed + len(study.trials))
        if not study.trials:
            study.enqueue_trial(self.config_values())
        for trial in study.get_trials(states=[TrialState.RUNNING]):
            study.tell(trial.number, state=TrialState.FAIL)
            study.enqueue_trial(trial.params)
        return study

    def config_values(self) -> dict[str, Any]:
        """Return the values that the config contains for the keys of the search space."""
        model = {name: getattr(self.plan.model, name) for name in ("batches", "module", "fit", "best")}
        return {key: get_value(model, key, self.plan.model.name) for key in self.space}

    def run(self, trials: int, parallel: int, seconds: float | None, report: Callable[[str], None]) -> optuna.Study:
        """Run trainings until the study has `trials` finished trials. After `seconds` seconds, no new trial starts.

        `report` is called with a line of text for each finished trial. Raises UserError if a different process searches
        the same experiment, or if the first trials all fail.
        """
        client = store.connect()
        try:
            with FileLock(self.folder.with_suffix(".lock"), timeout=0):
                study = self.open_study()
                sweep = start_sweep_run(client, self.plan.model.task, self.name, self.experiment)
                signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM acts like Ctrl-C
                self.run_trials(study, sweep, trials, parallel, seconds, report)
                sweep.finish(self.space, study, self.plan.model.best["metric"])
        except Timeout as error:
            raise UserError(
                f"Another process already searches {self.experiment}. "
                "Wait until the other process has finished, or stop the process."
            ) from error
        return study

    def run_trials(
        self,
        study: optuna.Study,
        sweep: SweepRun,
        trials: int,
        parallel: int,
        seconds: float | None,
        report: Callable[[str], None],
    ) -> None:
        """Start trainings and poll their processes until all trials have ended.

        If the search is interrupted, the running trainings are stopped.
        """
        deadline = time.monotonic() + seconds if seconds else float("inf")
        try:
            while True:
                remaining = trials - len(study.get_trials(deepcopy=False, states=FINISHED_STATES)) - self.failed
                while len(self.running) < min(parallel, remaining) and time.monotonic() < deadline:
                    self.running.append(self.start_next(study))
                if not self.running:
                    return
                time.sleep(POLL_SECONDS)
                for trial in list(self.running):
                    trial.update(sweep)
                    if trial.process.poll() is not None:
                        self.running.remove(trial)
                        report(self.finish_trial(study, trial, sweep))
        finally:
            self.stop_running()

    def stop_running(self) -> None:
        for trial in self.running:
            trial.terminate()
        for trial in self.running:
            trial.process.wait()

    def start_next(self, study: optuna.Study) -> RunningTrial:
        """Start a training with the hyperparameters that Optuna suggests next."""
        trial = study.ask()
        values = {key: choice.suggest(trial, key) for key, choice in self.space.items()}
        trial.set_user_attr("values", values)
        out = self.folder / f"{trial.number:03}"
        return start_trial(trial, self.read_trial_plan(values), values, self.trial_overrides(values), out)

    def finish_trial(self, study: optuna.Study, trial: RunningTrial, sweep: SweepRun) -> str:
        """Report the result of a training that has ended to Optuna. Return a line of text about the result."""
        trial.update(sweep)  # report the last validations to Optuna
        value, seconds = trial.best_validation(), time.monotonic() - trial.started
        if value is not None:
            study.tell(trial.trial, value)
            result = f"{trial.metric} {value:.5g}, best so far {study.best_value:.5g}"
        elif trial.pruned:
            study.tell(trial.trial, state=TrialState.PRUNED)
            trial.delete_checkpoints()
            result = f"pruned at step {trial.last_step}"
        else:
            study.tell(trial.trial, state=TrialState.FAIL)
            result = f"failed, see {trial.log}"
            self.failed += 1
            self.check_first_failures(study, trial)
        values = ", ".join(f"{key.rpartition('.')[2]} {number}" for key, number in trial.values.items())
        return f"trial {trial.trial.number}: {result} ({values}, {seconds:.0f} s)"

    def check_first_failures(self, study: optuna.Study, trial: RunningTrial) -> None:
        """Raise UserError if MAX_FIRST_FAILURES trials have failed and no trial has succeeded."""
        if self.failed < MAX_FIRST_FAILURES or study.get_trials(states=FINISHED_STATES):
            return
        last_line = split_lines(trial.log.read_text().strip())[-1:] or ["(empty)"]
        raise UserError(
            f"The first {self.failed} trials failed. "
            f"The last line of the last trial's log is: {last_line[0]} See {trial.log}."
        )


def print_line(line: str) -> None:
    """Print a line to stderr."""
    print(line, file=sys.stderr, flush=True)
