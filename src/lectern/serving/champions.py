"""The registry's champions to loaded models that can be asked, following the alias as it moves."""

import json
import logging
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException

from lectern.artifacts import model_folder
from lectern.artifacts.paths import group_config
from lectern.config import nearest
from lectern.errors import UserError
from lectern.registry import versions
from lectern.task_modules import has_task_module, task_module

SAMPLE = "sample_"  # data sets for the demo begin with it

log = logging.getLogger("lectern.serving")


class NotServed(UserError):
    """A model that is not there, or has no champion."""


@dataclass(frozen=True, eq=False)
class Champion:
    """A version that answers. It never changes: a request holds one, so that no answer can mix two."""

    name: str
    version: ModelVersion
    task: str
    module: Any
    example: dict[str, str] | None = None  # a row of the columns that it takes, as it was registered with

    @property
    def number(self) -> int:
        return int(self.version.version)

    @property
    def inference_api(self) -> ModuleType:
        """What the task says of its answers."""
        return task_module(self.task, "serving.inference_api")

    @property
    def request_format(self) -> ModuleType:
        """What the task says of its requests (`serving/request_format.py` of its room)."""
        return task_module(self.task, "serving.request")

    @cached_property
    def metric(self) -> str:
        """What its score is, as the data set's config says: `accuracy`; empty where there is no such config here."""
        path = group_config("dataset", self.name)
        return yaml.safe_load(path.read_text())["score"]["name"].replace("_", " ") if path.is_file() else ""

    def answer(self, inputs: Any, params: dict[str, Any]) -> Any:
        """What the version's pyfunc would answer."""
        return self.inference_api.predict(self.module, inputs, **params)


def load(client: MlflowClient, version: ModelVersion) -> Champion:
    """A version from its own files, by this checkout's code: nothing is unpickled, no code of the store is run."""
    module = model_folder.load_model(versions.model_folder(client, version))
    return Champion(version.name, version, version.tags["lectern.task"], module, read_example(client, version))


def read_example(client: MlflowClient, version: ModelVersion) -> dict[str, str] | None:
    """The first row of the version's input example, where it is a table."""
    from mlflow.artifacts import download_artifacts

    uri = f"{version.source}/input_example.json"
    try:
        told = json.loads(Path(download_artifacts(artifact_uri=uri, tracking_uri=client.tracking_uri)).read_text())
        return dict(zip(told["columns"], told["data"][0], strict=True))
    except (MlflowException, OSError, ValueError, KeyError, TypeError, IndexError):
        return None  # an array, or a store that lost it: nothing that an answer depends on


class Champions:
    """The champions as they were when the store was last asked (`follow`)."""

    def __init__(self, client: MlflowClient):
        self.client = client
        self.served: dict[str, Champion] = {}
        self.registered: dict[str, str | None] = {}  # every model, and the number of its champion
        self.problems: dict[str, str] = {}  # what could not be loaded, and why

    def follow(self) -> None:
        """Load the champions that have moved; the old one answers until the new one is loaded."""
        known = {model.name: model.aliases.get(versions.CHAMPION) for model in self.models()}
        self.registered = {name: None if number is None else str(number) for name, number in known.items()}
        moved = {name: number for name, number in self.registered.items() if number != self.number_of(name)}
        for name, number in moved.items():
            self.move(name, number)
        gone = [name for name in self.served if name not in self.registered]
        self.served = {name: champion for name, champion in self.served.items() if name not in gone}

    def models(self) -> list[RegisteredModel]:
        return self.client.search_registered_models(max_results=1000)

    def number_of(self, name: str) -> str | None:
        return str(self.served[name].number) if name in self.served else None

    def move(self, name: str, number: str | None) -> None:
        """Serve this version from now on, or nothing. One that cannot be loaded leaves the old one where it is."""
        served = {**self.served}
        try:
            if number is None:
                served.pop(name, None)
            else:
                served[name] = load(self.client, versions.get_version(self.client, name, number))
            self.served = served  # at once: who reads sees the old table or the new one
            if self.problems.pop(name, None):
                log.warning("%s version %s is served now", name, number)
        except UserError as error:
            if self.problems.get(name) != str(error):
                log.warning("%s", error)
            self.problems = {**self.problems, name: str(error)}

    def get(self, name: str) -> Champion:
        """Raises NotServed that says what there is and how to get it."""
        if name in self.served:
            return self.served[name]
        if name in self.problems:
            raise NotServed(f"{name}: its champion cannot be loaded: {self.problems[name]}")
        if name in self.registered:
            raise NotServed(f"{name} has no champion yet. Promote one: lectern promote {name}")
        served = ", ".join(sorted(self.served)) or "nothing yet (make demo)"
        raise NotServed(
            f"No model {name[:80]!r} is registered{nearest(name[:80], list(self.served))} Served: {served}."
        )

    def listed(self) -> list[Champion]:
        """All, real ones before samples."""
        return sorted(self.served.values(), key=lambda champion: (champion.name.startswith(SAMPLE), champion.name))

    def of(self, task: str) -> list[Champion]:
        """Those of a task, in the same order."""
        by_task = defaultdict(list)
        for champion in self.listed():
            by_task[champion.task].append(champion)
        return by_task[task]


def can_be_asked(task: str) -> bool:
    """Whether the room says how its models are asked from outside."""
    return has_task_module(task, "serving.request")
