"""Test that `lectern serve` loads new champions of the registry, and that wrong settings are reported."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
from mlflow import MlflowClient

from lectern.errors import UserError
from lectern.registry.registered_model import RegisteredModel
from lectern.serving import champions as champions_module
from lectern.serving.champions import Champion, Champions, LoadFailures, NotServed
from lectern.serving.settings import read_settings
from sample_champions import CHAMPIONS, DIGITS, TEXT


@pytest.fixture
def champions(serving_project, tmp_path) -> Champions:
    """Return the champions that are loaded from a copy of the store."""
    shutil.copyfile(serving_project / "mlflow.db", tmp_path / "mlflow.db")
    loaded = Champions(MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}"))
    loaded.refresh()
    return loaded


@pytest.mark.slow
def test_an_unchanged_champion_stays_loaded(champions):
    loaded = champions.get(DIGITS)
    champions.refresh()
    assert champions.get(DIGITS) is loaded and loaded.version.number == 2
    assert [champion.name for champion in champions.all()] == sorted(CHAMPIONS)


def test_a_moved_alias_loads_another_version_and_a_deleted_one_is_reported(champions):
    model = RegisteredModel(champions.client, DIGITS)
    model.point_champion(model.get("1"))
    champions.refresh()
    assert champions.get(DIGITS).version.number == 1
    champions.client.delete_registered_model_alias(DIGITS, "champion")
    champions.client.delete_registered_model(TEXT)
    champions.refresh()
    with pytest.raises(NotServed, match=f"has no champion yet. Run `lectern promote {DIGITS}`."):
        champions.get(DIGITS)
    with pytest.raises(NotServed, match=f"No model '{TEXT}' is registered"):
        champions.get(TEXT)


def test_the_old_version_stays_if_the_files_of_the_new_one_are_missing(champions, tmp_path):
    client = champions.client
    tags = client.get_model_version(DIGITS, "2").tags
    incomplete = client.create_model_version(DIGITS, (tmp_path / "missing").as_uri(), tags=tags)
    client.set_registered_model_alias(DIGITS, "champion", incomplete.version)
    champions.refresh()
    assert (
        champions.get(DIGITS).version.number == 2
        and "the files of this version are missing" in champions.problems[DIGITS]
    )
    client.set_registered_model_alias(DIGITS, "champion", "1")
    champions.refresh()
    assert champions.get(DIGITS).version.number == 1 and champions.problems == {}


@pytest.mark.parametrize(("duration", "pauses"), [(2.0, [20, 40, 60, 60]), (10.0, [100, 100, 100])])
def test_the_pause_between_two_attempts_to_load_a_version_grows_up_to_a_limit(monkeypatch, duration, pauses):
    monkeypatch.setattr(champions_module, "time", SimpleNamespace(monotonic=lambda: 1000.0))
    failures = LoadFailures()
    for pause in pauses:
        failures.add(duration)
        assert failures.retry_at == 1000 + pause


def test_a_version_that_failed_to_load_is_not_loaded_by_the_next_refresh(champions, tmp_path, monkeypatch):
    version = champions.client.create_model_version(DIGITS, (tmp_path / "missing").as_uri())
    champions.client.set_registered_model_alias(DIGITS, "champion", version.version)
    monkeypatch.setattr(champions_module, "RETRY_FACTOR", 10_000)
    for _ in range(3):
        champions.refresh()
    failures = champions.failures[DIGITS, int(version.version)]
    assert failures.count == 1
    failures.retry_at = 0
    champions.refresh()
    assert failures.count == 2


def test_models_of_real_datasets_are_listed_before_samples(champions):
    mnist = Champion(replace(champions.get(DIGITS).version, name="mnist"), champions.get(DIGITS).model)
    champions.served = {**champions.served, "mnist": mnist}
    assert [champion.name for champion in champions.for_task("digits")] == ["mnist", DIGITS]


# Settings


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("port_number: 8000", "conf/serve.yaml: unknown key 'port_number'; did you mean 'port'"),
        ("port: many", "conf/serve.yaml: port is 'many'; expected an integer"),
        ("port: -1", "port is -1; expected a number greater than or equal to 0"),
        ("port: 65536", "port is 65536; expected a number less than or equal to 65535"),
        ("", "conf/serve.yaml: missing key 'port'"),
    ],
    ids=["unknown", "type", "negative", "large", "missing"],
)
def test_a_wrong_setting_is_reported_with_file_and_key(tmp_path, monkeypatch, serving_project, line, message):
    text = (serving_project / "conf" / "serve.yaml").read_text()
    assert "port: 8000" in text
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "serve.yaml").write_text(text.replace("port: 8000", line))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        read_settings()


def test_an_option_of_the_command_replaces_a_setting_and_is_checked_too(monkeypatch, serving_project):
    monkeypatch.chdir(serving_project)
    assert read_settings(port=1234, host=None).port == 1234
    with pytest.raises(UserError, match="port is 70000"):
        read_settings(port=70000)


def test_the_printed_settings_do_not_contain_the_api_key(serving_project, monkeypatch):
    monkeypatch.chdir(serving_project)
    monkeypatch.setenv("LECTERN_API_KEY", "secret")
    assert read_settings().api_key == "secret" and "secret" not in repr(read_settings())
