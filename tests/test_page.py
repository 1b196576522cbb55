"""The page as a whole in a real browser: on every screen, with a key, without a champion, and /docs beside it."""

import re
import shutil

import pytest
from playwright.sync_api import expect

from browsing import SCREENS, classify, draw, keep
from served import DIGITS, POEMS, serving

pytestmark = pytest.mark.browser


def test_docs_show_each_operation_with_no_other_host_asked(server, visit):
    """`visit` fails where another host is asked: here as on every other page."""
    page = visit(f"{server.url}/docs", tab=None)
    expect(page.get_by_text(f"/v1/models/{DIGITS}/predict")).to_be_visible()
    expect(page.get_by_text(f"/v1/models/{POEMS}/stream")).to_be_visible()
    keep(page, "docs")


def test_the_models_tab_tells_of_each_champion_and_follows_a_promotion(server, visit, moved):
    page = visit(server.url, tab="Models")
    expect(page.locator(".champion")).to_have_count(4)
    line = page.locator(".champion").filter(has_text=DIGITS)
    expect(line).to_contain_text("version 2 · best")
    moved("1")
    expect(line).to_contain_text("version 1 · weak")
    line.click()
    expect(line).to_contain_text("A small model for tests")
    address = line.get_by_role("link", name="Its run in MLflow").get_attribute("href")
    assert re.fullmatch(r"http://127.0.0.1:5000/#/experiments/\d+/runs/[0-9a-f]{32}", address)
    keep(page, "models")


def test_an_opened_card_fits_a_phone_and_names_keep_their_underscores(server, visit):
    page = visit(server.url, "phone", tab="Models")
    line = page.locator(".champion").first
    line.click()
    expect(line.locator(".prose")).to_contain_text("worst_class_recall")
    keep(page, "phone-card")
    edges = "parts => parts.map(part => part.getBoundingClientRect().right)"
    inside = line.locator(".prose *").evaluate_all(edges)
    assert inside and max(inside) <= line.evaluate_all(edges)[0]


@pytest.mark.parametrize("screen", SCREENS)
def test_nothing_is_wider_than_the_screen_on_any_tab(server, visit, screen):
    page = visit(server.url, screen)
    for tab in ("Digits", "Writing", "Translation", "Steering", "Models"):
        page.get_by_role("tab", name=tab).click()
        expect(page.locator(".asks").first).to_be_visible()
        keep(page, f"{screen}-{tab.lower()}")
        assert page.evaluate("document.documentElement.scrollWidth") <= SCREENS[screen]["viewport"]["width"], tab


def test_light_and_dark_are_one_press_apart(server, visit):
    page = visit(server.url)
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Light or dark").click()
    expect(page.locator("body")).not_to_have_css("background-color", light)
    page.get_by_role("button", name="Light or dark").click()
    expect(page.locator("body")).to_have_css("background-color", light)


def test_with_a_key_the_browser_is_asked_for_it_and_the_page_works(guarded, visit):
    page = visit(guarded.url, http_credentials={"username": "", "password": "a key"})
    draw(page, 7)
    assert classify(page) == "7"


def test_a_task_without_a_champion_shows_how_to_get_one(four, empty_store, visit, tmp_path):
    shutil.copyfile(empty_store, tmp_path / "mlflow.db")
    with serving(four, f"sqlite:///{tmp_path / 'mlflow.db'}") as empty:
        page = visit(empty.url)
        expect(page.get_by_text("dvc repro register@demo-digits && lectern promote sample_digits")).to_be_visible()
        assert empty.get("/readyz").status_code == 503
        keep(page, "no-champion")
