"""Load the champions of the registry, and reload them when the alias `champion` changes."""

import json
import logging
import time
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType

from mlflow import MlflowClient

from lectern.config import nearest
from lectern.errors import UserError, hide_credentials
from lectern.registry.loaded_model import LoadedModel
from lectern.registry.registered_model import CHALLENGER, CHAMPION, RegisteredModel, list_models
from lectern.registry.score_unit import ScoreUnit, read_score_unit
from lectern.registry.version_code import check_approved, has_checkout_code, other_code_error
from lectern.registry.version_record import ModelVersionRecord
from lectern.registry.versions import download_files, download_model_folder
from lectern.serving.client_message import SEE_LOG
from lectern.serving.packaged_model import PackagedModel
from lectern.task_modules import has_task_module, task_module

RETRY_FACTOR = 10  # a version that fails to load is loaded again after this multiple of the duration of the attempt
MAX_RETRY_SECONDS = 60  # the time until the next attempt doubles up to this number of seconds
SAMPLE_PREFIX = "sample_"  # the names of the demo datasets start with this prefix

log = logging.getLogger("lectern.serving")


class NotServed(UserError):
    """Raised if a model is not registered, has no champion, or cannot be used through the API."""


@dataclass(frozen=True, eq=False)
class Champion:
    """A version with its loaded model. Objects of this class are immutable.

    All outputs of a request are computed with one Champion object, and therefore with one version.
    """

    version: ModelVersionRecord
    model: LoadedModel | PackagedModel
    example: dict[str, str] | None = None  # first row of the input example, if the input is a table

    @property
    def name(self) -> str:
        return self.version.name

    @property
    def task(self) -> str:
        return self.version.task

    @property
    def runs_packaged_code(self) -> bool:
        """True if the packaged code of the version predicts, and False if the code of this checkout predicts."""
        return isinstance(self.model, PackagedModel)

    @property
    def inference_api(self) -> ModuleType:
        return task_module(self.task, "serving.inference_api")

    @property
    def request_module(self) -> ModuleType:
        """The task's module `serving.request`, which defines the limits of requests and reads uploaded files."""
        return task_module(self.task, "serving.request")

    @property
    def has_request_module(self) -> bool:
        """True if the task has a module `serving.request`, which the API needs."""
        return has_task_module(self.task, "serving.request")

    @cached_property
    def score_unit(self) -> ScoreUnit:
        """The name and the unit of the score, or the name `score` if the config of the dataset cannot be read."""
        try:
            return read_score_unit(self.name)
        except (UserError, OSError):  # a damaged config or a strange name does not prevent predictions
            return ScoreUnit()


def load_version(client: MlflowClient, version: ModelVersionRecord, threads: int | None = None) -> Champion:
    """Load the model of a version. No file of the version is unpickled.

    If the code of the version differs from the code of this checkout, the packaged code of the version predicts in a
    separate process with `threads` threads. Raises UserError if the committed audit log does not contain the digest of
    the packaged code, or if the files of the version were changed.
    """
    if has_checkout_code(version):
        return Champion(
            version, LoadedModel.load(download_model_folder(client, version)), read_example(client, version)
        )
    check_approved(client, version)
    files = download_files(client, version)
    try:
        model = PackagedModel(files, files / "artifacts" / version.experiment, version.code, threads)
    except UserError as error:
        raise other_code_error(client, version, f"its packaged code cannot be used: {error}") from error
    if model.signature != task_module(version.task, "serving.inference_api").signature().to_dict():
        raise other_code_error(
            client, version, "the inputs, outputs or parameters of the version differ from those of this checkout"
        )
    return Champion(version, model, read_example(client, version))


def load_champion(name: str, task: str, client: MlflowClient | None = None) -> Champion:
    """Load the champion of a model.

    Raises UserError if there is no champion, or if the task of the model is not `task`.
    """
    from lectern.tracking.store import connect

    model = RegisteredModel(client or connect(), name)
    champion = model.champion
    if champion is None:
        raise UserError(f"{name} has no champion yet. Run `lectern promote {name}`.")
    if champion.task != task:
        raise UserError(
            f"{name} is a model of the task {champion.task}, but this command needs a model of the task {task}. "
            "`lectern registry list` shows all models."
        )
    return load_version(model.client, champion)


def read_example(client: MlflowClient, version: ModelVersionRecord) -> dict[str, str] | None:
    """Return the first row of the version's input example, or None if the example is missing or is not a table."""
    try:
        table = json.loads(download_files(client, version, "input_example.json").read_text())
        return dict(zip(table["columns"], table["data"][0], strict=True))
    except (UserError, OSError, ValueError, KeyError, TypeError, IndexError):  # the example is optional
        return None


@dataclass
class LoadFailures:
    """The number of failed attempts to load a version, and the time of the next attempt.

    The time between two attempts grows, because most versions that fail to load also fail later. Several such versions
    must not keep the server busy.
    """

    count: int = 0
    retry_at: float = 0

    def add(self, duration: float) -> None:
        """Record an attempt that took `duration` seconds."""
        shortest = RETRY_FACTOR * duration
        longest = max(shortest, MAX_RETRY_SECONDS)
        self.retry_at = time.monotonic() + min(shortest * 2 ** min(self.count, 30), longest)
        self.count += 1


class Champions:
    """The loaded champions of all registered models.

    `refresh` loads the champions that have changed in the registry.
    """

    def __init__(self, client: MlflowClient, threads: int | None = None):
        self.client, self.threads = client, threads
        self.served: dict[str, Champion] = {}
        self.registered: dict[str, int | None] = {}  # maps every registered model to the number of its champion
        self.challengers: dict[str, int] = {}  # maps a model to the number of its challenger
        self.problems: dict[str, str] = {}  # maps a model to the reason why its champion could not be loaded
        self.failures: dict[tuple[str, int | None], LoadFailures] = {}  # for versions that could not be loaded

    def refresh(self) -> None:
        """Load the champions that have changed in the registry.

        The old champion of a model is served until its new champion is loaded.
        """
        models = list_models(self.client)
        numbers = {model.name: model.aliases.get(CHAMPION) for model in models}
        self.registered = {name: None if number is None else int(number) for name, number in numbers.items()}
        challengers = {model.name: model.aliases.get(CHALLENGER) for model in models}
        self.challengers = {name: int(number) for name, number in challengers.items() if number is not None}
        for name, number in self.registered.items():
            if number != self.served_number(name) and self.can_load(name, number):
                self.update(name, number)
        self.served = {name: champion for name, champion in self.served.items() if name in self.registered}
        self.problems = {name: text for name, text in self.problems.items() if self.has_unserved_champion(name)}

    def can_load(self, name: str, number: int | None) -> bool:
        """Return whether a version has not failed to load, or the time until its next attempt is over."""
        return (name, number) not in self.failures or time.monotonic() >= self.failures[name, number].retry_at

    def has_unserved_champion(self, name: str) -> bool:
        """Return whether the registered champion of a model is not the served version."""
        return self.registered.get(name) not in (None, self.served_number(name))

    def served_number(self, name: str) -> int | None:
        return self.served[name].version.number if name in self.served else None

    def update(self, name: str, number: int | None) -> None:
        """Serve the version `number` of a model, or stop serving the model if `number` is None.

        If the version cannot be loaded, the old version of the model is still served.
        """
        served, started = {**self.served}, time.monotonic()
        try:
            if number is None:
                served.pop(name, None)
            else:
                served[name] = load_version(
                    self.client, RegisteredModel(self.client, name).get(str(number)), self.threads
                )
            # replace the dictionary instead of changing it, because other threads read the dictionary at the same time
            self.served = served
            self.failures.pop((name, number), None)
            if name in self.problems:
                log.warning("%s: version %s is served now", name, number)
        except Exception as error:  # a version that cannot be loaded must not affect the other models
            self.failures.setdefault((name, number), LoadFailures()).add(time.monotonic() - started)
            self.report_problem(name, number, error)

    def report_problem(self, name: str, number: int | None, error: Exception) -> None:
        """Log why a version cannot be served, unless this was already logged, and keep the reason.

        The reason can contain paths and addresses, which clients must not see.
        """
        problem = hide_credentials(str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}")
        if self.problems.get(name) != problem:
            log.warning("%s: version %s cannot be served: %s", name, number, problem)
        self.problems = {**self.problems, name: problem}

    def get(self, name: str) -> Champion:
        """Return the loaded champion of a model.

        Raises NotServed with the reason if no champion of the model is loaded.
        """
        if name in self.served:
            return self.served[name]
        if name in self.problems:
            raise NotServed(f"{name}: the champion cannot be loaded. {SEE_LOG}")
        if name in self.registered:
            raise NotServed(f"{name} has no champion yet. Run `lectern promote {name}`.")
        served = ", ".join(sorted(self.served)) or "nothing yet (make demo)"
        raise NotServed(
            f"No model {name[:80]!r} is registered{nearest(name[:80], list(self.served))} Served: {served}."
        )

    def all(self) -> list[Champion]:
        """Return all loaded champions, sorted by name. The champions of the demo datasets come last."""
        return sorted(
            self.served.values(), key=lambda champion: (champion.name.startswith(SAMPLE_PREFIX), champion.name)
        )

    def for_task(self, task: str) -> list[Champion]:
        return [champion for champion in self.all() if champion.task == task]
