"""Test that a challenger is loaded on the first request, and again after the alias has moved."""

import pytest
from mlflow import MlflowClient

from lectern.serving.challengers import Challengers
from lectern.serving.champions import Champions, NotServed
from sample_champions import DIGITS, TEXT


@pytest.fixture
def champions(serving_project, monkeypatch) -> Champions:
    monkeypatch.chdir(serving_project)
    champions = Champions(MlflowClient(f"sqlite:///{serving_project / 'mlflow.db'}"))
    champions.refresh()
    return champions


def test_a_challenger_is_loaded_on_the_first_request_and_kept(champions):
    challengers = Challengers(champions)
    assert challengers.find_number(DIGITS) == 1 and challengers.loaded == {}
    first = challengers.load(DIGITS)
    assert first.version.number == 1 and champions.get(DIGITS).version.number == 2
    assert challengers.load(DIGITS) is first


def test_a_new_challenger_replaces_the_old_one(champions, move_champion):
    challengers = Challengers(champions)
    challengers.load(DIGITS)
    move_champion("1")
    champions.refresh()
    assert challengers.load(DIGITS).version.number == 2


def test_a_model_without_a_challenger_is_reported(champions):
    assert Challengers(champions).find_number(TEXT) is None
    with pytest.raises(NotServed, match="sample_code has no challenger"):
        Challengers(champions).load(TEXT)
