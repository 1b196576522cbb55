"""Decide which code predicts for a version: the code of this checkout, the packaged code of the version, or none.

The packaged code comes from the store. It runs only if a decision in the committed audit log names its digest.
"""

from pathlib import Path

from mlflow import MlflowClient

from lectern.artifacts.paths import AUDIT_LOGS
from lectern.errors import UserError
from lectern.registry.audit_log import parse_decisions
from lectern.registry.packaged_code import code_digest
from lectern.registry.version_record import ModelVersionRecord
from lectern.registry.version_runs import find_version_run
from lectern.task_modules import task_names
from lectern.tracking.git import git
from lectern.tracking.provenance import DIRTY, UNKNOWN
from lectern.tracking.runs import COMMIT

SHOWN = 12  # number of characters of a digest in messages


def has_checkout_code(version: ModelVersionRecord) -> bool:
    """Return whether the code of a version is the code of this checkout, apart from comments and docstrings."""
    return version.task in task_names() and version.code == code_digest(version.task)


def check_approved(client: MlflowClient, version: ModelVersionRecord) -> None:
    """Raise UserError with the commit to check out if the committed audit log does not name the code of a version."""
    if version.code not in approved_code(version.name):
        log = AUDIT_LOGS / f"{version.name}.jsonl"
        raise other_code_error(client, version, f"{log} has no committed decision about this code")


def approved_code(name: str) -> set[str]:
    """Return the digests of the code that the committed audit log of a model names."""
    lines = git(Path(), "show", f"HEAD:./{AUDIT_LOGS / name}.jsonl").split("\n")
    decisions = parse_decisions({line for line in lines if line.endswith("}")})
    versions = [decision[key] for decision in decisions for key in ("from", "to") if decision.get(key)]
    return {version["code"] for version in versions if version.get("code")}


def other_code_error(client: MlflowClient, version: ModelVersionRecord, reason: str) -> UserError:
    """Return the error for a version that cannot be used with the code of this checkout."""
    own = code_digest(version.task)[:SHOWN] if version.task in task_names() else f"no task {version.task!r}"
    return UserError(
        f"{version} was registered with other code (digest {version.code[:SHOWN]}; this checkout has {own}), "
        f"and {reason}. {describe_commit(client, version)} "
        f"To register its outputs with the code of this checkout, run `dvc repro register@{version.experiment}`."
    )


def describe_commit(client: MlflowClient, version: ModelVersionRecord) -> str:
    """Say which commit contains the code of a version."""
    commit = version.commit or training_commit(client, version)
    if not commit or commit == UNKNOWN:
        return "The commit of its code is unknown."
    if commit.endswith(DIRTY):
        return f"Its code was never committed: files of commit {commit.removesuffix(DIRTY)} had been changed."
    return f"To use its code, run `git checkout {commit}`."


def training_commit(client: MlflowClient, version: ModelVersionRecord) -> str:
    """Return the commit of the training, which older versions of Lectern recorded only with the run."""
    run = find_version_run(client, version)
    return run.data.tags.get(COMMIT, "") if run else ""
