"""Kill each command and each stage before one of its writes, run it again, and compare with an uninterrupted run.

The short form of the test kills each command before a few writes. `make faults` kills each command before every write.
"""

import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable, Iterable
from difflib import unified_diff
from functools import partial
from pathlib import Path

import pytest
from mlflow import MlflowClient

from children import KILLED, Ended, die, in_child, run_lectern, run_stage, warm
from lectern.registry import promotion
from lectern.registry.registered_model import RegisteredModel, model_names
from marked_cases import mostly
from registered import BETTER, NAME, WEAK, logged_decisions, promote
from short_training import SHORT_TRAINING
from writes import before_file_writes, before_store_writes, numbered

EXPERIMENT = ("experiment=better", "dataset=sample_digits")
SEED, SHORT = 2026, 2  # SHORT is the number of kills per command in the short form of the test

Run = Callable[[], None]
ON_EMPTY_STORE: dict[str, Run] = {
    "download": partial(run_stage, "download", "origin=sample_digits"),
    "preprocess": partial(run_stage, "preprocess", "dataset=sample_digits"),
    "train": partial(run_stage, "train", *SHORT_TRAINING),
    "evaluate": partial(run_stage, "evaluate", *EXPERIMENT),
    "register": partial(run_stage, "register", *EXPERIMENT),
    "reconcile": partial(run_lectern, "reconcile"),
}
ON_FULL_STORE: dict[str, Run] = {
    "promote the challenger": partial(run_lectern, "promote", NAME),
    "force": partial(run_lectern, "promote", NAME, "--version", WEAK, "--force", "a reason"),
    "rollback": partial(run_lectern, "rollback", NAME),
    "rollback to a version": partial(run_lectern, "rollback", NAME, "--version", WEAK),
    "retire": partial(run_lectern, "retire", NAME),
}
COMMANDS = ON_EMPTY_STORE | ON_FULL_STORE
WRITTEN = {  # the outputs that DVC deletes before it runs a stage
    "download": ["data/raw"],
    "preprocess": ["data/processed/sample_digits"],
    "train": ["models/brief"],
    "evaluate": ["metrics/better.json", "reports/better"],
    "register": ["cards/better.md"],
}


@pytest.fixture
def prepared(request, evaluated_project, raw_digits, monkeypatch) -> Callable[[str], Path]:
    """Return a function that prepares a project and its MLflow store, so that a command can run in the project."""

    def prepare(name: str) -> Path:
        if name in ON_FULL_STORE:
            # The evaluation of the gate is skipped, because it writes nothing.
            monkeypatch.setattr(promotion, "evaluate_gate", lambda *_: [])
            client = request.getfixturevalue("registered_client")
            for version in (WEAK, BETTER, WEAK, BETTER):
                promote(client, version, "a reason")
        shutil.copytree(raw_digits, "data/raw/sample_digits")
        delete_outputs(evaluated_project, name)
        store = Path(os.environ["MLFLOW_TRACKING_URI"].removeprefix("sqlite:///"))
        shutil.copyfile(store, "mlflow.db")
        if (store.parent / "mlartifacts").exists():
            shutil.copytree(store.parent / "mlartifacts", "mlartifacts")
        return evaluated_project

    warm("registry.reconcile")
    return prepare


def delete_outputs(folder: Path, name: str) -> None:
    """Delete the outputs of a stage, as DVC does before it runs the stage."""
    for output in (folder / path for path in WRITTEN.get(name, [])):
        if output.is_dir():
            shutil.rmtree(output)
        output.unlink(missing_ok=True) if not output.is_dir() else None


def run_in(folder: Path, run: Run, fatal: int | None = None) -> Ended:
    """Run a command in a folder that has its own store. Kill the command before the write with the number `fatal`."""

    def count_and_run() -> None:
        os.chdir(folder)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder / 'mlflow.db'}"
        os.environ["DVC_STAGE"] = "stage"  # DVC runs the stages, and deletes their outputs before it runs them again
        done = [0]

        def act(number: int, write: str) -> None:
            done[0] = number
            if number == fatal:
                print(f"killed before: {write}", flush=True)
                die()

        count = numbered(act)
        before_file_writes(folder, count)
        before_store_writes(count)
        try:
            run()
        finally:
            (folder.parent / "writes").write_text(str(done[0]))

    return in_child(count_and_run)


def state(folder: Path) -> str:
    """Return the files of a project and the content of its store, without times, as text."""

    def print_state() -> None:
        os.chdir(folder)
        address = f"sqlite:///{folder / 'mlflow.db'}"
        client = MlflowClient(address, address)
        decisions = [
            (decision["action"], *(decision[key] and decision[key]["version"] for key in ("from", "to")))
            for name in model_names(client)
            for decision in logged_decisions(client)
        ]
        models = {name: RegisteredModel(client, name) for name in model_names(client)}
        content = {
            "files": {str(path): digest(path) for path in list_files()},
            "aliases": {name: model.aliases for name, model in models.items()},
            "versions": {name: sorted(v.experiment for v in model.versions) for name, model in models.items()},
            "runs": sorted(run.info.status for run in client.search_runs(experiment_ids(client))),
            "decisions": decisions,
        }
        print(json.dumps(content, indent=1, sort_keys=True))

    ended = in_child(print_state)
    assert ended.code == 0, ended.said
    return ended.said


def experiment_ids(client: MlflowClient) -> list[str]:
    return [experiment.experiment_id for experiment in client.search_experiments()]


def list_files() -> Iterable[Path]:
    """List the outputs and the files in `runs`.

    Locks, and results that the evaluate stage deletes later, are not listed.
    """
    roots = [Path(name) for name in ("data", "models", "metrics", "reports", "cards", "runs")]
    files = [path for root in roots for path in root.rglob("*") if path.is_file()]
    return sorted(path for path in files if path.suffix not in (".lock", ".owner") and "finished" not in path.parts)


def digest(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def kill_and_repeat(base: Path, name: str, numbers: Callable[[int], Iterable[int]]) -> tuple[int, list[str]]:
    """Kill a command before the writes that `numbers` selects, and repeat it.

    Return the number of kills, and a description of each kill that led to a wrong state.
    """
    expected, total = run_undisturbed(base, name)
    kills, broken = 0, []
    for number in numbers(total):
        folder = copy_project(base, str(number))
        killed = run_in(folder, COMMANDS[name], number)
        if killed.code != KILLED:
            continue  # The command ended before the selected write, because the times of a thread's writes vary.
        kills += 1
        delete_outputs(folder, name)
        repeated = run_in(folder, COMMANDS[name])
        found = state(folder)
        if repeated.code or found != expected:
            difference = "\n".join(unified_diff(expected.splitlines(), found.splitlines(), lineterm="", n=1))
            broken.append(f"write {number} of {total}\n{killed.said}\n{repeated.said}\n{difference}")
        shutil.rmtree(folder.parent)
    return kills, broken


def run_undisturbed(base: Path, name: str) -> tuple[str, int]:
    """Run a command to its end. Return the state after the command, and the number of the command's writes."""
    folder = copy_project(base, "undisturbed")
    ended = run_in(folder, COMMANDS[name])
    assert ended.code == 0, ended.said
    return state(folder), int((folder.parent / "writes").read_text())


def copy_project(base: Path, name: str) -> Path:
    return Path(shutil.copytree(base, base.parent / "copies" / name / "project"))


@pytest.mark.slow
@pytest.mark.parametrize("name", mostly("nightly", COMMANDS, always=["train", "register"]))
def test_a_command_that_is_killed_at_a_few_writes_and_repeated_takes_effect_once(prepared, name):
    def some(total: int) -> list[int]:
        return sorted(random.Random(SEED).sample(range(1, total + 1), min(SHORT, total)))

    kills, broken = kill_and_repeat(prepared(name), name, some)
    assert broken == [] and kills >= 1, "\n".join(broken)


@pytest.mark.faults
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_is_killed_at_any_write_and_repeated_takes_effect_once(prepared, name, record_property):
    kills, broken = kill_and_repeat(prepared(name), name, lambda total: range(1, total + 1))
    record_property("kills", kills)
    record_property("broken", len(broken))
    assert broken == [] and kills >= 8, "\n".join(broken)
