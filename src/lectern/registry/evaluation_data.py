"""Check that this checkout has the same test data that a version was scored on."""

from pathlib import Path

import pandas as pd
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException

from lectern.artifacts.dataset import read_facts
from lectern.errors import UserError
from lectern.registry.version_record import ModelVersionRecord


def check_test_data(version: ModelVersionRecord, processed: Path) -> None:
    """Raise UserError if `processed` has no test data, or other test data than the version was scored on."""
    if not has_same_test_data(version, processed):
        digest = read_facts(processed)["test_digest"]
        raise UserError(
            f"{version} was scored on test data {version.test_digest[:12]}, but {processed} has test data "
            f"{digest[:12]}. Check out the commit of its run, run dvc repro preprocess@{version.name} and try again, "
            "or evaluate and register its experiment again on the present data."
        )


def has_same_test_data(version: ModelVersionRecord, processed: Path) -> bool:
    return bool(version.test_digest == read_facts(processed)["test_digest"])


def recorded_items(client: MlflowClient, version: ModelVersionRecord, processed: Path) -> pd.DataFrame | None:
    """Return the per-item results of the version's run, or None if they are missing or belong to other test data."""
    if not has_same_test_data(version, processed):
        return None
    try:
        path = download_artifacts(
            run_id=version.run_id, artifact_path="reports/items.parquet", tracking_uri=client.tracking_uri
        )
    except (MlflowException, OSError):
        return None
    return pd.read_parquet(path)
