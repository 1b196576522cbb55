"""Test the web page in a browser: in every window size, in both color modes, with an API key and without a champion."""

import re
import shutil

import pytest
from playwright.sync_api import expect

from browsing import SCREENS, draw_on_canvas, expect_digit, save_screenshot
from lectern_server import run_server
from sample_champions import CHAMPIONS, DIGITS, TEXT

pytestmark = pytest.mark.browser

TABS = ("Digits", "Writing", "Translation", "Steering", "Models")


def test_docs_show_each_operation_without_requests_to_other_hosts(server, open_page):
    """The fixture `open_page` fails the test if a page sends a request to another host."""
    page = open_page(f"{server.url}/docs", tab=None)
    expect(page.get_by_text(f"/v1/models/{DIGITS}/predict")).to_be_visible()
    expect(page.get_by_text(f"/v1/models/{TEXT}/stream")).to_be_visible()
    save_screenshot(page, "docs")


def test_models_tab_lists_each_champion_and_shows_a_promotion(server, open_page, move_champion):
    page = open_page(server.url, tab="Models")
    expect(page.locator(".champion")).to_have_count(len(CHAMPIONS))
    row = page.locator(".champion").filter(has_text=DIGITS)
    expect(row).to_contain_text("version 2 · best")
    move_champion("1")
    expect(row).to_contain_text("version 1 · weak")
    row.click()
    expect(row).to_contain_text("A small model for tests")
    address = row.get_by_role("link", name="Run in MLflow").get_attribute("href")
    run_page = r"http://127.0.0.1:5000/#/experiments/\d+/runs/[0-9a-f]{32}\?workflowType=machine_learning"
    assert re.fullmatch(run_page, address)
    save_screenshot(page, "models")


def test_a_model_card_fits_a_phone_and_names_keep_their_underscores(server, open_page):
    page = open_page(server.url, "phone", tab="Models")
    row = page.locator(".champion").first
    row.click()
    expect(row.locator(".markdown")).to_contain_text("worst_class_recall")
    expect(row.locator("img").first).to_be_visible()
    save_screenshot(page, "phone-card")
    right_edges = "elements => elements.map(element => element.getBoundingClientRect().right)"
    card_edges = row.locator(".markdown > *, .markdown > * > pre, .markdown img").evaluate_all(right_edges)
    assert card_edges and max(card_edges) <= row.evaluate_all(right_edges)[0]
    assert row.locator(".markdown th").last.bounding_box()["height"] < 60  # The words are not broken.
    for part in ("table", "pre"):  # The visitor can scroll parts that are wider than the screen.
        wide = row.locator(f".markdown {part}").last
        assert wide.evaluate("part => part.scrollWidth > part.clientWidth")
        assert wide.evaluate("part => getComputedStyle(part).overflowX") == "auto"


@pytest.mark.parametrize("screen", SCREENS)
def test_no_tab_is_wider_than_the_screen(server, open_page, screen):
    page = open_page(server.url, screen)
    for tab in TABS:
        page.get_by_role("tab", name=tab).click()
        expect(page.locator(".description").first).to_be_visible()
        save_screenshot(page, f"{screen}-{tab.lower()}")
        assert page.evaluate("document.documentElement.scrollWidth") <= SCREENS[screen]["viewport"]["width"], tab


def test_the_style_sheets_of_the_tasks_are_applied(server, open_page):
    page = open_page(server.url)
    expect(page.locator("canvas.drawing-canvas")).to_have_css("touch-action", "none")
    expect(page.locator("canvas.drawing-canvas")).to_have_css("cursor", "crosshair")


def test_the_button_switches_between_light_and_dark(server, open_page):
    page = open_page(server.url)
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Light or dark").click()
    expect(page.locator("body")).not_to_have_css("background-color", light)
    page.get_by_role("button", name="Light or dark").click()
    expect(page.locator("body")).to_have_css("background-color", light)


def test_the_page_works_with_the_api_key_as_the_browser_password(server_with_key, open_page):
    page = open_page(server_with_key.url, http_credentials={"username": "", "password": "a key"})
    draw_on_canvas(page, 7)
    expect_digit(page, 7)


def test_a_task_without_a_champion_shows_how_to_promote_one(serving_project, empty_store, open_page, tmp_path):
    shutil.copyfile(empty_store, tmp_path / "mlflow.db")
    with run_server(serving_project, f"sqlite:///{tmp_path / 'mlflow.db'}") as server:
        page = open_page(server.url)
        expect(page.get_by_text("dvc repro register@mnist-cnn && lectern promote mnist")).to_be_visible()
        assert server.get("/readyz").status_code == 503
        save_screenshot(page, "no-champion")
