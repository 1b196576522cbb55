"""Test that the gate names the rules that it could not check on this machine, and then refuses the version."""

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from children import lectern
from registered import BEST, BETTER, NAME, audit_log_file, champion, promote

REPEATED = ("reproduces its score", "better than the champion by more than noise", "latency within its limit")


def labels(said: str) -> dict[str, str]:
    """Return the label (pass, FAIL, not checked) of each rule that `lectern promote` printed."""
    lines = [line.strip() for line in said.splitlines() if line.startswith("  ")]
    pairs = [line.partition(":")[0].split("  ", 1) for line in lines]
    return {name: label for label, name in pairs}


def delete_data() -> str:
    shutil.rmtree(f"data/processed/{NAME}")
    return f"data/processed/{NAME}/facts.json does not exist"


def delete_test_images() -> str:
    Path(f"data/processed/{NAME}/test_images.npy").unlink()
    return f"data/processed/{NAME}/test_images.npy"


def replace_data() -> str:
    facts = Path(f"data/processed/{NAME}/facts.json")
    facts.write_text(json.dumps({**json.loads(facts.read_text()), "test_digest": "0" * 64}))
    return "but data/processed/sample_digits has test data 000000000000"


@pytest.mark.parametrize("damage", [delete_data, delete_test_images, replace_data], ids=lambda damage: damage.__name__)
def test_without_repeatable_test_data_the_gate_names_what_it_could_not_check(registered_client, damage):
    promote(registered_client, BETTER)
    reason = damage()
    refused = lectern("promote", NAME, "--version", BEST)
    assert refused.code == 3 and champion(registered_client) == "better"
    found = labels(refused.said)
    assert {name for name, label in found.items() if label == "not checked"} == set(REPEATED)
    assert {found[name] for name in ("above the baseline", "size within its limit")} == {"pass"}
    # The recorded values belong to the same test data, so the rule can be checked.
    assert found["worst_class_recall within its tolerance"] == "pass"
    assert refused.said.count(reason) == len(REPEATED)


def test_a_forced_promotion_logs_which_rules_were_not_checked(registered_client):
    promote(registered_client, BETTER)
    delete_data()
    promote(registered_client, BEST, force="the data are on another machine")
    rules = json.loads(audit_log_file().splitlines()[-1])["rules"]
    assert {rule["name"] for rule in rules if not rule["checked"]} == set(REPEATED)
    assert champion(registered_client) == "best"


def test_a_champion_without_recorded_items_is_scored_again(registered_client, monkeypatch):
    promote(registered_client, BETTER)
    # `recorded_items` is replaced instead of deleting the stored items, because all tests share the stored files.
    monkeypatch.setattr("lectern.registry.gate.recorded_items", lambda *_: None)
    assert all(rule.checked and rule.passed for rule in promote(registered_client, BEST)[1])


def test_without_the_files_of_the_champion_no_comparison_is_checked(registered_client):
    promote(registered_client, BETTER)
    with sqlite3.connect(registered_client.tracking_uri.removeprefix("sqlite:///")) as database:
        database.execute("update model_versions set source = '/removed' where version = ?", (int(BETTER),))
    refused = lectern("promote", NAME, "--version", BEST)
    assert refused.code == 3
    found = labels(refused.said)
    assert found["reproduces its score"] == "pass"
    unchecked = {name for name, label in found.items() if label == "not checked"}
    assert unchecked == {*REPEATED[1:], "size within its limit", "worst_class_recall within its tolerance"}
    assert refused.said.count("the files of this version are missing from /removed") == 4


def test_without_the_config_of_the_dataset_its_guards_are_not_checked(registered_client):
    promote(registered_client, BETTER)
    Path(f"conf/dataset/{NAME}.yaml").unlink()
    refused = lectern("promote", NAME, "--version", BEST)
    assert refused.code == 3 and champion(registered_client) == "better"
    assert f"not checked  guards of the dataset: conf/dataset/{NAME}.yaml" in refused.said
