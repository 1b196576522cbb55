"""Test the links from a registered version back to the sources of its data."""

import json
import shutil
from pathlib import Path

import pytest

from lectern.registry import lineage, lineage_links
from lectern.registry.versions import download_model_folder, open_version
from registered import BEST, NAME


def trace(client) -> dict[str, lineage.Link]:
    links = lineage.trace(*open_version(client, f"{NAME}@{BEST}"))
    return {link.name: link for link in links}


def broken(client) -> dict[str, str]:
    return {name: link.broken for name, link in trace(client).items() if link.broken}


def edit_weights(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" ")


def test_a_version_is_traced_back_to_its_sources(registered_client):
    links = trace(registered_client)
    assert {"source", "raw files", "processed data", "config", "run", "version", "alias"} <= links.keys()
    assert not any(links[name].broken for name in ("version", "model folder", "run", "processed data", "alias"))
    assert links["source"].status == "not checked" and links["run"].status == "intact"


def train_again(client) -> None:
    edit_weights(Path("models/best/weights.safetensors"))


def remove_model_folder(client) -> None:
    shutil.rmtree("models/best")


def remove_processed_data(client) -> None:
    Path("data/processed", NAME, "facts.json").unlink()


def remove_origin_config(client) -> None:
    Path("conf/origin", f"{NAME}.yaml").unlink()


def delete_run(client) -> None:
    client.delete_run(client.get_model_version(NAME, BEST).run_id)


def change_weights_of_run(client) -> None:
    client.set_tag(client.get_model_version(NAME, BEST).run_id, "lectern.weights", "0" * 64)


@pytest.mark.parametrize(
    ("change", "link", "reason"),
    [
        (train_again, "model folder", "trained again since"),
        (remove_model_folder, "model folder", "does not exist; run `dvc repro` or `dvc pull`"),
        (remove_processed_data, "processed data", "does not exist; run `dvc repro` or `dvc pull`"),
        (remove_origin_config, "source", "does not exist"),
        (change_weights_of_run, "run", "the run has different weights than the version"),
    ],
)
def test_a_change_breaks_only_its_own_link(registered_client, change, link, reason):
    before = broken(registered_client)
    change(registered_client)
    after = broken(registered_client)
    assert after.keys() - before.keys() == {link} and reason in after[link]


def test_a_deleted_run_is_reported(registered_client):
    delete_run(registered_client)
    assert broken(registered_client)["run"] == "missing from the store; run `lectern reconcile`"


@pytest.mark.slow
def test_changed_files_of_a_version_are_reported(client):
    from registered import register

    (version,) = register(client, "best")
    edit_weights(download_model_folder(client, version) / "weights.safetensors")
    links = {link.name: link for link in lineage.trace(*open_version(client, f"{NAME}@1"))}
    assert links["version"].broken == "its files have changed"
    shutil.rmtree(download_model_folder(client, version))
    links = {link.name: link for link in lineage.trace(*open_version(client, f"{NAME}@1"))}
    assert "the files of this version are missing from" in links["version"].broken


def test_a_raw_file_is_compared_with_its_pinned_digest(registered_client, raw_digits):
    pinned = {"sha256": "0" * 64}
    path = next(path for path in sorted(raw_digits.iterdir()))
    assert lineage_links.file_problem(path, pinned) == f"{path} does not have the pinned SHA-256"
    assert "does not exist" in lineage_links.file_problem(Path("data/raw/missing"), pinned)


def test_a_run_that_was_trained_on_other_data_is_reported(registered_client):
    from mlflow.entities import Dataset, DatasetInput

    run = registered_client.get_model_version(NAME, BEST).run_id
    registered_client.log_inputs(run, [DatasetInput(Dataset(NAME, "0" * 32, "lectern", json.dumps({})), [])])
    assert broken(registered_client)["processed data"] == "the run was trained on different data"
