"""Test that the address of the page and a cookie keep the tab, the model and the theme of a visitor."""

import re

import pytest
from playwright.sync_api import expect

from browsing import open_tab
from sample_champions import DIGITS, TEXT, TRANSLATION

pytestmark = pytest.mark.browser


def test_a_reload_keeps_the_tab_and_the_theme(server, open_page):
    page = open_page(server.url)
    open_tab(page, "Translation")
    page.wait_for_url(re.compile(r"\?tab=translation$"))
    page.get_by_role("button", name="Light or dark").click()
    expect(page.locator("body.body--dark")).to_have_count(1)
    page.reload()
    expect(page.get_by_role("button", name="Translate")).to_be_visible()
    expect(page.locator("body.body--dark")).to_have_count(1)


def test_a_link_opens_the_tab_and_the_model(server, open_page):
    page = open_page(f"{server.url}/?tab=translation&model={TRANSLATION}", tab=None)
    expect(page.get_by_role("tab", name="Translation")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("combobox", name="Model")).to_have_value(re.compile("sample numbers"))


def test_the_address_of_an_opened_card_opens_the_card(server, open_page):
    page = open_page(server.url, tab="Models")
    page.locator(".champion").filter(has_text=TEXT).first.get_by_role("button").first.click()
    page.wait_for_url(re.compile(rf"\?tab=models&model={TEXT}$"))
    page.reload()
    expect(page.get_by_text("A small model for tests")).to_be_visible()


@pytest.mark.parametrize("query", ["?tab=unknown&model=unknown", "?tab=digits&model=<script>", f"?model={DIGITS}"])
def test_an_unknown_tab_or_model_shows_the_first_one(server, open_page, query):
    page = open_page(f"{server.url}/{query}", tab=None)
    expect(page.get_by_role("combobox", name="Model")).to_have_value(re.compile("sample digits, version"))
