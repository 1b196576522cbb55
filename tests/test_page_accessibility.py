"""Check the page with axe-core in both themes and on a phone, and with the keyboard."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from browsing import draw_on_canvas, expect_digit, open_tab
from lectern.tasks.translation.serving.attention_map import weight_cell

pytestmark = pytest.mark.browser

FOCUS = """() => {
  const element = document.activeElement;
  const shown = [element, element.closest('.q-field')?.querySelector('.q-field__control'),
    element.closest('.q-checkbox')?.querySelector('.q-checkbox__bg')];
  const styles = shown.filter(Boolean).map((part) => getComputedStyle(part));
  const visible = styles.some((style) => style.outlineStyle !== 'none' && style.outlineWidth !== '0px');
  return [element.outerHTML.slice(0, 120), visible];
}"""  # the focused element, and whether an outline is visible

TABS = ("Digits", "Writing", "Translation", "Steering", "Models")


def show_result(page: Page, tab: str) -> None:
    """Open a tab and let the model answer, so that axe-core also checks the answer."""
    open_tab(page, tab)
    if tab == "Digits":
        page.get_by_role("checkbox").click()
        draw_on_canvas(page, 7)
        expect_digit(page, 7)
    elif tab == "Writing":
        page.get_by_label("Length", exact=True).fill("50")
        page.get_by_role("button", name="Write").click()
        expect(page.get_by_text("50 characters, model:")).to_be_visible()
    elif tab == "Translation":
        page.get_by_role("button", name="Translate").click()
        expect(page.locator(".heat")).to_be_visible()
    elif tab == "Steering":
        page.get_by_role("button", name="Play", exact=True).click()
        expect(page.locator(".player")).to_be_visible()
    else:
        page.locator(".champion").first.get_by_role("button").first.click()
        expect(page.locator(".markdown")).to_be_visible()
    page.mouse.move(0, 0)
    page.wait_for_timeout(700)  # After this time, the animations of the page have ended.


def find_violations(page: Page) -> list[str]:
    violations = Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {node['html'][:200]} {node['failureSummary']}" for rule in violations for node in rule["nodes"]
    ]


@pytest.mark.parametrize("screen", ["light", "dark", "phone"])
def test_axe_finds_no_violation_in_any_tab(server, open_page, screen):
    page = open_page(server.url, screen)
    for tab in TABS:
        show_result(page, tab)
        assert find_violations(page) == [], tab


def test_axe_finds_no_violation_in_an_error(server, open_page):
    page = open_page(server.url, tab="Translation")
    page.get_by_label("Beam", exact=True).fill("0")
    page.get_by_role("button", name="Translate").click()
    expect(page.get_by_role("alert").filter(has_text="beam is 0")).to_be_visible()
    assert find_violations(page) == []


def test_the_page_has_a_language_and_one_main_heading(server, open_page):
    page = open_page(server.url)
    assert page.evaluate("document.documentElement.lang") == "en-US"
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    expect(page.get_by_role("heading", level=1)).to_have_text("Lectern")


def test_each_focused_element_has_a_visible_outline(server, open_page):
    page = open_page(server.url)
    for tab in TABS:
        open_tab(page, tab)
        page.get_by_role("tab", name=tab).focus()
        for _ in range(12):
            page.keyboard.press("Tab")
            page.wait_for_timeout(60)
            element, visible = page.evaluate(FOCUS)
            assert visible or element.startswith("<body"), (tab, element)


def test_controls_of_a_tab_have_distinct_names(server, open_page):
    page = open_page(server.url)
    for tab in TABS:
        open_tab(page, tab)
        for role in ("button", "combobox", "textbox", "spinbutton", "slider"):
            names = [item.aria_snapshot().splitlines()[0] for item in page.get_by_role(role).all() if item.is_visible()]
            assert len(names) == len(set(names)), (tab, role, names)


def test_tabs_and_forms_work_with_the_keyboard_only(server, open_page):
    page = open_page(server.url)
    page.get_by_role("tab", name="Digits").focus()
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Translate")).to_be_visible()
    page.get_by_label("Sentence").focus()
    page.keyboard.press("Control+Enter")
    expect(page.locator(".heat")).to_be_visible()


def test_the_plot_of_the_player_is_moved_with_the_keyboard(server, open_page):
    page = open_page(server.url, tab="Steering", reduced_motion="reduce")
    page.get_by_role("button", name="Play", exact=True).click()
    plot = page.get_by_role("slider", name="Error (network minus driver)")
    expect(plot).to_have_attribute("aria-valuenow", "1")
    plot.focus()
    page.keyboard.press("ArrowRight")
    expect(plot).to_have_attribute("aria-valuenow", "2")
    page.keyboard.press("End")
    expect(plot).to_have_attribute("aria-valuenow", "20")
    page.keyboard.press("PageDown")
    expect(plot).to_have_attribute("aria-valuenow", "10")


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_a_video_starts_only_if_the_visitor_accepts_motion(server, open_page, motion):
    page = open_page(server.url, tab="Steering", reduced_motion=motion)
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.locator(".player video")).to_be_visible()
    page.wait_for_timeout(1500)
    assert page.locator("video").evaluate("video => video.paused") == (motion == "reduce")


def luminance(color: str) -> float:
    """Return the relative luminance of a CSS color such as `rgb(255, 255, 255)` or `color(srgb 1 1 1)`."""
    scale = 1 if color.startswith("color") else 255
    channels = [float(number) / scale for number in re.findall(r"[\d.]+", color)[:3]]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("screen", ["light", "dark"])
def test_each_weight_of_the_attention_map_has_enough_contrast(server, open_page, screen):
    page = open_page(server.url, screen)
    show_result(page, "Translation")
    cells = "".join(weight_cell(percent / 100) for percent in range(101))
    page.locator(".heat tbody").evaluate("(body, cells) => { body.innerHTML = `<tr>${cells}</tr>`; }", cells)
    colors = "cells => cells.map(cell => getComputedStyle(cell)).map(style => [style.color, style.backgroundColor])"
    for percent, pair in enumerate(page.locator(".heat tbody td").evaluate_all(colors)):
        dark, bright = sorted(map(luminance, pair))
        assert (bright + 0.05) / (dark + 0.05) >= 4.5, percent
