"""Start `lectern predict`, or continue an unfinished run with its version and parameters."""

import json
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from mlflow import MlflowClient

from lectern.artifacts.digests import content_digest
from lectern.errors import UserError
from lectern.registry.model_params import validate_params
from lectern.registry.registered_model import CHAMPION, RegisteredModel
from lectern.registry.version_record import ModelVersionRecord
from lectern.serving.part_folder import PartFolder

FORMAT = 3  # increase this number if the names or the content of the parts change


class Run(NamedTuple):
    """The version and the complete parameters of a run, and a digest of both. Part names contain the digest."""

    version: ModelVersionRecord
    params: dict[str, Any]
    key: str


def start_or_continue(client: MlflowClient, model: str, params: Mapping[str, Any], folder: PartFolder) -> Run:
    """Return the version and the parameters of the run, and write them to the plan of the folder.

    A name without `@` means the version of the unfinished run, or the champion if there is no unfinished run. Raises
    UserError if the unfinished run has another version or other parameters than requested.
    """
    name, _, which = model.partition("@")
    registered = RegisteredModel(client, name)
    unfinished = folder.read_plan()
    number = None if unfinished is None else unfinished.get("version")
    if unfinished is None or which or unfinished.get("model") != name:
        version = registered.get(which or CHAMPION)
    else:
        version = get_unfinished_version(registered, str(number), folder)
    complete = validate_params(version.task, params)
    plan = make_plan(version, complete)
    if unfinished is not None:
        check_same_plan(unfinished, plan, folder)
        print_continuation(registered, version, folder)
    folder.write_plan(plan)
    return Run(version, complete, content_digest([json.dumps(plan, sort_keys=True)]))


def make_plan(version: ModelVersionRecord, params: dict[str, Any]) -> dict[str, Any]:
    """Return the values that identify a run, without its input rows."""
    return {
        "format": FORMAT,
        "model": version.name,
        "version": version.number,
        "identity": version.identity,
        "params": params,
    }


def get_unfinished_version(registered: RegisteredModel, number: str, folder: PartFolder) -> ModelVersionRecord:
    """Return the version of the unfinished run. Raises UserError if the version does not exist any more."""
    try:
        return registered.get(number)
    except UserError as error:
        raise UserError(
            f"{folder.path} belongs to an unfinished run with version {number}. {error} "
            "Add --restart to delete the finished parts and to start again."
        ) from error


def check_same_plan(unfinished: dict[str, Any], plan: dict[str, Any], folder: PartFolder) -> None:
    """Raise UserError if the unfinished run has a different version or different parameters than this run."""
    if unfinished == plan:
        return
    raise UserError(
        f"{folder.path} contains {len(folder.parts())} finished parts of a run with {describe_plan(unfinished)}, "
        f"but this command uses {describe_plan(plan)}. To continue the unfinished run, use its version and parameters. "
        "To delete the finished parts and start again, add --restart."
    )


def describe_plan(plan: dict[str, Any]) -> str:
    """Return a text such as `sample_numbers version 1 (1f3a5c7e9b0d), beam=5, n_best=1`."""
    if plan.get("format") != FORMAT:
        return "another version of Lectern"
    params = [f"{name}={value}" for name, value in plan["params"].items()]
    return ", ".join([f"{plan['model']} version {plan['version']} ({plan['identity'][:12]})", *params])


def print_continuation(registered: RegisteredModel, version: ModelVersionRecord, folder: PartFolder) -> None:
    champion = registered.champion_number
    other = "" if champion == version.number else f", although the champion is version {champion}"
    print(
        f"lectern: continuing the unfinished run in {folder.path} with version {version.number}{other}", file=sys.stderr
    )
