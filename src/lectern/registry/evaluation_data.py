"""Check that the test data in this checkout are the test data that a version was scored on."""

from pathlib import Path

import pandas as pd
from mlflow import MlflowClient

from lectern.artifacts.dataset import read_facts
from lectern.errors import UserError
from lectern.registry.version_record import ModelVersionRecord
from lectern.tracking.downloads import download


def check_test_data(version: ModelVersionRecord, processed: Path) -> None:
    """Raise UserError unless the dataset `processed` contains the test data that the version was scored on."""
    if not has_same_test_data(version, processed):
        digest = read_facts(processed)["test_digest"]
        raise UserError(
            f"{version} was scored on test data {version.test_digest[:12]}, but {processed} has test data "
            f"{digest[:12]}. Check out the commit of the version's run, run dvc repro preprocess@{version.name} "
            "and try again. Or evaluate and register the experiment again with the present data."
        )


def has_same_test_data(version: ModelVersionRecord, processed: Path) -> bool:
    return bool(version.test_digest == read_facts(processed)["test_digest"])


def recorded_items(client: MlflowClient, version: ModelVersionRecord, processed: Path) -> pd.DataFrame | None:
    """Return the results per test item that are stored with the version's run.

    Return None if the results are missing, or if the dataset `processed` has different test data.
    """
    if not has_same_test_data(version, processed):
        return None
    try:
        return pd.read_parquet(download(f"runs:/{version.run_id}/reports/items.parquet", client.tracking_uri))
    except (UserError, OSError, ValueError):  # pandas raises ValueError if the file is damaged
        return None
