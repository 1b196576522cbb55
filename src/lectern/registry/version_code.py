"""Decide whether a version predicts with the code of this checkout or with its packaged code.

The packaged code comes from the tracking store. Packaged code is executed only if a decision in the committed audit log
contains its digest.
"""

from pathlib import Path

from mlflow import MlflowClient

from lectern.artifacts.paths import AUDIT_LOGS
from lectern.errors import UserError
from lectern.registry.decision_lines import parse_decisions, select_valid_lines
from lectern.registry.packaged_code import code_digest
from lectern.registry.version_record import ModelVersionRecord
from lectern.registry.version_runs import find_version_run
from lectern.task_modules import task_names
from lectern.tracking.git import git
from lectern.tracking.provenance import DIRTY, UNKNOWN
from lectern.tracking.runs import COMMIT

SHOWN = 12  # number of characters of each digest in an error message


def has_checkout_code(version: ModelVersionRecord) -> bool:
    """Return whether a version was registered with the code of this checkout. Comments and docstrings are ignored."""
    try:
        return version.task in task_names() and version.code == code_digest(version.task, version.extensions)
    except UserError:  # this checkout lacks a class of another package, or does not allow it
        return False


def check_approved(client: MlflowClient, version: ModelVersionRecord) -> None:
    """Raise UserError if the committed audit log does not contain the digest of a version's code.

    The error message names the commit that contains the code.
    """
    if version.code not in approved_code(version.name):
        log = AUDIT_LOGS / f"{version.name}.jsonl"
        raise other_code_error(client, version, f"{log} contains no committed decision with this digest")


def approved_code(name: str) -> set[str]:
    """Return the code digests in the committed audit log of a model."""
    log = f"{AUDIT_LOGS / name}.jsonl"
    decisions = parse_decisions(select_valid_lines(git(Path(), "show", f"HEAD:./{log}"), f"{log} of the last commit"))
    versions = [decision[key] for decision in decisions for key in ("from", "to") if decision.get(key)]
    return {version["code"] for version in versions if version.get("code")}


def other_code_error(client: MlflowClient, version: ModelVersionRecord, reason: str) -> UserError:
    """Return a UserError for a version that cannot be used, because its code differs from the code of this checkout."""
    return UserError(
        f"{version} was registered with different code (digest {version.code[:SHOWN]}; this checkout has "
        f"{describe_own_code(version)}), and {reason}. {describe_commit(client, version)} "
        f"To register the outputs again with the code of this checkout, run `dvc repro register@{version.experiment}`. "
        "Then promote the new version."
    )


def describe_own_code(version: ModelVersionRecord) -> str:
    """Return the digest of the code of this checkout, or the reason why this checkout has no code for a version."""
    if version.task not in task_names():
        return f"no task {version.task!r}"
    try:
        return code_digest(version.task, version.extensions)[:SHOWN]
    except UserError as error:
        return f"no code for it: {error}"


def describe_commit(client: MlflowClient, version: ModelVersionRecord) -> str:
    """Return a sentence that says which commit contains the code of a version."""
    commit = version.commit or training_commit(client, version)
    if not commit or commit == UNKNOWN:
        return "The commit that contains the code of the version is unknown."
    if commit.endswith(DIRTY):
        return (
            "The code of the version was never committed: "
            f"files had been changed since commit {commit.removesuffix(DIRTY)}."
        )
    return f"To use the code of the version, run `git checkout {commit}`."


def training_commit(client: MlflowClient, version: ModelVersionRecord) -> str:
    """Return the commit that the run of a version records, or an empty string.

    Older versions of Lectern did not record the commit with the registered version.
    """
    run = find_version_run(client, version)
    return run.data.tags.get(COMMIT, "") if run else ""
