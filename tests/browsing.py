"""A server's page to a visit in a real browser, Debian's Chromium. Pictures of it stay in screenshots/."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from drawn_digits import PAPER, strokes

PICTURES = Path(__file__).parents[1] / "screenshots"
SECONDS = 90_000  # milliseconds that something may take on a busy machine before it counts as not happening
SCREENS = {
    "light": {"viewport": {"width": 1100, "height": 900}},
    "dark": {"viewport": {"width": 1100, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True},
}


@contextmanager
def running_browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    assert chromium, "no browser here: apt-get install chromium"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


@contextmanager
def visiting(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a page on a screen. What the browser complains of fails the test, and so does asking another host."""
    contexts, complaints = [], []
    expect.set_options(timeout=SECONDS)

    def open_page(url: str, screen: str = "light", tab: str | None = "Digits", **more) -> Page:
        def check(request: Request) -> None:
            asked = urlsplit(request.url)
            if asked.scheme in ("http", "https", "ws", "wss") and asked.netloc != urlsplit(url).netloc:
                complaints.append(f"another host was asked: {request.url}")

        context = browser.new_context(**SCREENS[screen], **more)
        contexts.append(context)
        context.set_default_timeout(SECONDS)
        context.on("request", check)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        if tab:
            page.get_by_role("tab", name=tab).click()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def keep(page: Page, name: str) -> None:
    PICTURES.mkdir(exist_ok=True)
    page.wait_for_timeout(400)  # what glides into its place has arrived
    page.screenshot(path=PICTURES / f"{name}.png", full_page=True)


def draw(page: Page, digit: int, number: int = 3) -> None:
    """With the mouse, stroke by stroke."""
    box = page.locator("canvas.paper").bounding_box()
    share = box["width"] / PAPER
    for stroke in strokes(digit, number):
        (x, y), *others = [(box["x"] + share * x, box["y"] + share * y) for x, y in stroke]
        page.mouse.move(x, y)
        page.mouse.down()
        for x, y in others:
            page.mouse.move(x, y, steps=4)
        page.mouse.up()


def classify(page: Page) -> str:
    page.get_by_role("button", name="Classify").click()
    expect(page.locator("img.seen")).to_be_visible()
    return page.locator(".verdict").inner_text()
