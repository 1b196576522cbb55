"""Compare the stages of an experiment with `dvc.lock`, as `dvc status` does."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lectern.artifacts.mapping_file import read_mapping
from lectern.artifacts.paths import PIPELINE_LOCK, ExperimentPaths
from lectern.errors import UserError
from lectern.tracking.refusals import READ_ONLY

LOCK_REMEDY = (
    "DVC was killed while it wrote {path}, or a git merge is unfinished. Restore the last committed content with "
    "git checkout HEAD -- {path}, or delete {path}. Then run dvc repro. DVC restores finished stages from its cache."
)


@dataclass(frozen=True)
class StageStatus:
    """The changes of stages that DVC reports.

    `changes` maps the name of a stage to a text about its changes.
    """

    changes: Mapping[str, str] = field(default_factory=dict)
    failure: str = ""  # the error that prevented the comparison with `dvc.lock`
    refusal: str = ""  # the missing permission that prevented the comparison with `dvc.lock`


def read_stage_status(paths: ExperimentPaths) -> StageStatus:
    """Return the changes that DVC reports for an experiment's stages and for all stages that they depend on."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        read_lock()
        status = Repo().status([f"register@{paths.experiment}"], with_deps=True)
    except UserError as error:
        return StageStatus(failure=str(error))
    except DvcException as error:
        return StageStatus(failure=f"DVC reports: {error}")
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
        return StageStatus(refusal=f"DVC cannot write to {error.filename}: {error.strerror}")
    return StageStatus({stage: "DVC reports: " + ", ".join(describe(changes)) for stage, changes in status.items()})


def describe(changes: list[Any]) -> Iterator[str]:
    for change in changes:
        yield " ".join(change) if isinstance(change, dict) else str(change)


def read_lock() -> dict[str, Any]:
    """Return the stages that `dvc.lock` records, or an empty dict if `dvc.lock` does not exist.

    Raises UserError if `dvc.lock` is damaged.
    """
    return read_mapping(PIPELINE_LOCK, LOCK_REMEDY).get("stages", {}) if PIPELINE_LOCK.is_file() else {}


def stage_digest(stage: str) -> str | None:
    """Return the digest of a stage's first output as recorded in `dvc.lock`, or None if the stage is not recorded."""
    entry = read_lock().get(stage)
    return str(entry["outs"][0].get("md5", "")) if entry else None
