"""Test that versions and outputs of older releases are refused with a message, and that everything else works."""

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient

from children import lectern
from lectern.errors import UserError
from lectern.registry.registered_model import RegisteredModel
from lectern.registry.versions import find_version
from lectern.serving.champions import Champions, NotServed, load_champion
from registered import BEST, BETTER, NAME, WEAK, champion, promote, register_with_old_tags, rollback

REASON = (
    "sample_digits version 3 was registered by an older version of Lectern. Missing tags: baseline. "
    "Existing tags: code, commit, dataset, experiment, floor, higher_is_better, metrics, requirements, score, task, "
    "test_digest, weights. Train and register the experiment again: dvc repro register@best"
)


@pytest.fixture
def old_version(registered_client) -> MlflowClient:
    """Return a client of a store whose version BEST has the tags of an older version of Lectern."""
    register_with_old_tags(registered_client, BEST)
    return registered_client


def use_old_model_folder(folder: Path) -> None:
    """Change the format of a model folder to that of an older version of Lectern."""
    path = folder / "module.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 1}))


def use_old_metrics(experiment: str) -> None:
    """Rename the baseline in the metrics of an experiment to the name in older versions of Lectern."""
    path = Path(f"metrics/{experiment}.json")
    metrics = json.loads(path.read_text())
    baseline = metrics.pop("baseline")
    path.write_text(json.dumps({**metrics, "floor": baseline}))


# Tags of older versions


def test_an_old_version_is_refused_by_promote_and_rollback(old_version):
    promote(old_version, WEAK)
    for action in (promote, rollback):
        with pytest.raises(UserError) as refused:
            action(old_version, BEST)
        assert str(refused.value) == REASON
    assert champion(old_version) == "weak"


def test_an_old_challenger_is_refused_and_a_new_version_replaces_it(old_version):
    with pytest.raises(UserError, match="was registered by an older version of Lectern"):
        promote(old_version)
    model = RegisteredModel(old_version, NAME)
    model.update_challenger(model.get(BETTER))
    assert promote(old_version)[0].experiment == "better"


def test_an_old_champion_is_replaced_without_a_comparison(registered_client):
    promote(registered_client, BEST)
    register_with_old_tags(registered_client, BEST)
    with pytest.raises(UserError, match="was registered by an older version of Lectern"):
        rollback(registered_client)
    version, rules = promote(registered_client, BETTER)
    assert version.experiment == "better" == champion(registered_client)
    assert rules[-1].name == "comparison with the champion" and "version 3" in rules[-1].reason


def test_rollback_to_an_old_champion_is_refused(registered_client):
    promote(registered_client, BETTER)
    promote(registered_client, BEST)
    register_with_old_tags(registered_client, BETTER)
    with pytest.raises(UserError, match="version 2 was registered by an older version of Lectern"):
        rollback(registered_client)
    assert champion(registered_client) == "best"


def test_registry_show_lists_the_other_versions_and_reports_the_old_one(old_version):
    ended = lectern("registry", "show", NAME)
    assert ended.code == 0 and REASON in ended.said and "Traceback" not in ended.said
    assert "better" in ended.said and "weak" in ended.said
    rows = json.loads(lectern("registry", "show", NAME, "--json").said.splitlines()[0])
    assert [row["version"] for row in rows] == [2, 1]


def test_registry_list_counts_the_old_champion_and_reports_it(registered_client):
    promote(registered_client, BEST)
    register_with_old_tags(registered_client, BEST)
    ended = lectern("registry", "list", "--json")
    (row,) = json.loads(ended.said.splitlines()[0])
    assert ended.code == 0 and row["versions"] == 3 and row["champion"] == 3 and row["score"] is None
    assert REASON in ended.said


def test_experiments_are_listed_and_the_old_version_is_reported(old_version):
    ended = lectern("experiments", "--json")
    assert ended.code == 0 and REASON in ended.said and "Traceback" not in ended.said
    rows = {row["experiment"]: row for row in json.loads(next(li for li in ended.said.splitlines() if li[0] == "["))}
    assert rows["better"]["version"] == 2 and rows["best"]["version"] is None and rows["best"]["score"] is not None


@pytest.mark.parametrize("command", ["verify", "lineage"])
def test_an_old_version_is_refused_by_commands_that_check_it(old_version, command):
    ended = lectern(command, f"{NAME}@{BEST}")
    assert ended.code == 1 and ended.said.splitlines()[-1] == f"lectern: {REASON}"
    assert lectern(command, f"{NAME}@{BETTER}").code in (0, 3)


@pytest.mark.slow
def test_reconcile_reports_the_old_version_and_registers_its_outputs_again(old_version):
    ended = lectern("reconcile")
    assert ended.code == 0 and REASON in ended.said and "Traceback" not in ended.said
    assert f"best: {NAME} version 4" in ended.said
    assert find_version(old_version, f"{NAME}@4").experiment == "best"


@pytest.mark.slow
@pytest.mark.nightly
def test_reconcile_keeps_an_old_champion(registered_client):
    promote(registered_client, BEST)
    register_with_old_tags(registered_client, BEST)
    ended = lectern("reconcile")
    assert ended.code == 0 and REASON in ended.said and "cannot restore the champion" not in ended.said
    assert RegisteredModel(registered_client, NAME).champion_number in (3, 4)


def test_the_server_reports_an_old_champion_and_serves_the_others(registered_client, caplog):
    promote(registered_client, BEST)
    champions = Champions(registered_client)
    champions.refresh()
    assert champions.get(NAME).version.number == 3
    register_with_old_tags(registered_client, BEST)
    champions = Champions(registered_client)
    champions.refresh()
    assert champions.problems == {NAME: REASON}
    with pytest.raises(NotServed, match="cannot be loaded. The log of the server contains the reason"):
        champions.get(NAME)
    assert "was registered by an older version of Lectern" in caplog.text


# Outputs of older versions


@pytest.mark.nightly
def test_an_old_model_folder_of_a_version_is_refused(client):
    from lectern.registry.versions import download_model_folder
    from registered import register

    (version,) = register(client, "best")
    use_old_model_folder(download_model_folder(client, version))
    for action in (promote, lambda client: load_champion(NAME, "digits", client)):
        client.set_registered_model_alias(NAME, "challenger", "1")
        if action is not promote:
            client.set_registered_model_alias(NAME, "champion", "1")
        with pytest.raises(UserError, match="format 1.*format 2"):
            action(client)
    champions = Champions(client)
    champions.refresh()
    assert "format 1" in champions.problems[NAME]
    ended = lectern("verify", f"{NAME}@1")
    assert ended.code == 1 and "format 1" in ended.said and "Traceback" not in ended.said


@pytest.mark.slow
@pytest.mark.parametrize("make_old", [use_old_metrics, lambda name: use_old_model_folder(Path("models", name))])
@pytest.mark.nightly
def test_old_outputs_in_the_checkout_are_reported_and_other_experiments_are_listed(registered_client, make_old):
    make_old("best")
    ended = lectern("experiments")
    assert ended.code == 0 and "Traceback" not in ended.said
    assert "lectern: best: " in ended.said and "better" in ended.said
    assert "rain" in ended.said.partition("lectern: best: ")[2]  # The message contains the instruction to train again.
    assert lectern("registry", "list").code == 0
    reconciled = lectern("reconcile")
    assert reconciled.code == 0 and "best: " in reconciled.said and "Traceback" not in reconciled.said


def test_old_metrics_cannot_be_registered(client):
    from registered import register

    use_old_metrics("best")
    with pytest.raises(
        UserError, match=r"metrics/best.json lacks baseline, because an older version .*dvc repro register@best"
    ):
        register(client, "best")
