"""An experiment of dvc.yaml to many trainings of it with other values: which to try, how many at once, when to stop."""

import hashlib
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import optuna
from filelock import FileLock, Timeout
from hydra import compose, initialize_config_dir
from mlflow import MlflowClient
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from lectern.artifacts.paths import CONF, SWEEPS
from lectern.errors import UserError
from lectern.stages.stage import to_plain
from lectern.sweeps import mlflow_record
from lectern.sweeps.search_space import Range, read_space, value_at
from lectern.sweeps.trials import Running, start
from lectern.tracking import store
from lectern.training.plan import Plan, read_plan

DONE = (TrialState.COMPLETE, TrialState.PRUNED)
PAUSE = 2.0  # seconds between two looks at the trainings


class Search:
    """The trials of one experiment, in a file that a later search of the same experiment goes on from."""

    def __init__(self, experiment: str, words: list[str]):
        self.experiment, self.words = experiment, words
        self.plan = self.planned({})
        self.space: dict[str, Range] = read_space(self.plan.model.name)
        told = f"{self.plan.key} {sorted(self.space.items(), key=str)}"  # what makes results comparable
        self.name = f"{experiment}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"
        self.folder = SWEEPS / self.name
        self.running: list[Running] = []
        self.failed = 0

    @property
    def maximises(self) -> bool:
        return self.plan.model.best["mode"] == "max"

    def overrides(self, values: dict[str, Any]) -> list[str]:
        return [*self.words, *(f"model.{key}={value}" for key, value in values.items())]

    def planned(self, values: dict[str, Any]) -> Plan:
        """The training with these values, checked as the stage itself would."""
        with initialize_config_dir(str(CONF.absolute()), version_base="1.3"):
            return read_plan(to_plain(compose("train", self.overrides(values))))

    def open_study(self) -> optuna.Study:
        """The study so far; the config's own values are its first trial: what is found has to be better."""
        self.folder.mkdir(parents=True, exist_ok=True)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(
            study_name=self.name,
            direction="maximize" if self.maximises else "minimize",
            storage=JournalStorage(JournalFileBackend(str(self.folder / "trials.journal"))),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=5),
            load_if_exists=True,
        )
        study.sampler = optuna.samplers.TPESampler(seed=self.plan.seed + len(study.trials))  # a search draws its own
        if not study.trials:
            study.enqueue_trial(self.own_values())
        for trial in study.get_trials(states=[TrialState.RUNNING]):  # of a search that was ended
            study.tell(trial.number, state=TrialState.FAIL)
            study.enqueue_trial(trial.params)  # its training goes on from its checkpoint
        return study

    def own_values(self) -> dict[str, Any]:
        model = {name: getattr(self.plan.model, name) for name in ("batches", "module", "fit", "best")}
        return {key: value_at(model, key, self.plan.model.name) for key in self.space}

    def run(self, trials: int, parallel: int, seconds: float | None, tell: Callable[[str], None]) -> optuna.Study:
        """Train until so many trials are done, or no new one may begin. Interrupted, they end; the next goes on."""
        client = store.connect()
        try:
            with FileLock(self.folder.with_suffix(".lock"), timeout=0):
                study = self.open_study()
                parent = mlflow_record.open_parent(client, self.plan.model.task, self.name, self.experiment)
                signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
                self.loop(study, client, parent, trials, parallel, seconds, tell)
                mlflow_record.close_parent(client, parent, self.space, study, self.plan.model.best["metric"])
        except Timeout as error:
            raise UserError(
                f"{self.experiment} is being searched by another process. Wait for it, or end it."
            ) from error
        return study

    def loop(self, study, client, parent, trials, parallel, seconds, tell) -> None:
        deadline = time.monotonic() + seconds if seconds else float("inf")
        try:
            while True:
                done = len(study.get_trials(deepcopy=False, states=DONE))
                while len(self.running) < min(parallel, trials - done - self.failed) and time.monotonic() < deadline:
                    self.running.append(self.begin(study))
                if not self.running:
                    return
                time.sleep(PAUSE)
                for one in list(self.running):
                    one.watch(client, parent)
                    if one.process.poll() is not None:
                        self.running.remove(one)
                        tell(self.finish(study, one, client, parent))
        finally:
            for one in self.running:
                one.end()
            for one in self.running:
                one.process.wait()

    def begin(self, study: optuna.Study) -> Running:
        trial = study.ask()
        values = {key: one.suggest(trial, key) for key, one in self.space.items()}
        trial.set_user_attr("values", values)
        words = self.overrides(values)
        return start(trial, self.planned(values), values, words, self.folder / f"{trial.number:03}")

    def finish(self, study: optuna.Study, one: Running, client: MlflowClient, parent: str) -> str:
        """Tell Optuna how a training ended, and the user in a line."""
        one.watch(client, parent)
        value, seconds = one.result(), time.monotonic() - one.began
        shown = ", ".join(f"{key.rpartition('.')[2]} {number}" for key, number in one.values.items())
        if value is not None:
            study.tell(one.trial, value)
            how = f"{one.metric} {value:.5g}, best {study.best_value:.5g}"
        elif one.pruned:
            study.tell(one.trial, state=TrialState.PRUNED)
            one.forget()
            how = f"ended early at step {one.reported}"
        else:
            study.tell(one.trial, state=TrialState.FAIL)
            how = f"failed, see {one.out.with_suffix('.log')}"
            self.failed += 1
            self.give_up_where_nothing_works(study, one)
        return f"trial {one.trial.number}: {how} ({shown}, {seconds:.0f} s)"

    def give_up_where_nothing_works(self, study: optuna.Study, one: Running) -> None:
        if self.failed < 3 or study.get_trials(states=DONE):
            return
        log = one.out.with_suffix(".log")
        last = log.read_text().strip().splitlines()[-1:] or ["(nothing)"]
        raise UserError(f"The first {self.failed} trials failed; the last one said: {last[0]} Its log: {log}")


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
