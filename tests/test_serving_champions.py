"""Champions follow the store, whatever becomes of it; and settings are read as they are meant."""

import shutil

import pytest
from mlflow import MlflowClient

from lectern.errors import UserError
from lectern.registry import versions
from lectern.serving.champions import Champions, NotServed
from lectern.serving.settings import read_settings
from served import DIGITS, POEMS, ROAD, TOY


@pytest.fixture
def champions(four, tmp_path) -> Champions:
    """Of a copy of the store of four."""
    shutil.copyfile(four / "mlflow.db", tmp_path / "mlflow.db")
    made = Champions(MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}"))
    made.follow()
    return made


def test_what_is_a_champion_is_served_and_stays_loaded(champions):
    before = champions.get(DIGITS)
    champions.follow()
    assert champions.get(DIGITS) is before and before.number == 2
    assert [champion.name for champion in champions.listed()] == [POEMS, DIGITS, TOY, ROAD]


def test_an_alias_that_moved_is_followed_and_one_that_is_gone_is_told(champions):
    versions.point_champion(champions.client, DIGITS, versions.get_version(champions.client, DIGITS, "1"))
    champions.follow()
    assert champions.get(DIGITS).number == 1
    champions.client.delete_registered_model_alias(DIGITS, "champion")
    champions.client.delete_registered_model(POEMS)
    champions.follow()
    with pytest.raises(NotServed, match=f"has no champion yet. Promote one: lectern promote {DIGITS}"):
        champions.get(DIGITS)
    with pytest.raises(NotServed, match="No model 'sample_code' is registered"):
        champions.get(POEMS)


def test_a_version_whose_files_are_gone_leaves_the_old_one_serving(champions, tmp_path):
    client = champions.client
    tags = versions.get_version(client, DIGITS, "2").tags
    lost = client.create_model_version(DIGITS, (tmp_path / "nowhere").as_uri(), tags=tags)
    client.set_registered_model_alias(DIGITS, "champion", lost.version)
    champions.follow()
    assert champions.get(DIGITS).number == 2 and "its files are gone" in champions.problems[DIGITS]
    client.set_registered_model_alias(DIGITS, "champion", "1")
    champions.follow()
    assert champions.get(DIGITS).number == 1 and champions.problems == {}


def test_real_data_sets_come_before_samples(champions):
    served = champions.served
    champions.served = {**served, "mnist": served[DIGITS].__class__("mnist", served[DIGITS].version, "digits", None)}
    assert [champion.name for champion in champions.of("digits")] == ["mnist", DIGITS]


# Settings


def test_a_wrong_setting_is_told_with_the_nearest(tmp_path, monkeypatch, four):
    (tmp_path / "conf").mkdir()
    text = (four / "conf" / "serve.yaml").read_text()
    monkeypatch.chdir(tmp_path)
    for wrong, told in (
        (text.replace("waiting:", "wating:"), "did you mean 'waiting'"),
        (text.replace("waiting: 256", "waiting: many"), "waiting is 'many'"),
        (text.replace("waiting: 256", "waiting: -1"), "at least 0"),
    ):
        (tmp_path / "conf" / "serve.yaml").write_text(wrong)
        with pytest.raises(UserError, match=told):
            read_settings()


def test_the_key_is_not_shown_where_settings_are(four, monkeypatch):
    monkeypatch.chdir(four)
    monkeypatch.setenv("LECTERN_API_KEY", "secret")
    assert read_settings().api_key == "secret" and "secret" not in repr(read_settings())
