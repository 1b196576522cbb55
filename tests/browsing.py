"""Open the web page in Chromium. Screenshots are written to screenshots/."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from drawn_digits import CANVAS_SIZE, make_strokes

SCREENSHOTS = Path(__file__).parents[1] / "screenshots"
TIMEOUT_MS = 90_000  # This timeout is long, because a busy machine can be slow.
SCREENS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 900}},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True},
}


@contextmanager
def run_browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    assert chromium, "no browser found; install one: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def page_opener(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Yield a function that opens a page in a window of a given size.

    The test fails if a page raises a JavaScript error or sends a request to another host.
    """
    contexts, errors = [], []
    expect.set_options(timeout=TIMEOUT_MS)

    def open_page(url: str, screen: str = "light", tab: str | None = "Digits", **options: Any) -> Page:
        def check_host(request: Request) -> None:
            address = urlsplit(request.url)
            if address.scheme in ("http", "https", "ws", "wss") and address.netloc != urlsplit(url).netloc:
                errors.append(f"request to another host: {request.url}")

        context = browser.new_context(**SCREENS[screen], **options)
        contexts.append(context)
        context.set_default_timeout(TIMEOUT_MS)
        context.on("request", check_host)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        if tab:
            open_tab(page, tab)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []


def save_screenshot(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(exist_ok=True)
    page.wait_for_timeout(400)  # After this time, the animations of the page have ended.
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


def draw_on_canvas(page: Page, digit: int, number: int = 3) -> None:
    """Draw a digit on the canvas of the page with the mouse."""
    box = page.locator("canvas.drawing-canvas").bounding_box()
    scale = box["width"] / CANVAS_SIZE
    for stroke in make_strokes(digit, number):
        (x, y), *rest = [(box["x"] + scale * x, box["y"] + scale * y) for x, y in stroke]
        page.mouse.move(x, y)
        page.mouse.down()
        for x, y in rest:
            page.mouse.move(x, y, steps=4)
        page.mouse.up()


def expect_digit(page: Page, digit: int) -> None:
    """Wait until the page shows the prediction for the complete drawing, and check the prediction."""
    page.wait_for_timeout(1000)  # The last classification starts at most 0.3 seconds after the last stroke.
    expect(page.locator(".prediction").first).to_have_text(str(digit))


def open_tab(page: Page, tab: str) -> None:
    """Open a tab, and wait until the server has built its content."""
    chosen, description = page.get_by_role("tab", name=tab), page.locator(".description")
    before = description.inner_text()
    if chosen.get_attribute("aria-selected") != "true":
        chosen.click()
        expect(description).not_to_have_text(before)
