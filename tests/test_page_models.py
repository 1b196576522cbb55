"""Test what the page says about a model: score, unit, baseline, training data, pictures and the challenger."""

import pytest
from mlflow import MlflowClient
from playwright.sync_api import expect

from browsing import draw_on_canvas, open_tab, save_screenshot
from sample_champions import DIGITS, STEERING

pytestmark = pytest.mark.browser


def test_the_menu_and_the_facts_describe_the_model(server, open_page):
    page = open_page(server.url)
    expect(page.get_by_role("combobox", name="Model")).to_have_value("sample digits, version 2, accuracy 0.900")
    facts = page.locator(".model-facts")
    expect(facts).to_contain_text("trained on sample_digits, 1,257 images")
    expect(facts).to_contain_text("accuracy 0.900 (share of images), higher is better")
    expect(facts).to_contain_text("baseline 0: always predict the most frequent digit")


@pytest.mark.parametrize(
    ("tab", "text"),
    [
        ("Writing", "783 characters"),
        ("Translation", "18 sentence pairs"),
        ("Sentences", "98 sentences"),
        ("Steering", "42 frames. Test score: angle rmse 0.500 (share of the full lock of 25 degrees)"),
    ],
)
def test_each_tab_names_the_training_data(server, open_page, tab, text):
    expect(open_page(server.url, tab=tab).locator(".model-facts")).to_contain_text(text)


def test_the_menu_shows_a_promotion(server, open_page, move_champion):
    page = open_page(server.url)
    move_champion("1")
    expect(page.get_by_role("combobox", name="Model")).to_have_value("sample digits, version 1, accuracy 0.500")


def test_the_list_of_models_explains_scores_and_baselines(server, open_page):
    row = open_page(server.url, tab="Models").locator(".champion").filter(has_text=STEERING)
    for text in ("share of the full lock of 25 degrees", "baseline 0: always predict the mean angle", "42 frames"):
        expect(row).to_contain_text(text)


def test_a_model_card_shows_the_pictures_of_the_report(server, open_page):
    page = open_page(server.url, tab="Models")
    row = page.locator(".champion").filter(has_text=DIGITS)
    row.get_by_role("button").first.click()
    picture = row.get_by_role("img", name="Curve of the loss")
    expect(picture).to_be_visible()
    page.wait_for_function("[...document.querySelectorAll('.card-content img')].every(image => image.naturalWidth)")
    expect(row.locator(".card-content img")).to_have_count(1)  # A picture of another host is left out.
    save_screenshot(page, "card-with-picture")


def test_code_has_a_monospaced_font(server, open_page):
    page = open_page(server.url, tab="Models")
    row = page.locator(".champion").first
    row.get_by_role("button").first.click()
    expect(row.locator(".markdown pre").first).to_be_visible()
    for part in (row.locator(".markdown pre").first, row.locator(".markdown code").first, row.locator(".note.code")):
        assert "mono" in part.evaluate("part => getComputedStyle(part).fontFamily").lower()


def test_the_answer_of_the_challenger_is_shown_on_request(server, open_page):
    page = open_page(server.url)
    draw_on_canvas(page, 7)
    expect(page.get_by_text(f"model: {DIGITS} version 2 (best)")).to_be_visible()
    expect(page.get_by_text(f"model: {DIGITS} version 1 (weak)")).to_have_count(0)
    page.get_by_role("checkbox", name="Compare with the challenger").click()
    expect(page.get_by_text(f"model: {DIGITS} version 1 (weak)")).to_be_visible()
    expect(page.get_by_role("heading", name="Challenger")).to_be_visible()
    expect(page.locator("img.network-input:visible")).to_have_count(2)
    save_screenshot(page, "challenger")


def test_a_model_without_a_challenger_offers_no_comparison(server, open_page):
    page = open_page(server.url)
    open_tab(page, "Translation")
    expect(page.get_by_role("checkbox")).to_be_hidden()


@pytest.fixture
def strange_model(serving_project):
    """Return a function that registers a copy of the digits champion under a strange name, and delete it later."""
    client = MlflowClient(f"sqlite:///{serving_project / 'mlflow.db'}")
    names = []

    def register(name: str) -> None:
        original = client.get_model_version_by_alias(DIGITS, "champion")
        client.create_registered_model(name)
        names.append(name)
        copy = client.create_model_version(name, original.source, original.run_id, tags=original.tags)
        client.set_registered_model_alias(name, "champion", copy.version)

    yield register
    for name in names:
        client.delete_registered_model(name)


@pytest.mark.parametrize(
    "name",
    ['q" innerHTML="<img src=x onerror=window.attacked=1>', 'q" onmouseover="window.attacked=1', "b\\x", "b\\N{x}"],
    ids=["markup", "handler", "escape", "named escape"],
)
def test_the_name_of_a_model_is_shown_as_text(server, open_page, strange_model, name):
    strange_model(name)
    page = open_page(server.url)
    open_tab(page, "Models")
    row = page.get_by_text(name, exact=True).first
    expect(row).to_be_visible(timeout=30_000)
    row.hover()
    assert page.evaluate("window.attacked") is None
