"""Champions follow the store, whatever becomes of it; and requests that are answered together stay apart."""

import asyncio
import shutil

import numpy as np
import pytest
from mlflow import MlflowClient

from lectern import registry
from lectern.errors import UserError
from lectern.serving.champions import Champions, NotServed
from lectern.serving.settings import read_settings
from lectern.serving.together import Together
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
    registry.point_champion(champions.client, DIGITS, registry.get_version(champions.client, DIGITS, "1"))
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
    tags = registry.get_version(client, DIGITS, "2").tags
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


# Together


def test_requests_that_wait_are_answered_as_one_batch_each_with_its_own_rows():
    sizes = []

    async def double(rows: np.ndarray) -> np.ndarray:
        sizes.append(len(rows))
        await asyncio.sleep(0.02)
        return 2 * rows

    async def ask() -> list[np.ndarray]:
        together = Together(double, most=8)
        return await asyncio.gather(*(together.ask(np.full(count, count)) for count in (1, 2, 3, 2, 4, 9)))

    answers = asyncio.run(ask())
    assert [answer.tolist() for answer in answers] == [[2 * count] * count for count in (1, 2, 3, 2, 4, 9)]
    assert sizes == [8, 4, 9]  # as many as fit; a request is never split


def test_a_batch_that_fails_tells_each_and_the_next_is_answered():
    async def fail_on_seven(rows: np.ndarray) -> np.ndarray:
        if 7 in rows:
            raise UserError("seven")
        return rows

    async def ask():
        together = Together(fail_on_seven, most=2)
        first = await asyncio.gather(*(together.ask(np.array([n])) for n in (7, 1)), return_exceptions=True)
        return first, await together.ask(np.array([2]))

    first, second = asyncio.run(ask())
    assert all(isinstance(answer, UserError) for answer in first) and second.tolist() == [2]


def test_who_has_gone_away_costs_the_others_nothing():
    async def same(rows: np.ndarray) -> np.ndarray:
        await asyncio.sleep(0.02)
        return rows

    async def ask() -> np.ndarray:
        together = Together(same, most=4)
        gone, stays = (asyncio.create_task(together.ask(np.array([n]))) for n in (1, 2))
        await asyncio.sleep(0)
        gone.cancel()
        return await stays

    assert asyncio.run(ask()).tolist() == [2]


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
