"""The page in a real browser: Debian's Chromium draws, types, clicks and looks. Its pictures stay in screenshots/."""

import base64
import io
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from drawn_digits import PAPER, strokes
from served import DIGITS, POEMS, ROAD, TOY, serving

pytestmark = pytest.mark.browser

PICTURES = Path(__file__).parents[1] / "screenshots"
SECONDS = 90_000  # milliseconds that something may take on a busy machine before it counts as not happening
SCREENS = {
    "light": {"viewport": {"width": 1100, "height": 900}},
    "dark": {"viewport": {"width": 1100, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True},
}


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    assert chromium, "no browser here: apt-get install chromium"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def visit(browser):
    """Opens the page of a server on a screen; whatever the browser complains of fails the test."""
    contexts, complaints = [], []

    def open_page(url: str, screen: str = "light", tab: str = "Digits", **more) -> Page:
        context = browser.new_context(**SCREENS[screen], **more)
        contexts.append(context)
        context.set_default_timeout(SECONDS)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        page.get_by_role("tab", name=tab).click()
        return page

    expect.set_options(timeout=SECONDS)
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


def shares(page: Page) -> list[float]:
    return [float(text.split()[0]) for text in page.locator(".share").all_inner_texts()]


# Digits


@pytest.mark.parametrize("digit", [7, 3])
def test_a_digit_drawn_with_the_mouse_is_read(server, visit, digit):
    page = visit(server.url)
    draw(page, digit)
    assert classify(page) == str(digit)
    assert abs(sum(shares(page)) - 100) < 1 and np.argmax(shares(page)) == digit
    expect(page.locator(".bars .bar.best")).to_have_count(1)
    keep(page, f"digits-{digit}")


def test_what_the_page_says_the_network_saw_is_answered_alike_by_the_api(server, visit):
    page = visit(server.url)
    draw(page, 7)
    classify(page)
    picture = base64.b64decode(page.locator("img.seen").get_attribute("src").partition(",")[2])
    seen = np.asarray(Image.open(io.BytesIO(picture)))
    answered = server.predict(DIGITS, input=seen.tolist()).json()
    np.testing.assert_allclose(shares(page), 100 * np.array(answered["outputs"][0]), atol=0.051)
    expect(page.get_by_text(f"answered by {DIGITS} version {answered['version']}")).to_be_visible()


def test_a_finger_draws_too_and_reset_clears_paper_and_answer(server, visit):
    page = visit(server.url, "phone")
    box = page.locator("canvas.paper").bounding_box()
    share, finger = box["width"] / PAPER, page.context.new_cdp_session(page)
    for stroke in strokes(1, 0):
        for number, (x, y) in enumerate(stroke):
            point = {"x": box["x"] + share * x, "y": box["y"] + share * y}
            kind = "touchMove" if number else "touchStart"
            finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
        finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert page.evaluate("scrollY") == 0  # the paper moved nothing but the pen
    assert classify(page) == "1"
    page.get_by_role("button", name="Reset").click()
    expect(page.locator("img.seen")).to_have_count(0)
    page.get_by_role("button", name="Classify").click()
    expect(page.get_by_text("Nothing is drawn here")).to_be_visible()


# Writing


def written(page: Page) -> str:
    return page.locator(".written .text").text_content()


def set_length(page: Page, key: str, length: int) -> None:
    """Five presses of a key from the 600 that it begins with."""
    for _ in range(5):
        page.get_by_role("slider", name="Length").locator("[tabindex]").press(key)
    expect(page.get_by_text(f"Length {length}", exact=True)).to_be_visible()


def test_a_text_grows_on_the_page_and_stops_on_stop(server, visit):
    page = visit(server.url, tab="Writing")
    set_length(page, "PageUp", 5000)
    page.get_by_role("button", name="Write").click()
    page.wait_for_function("document.querySelector('.written .text').textContent.length > 40")
    before = len(written(page))
    page.wait_for_function(f"document.querySelector('.written .text').textContent.length > {before}")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("stopped")).to_be_visible()
    stopped = written(page)
    page.wait_for_timeout(1500)
    assert written(page) == stopped and len(stopped) < 5000
    keep(page, "writing")


def test_the_page_writes_what_the_api_writes(server, visit):
    page = visit(server.url, tab="Writing")
    page.get_by_label("Beginning").fill("Shall I")
    set_length(page, "ArrowLeft", 100)
    page.get_by_role("button", name="Write").click()
    expect(page.get_by_text("100 characters, answered by")).to_be_visible()
    params = {"length": 100, "temperature": 0.8, "seed": 0}
    answered = server.predict(POEMS, input={"prompt": "Shall I"}, params=params).json()
    assert written(page) == answered["outputs"][0]["text"]


# Translation


def test_a_translation_shows_its_best_and_where_the_network_looked(server, visit):
    page = visit(server.url, tab="Translation")
    page.get_by_label("Sentence").fill("A man sleeps outside.")
    page.get_by_role("button", name="Translate").click()
    expect(page.locator(".heat")).to_be_visible()
    answered = server.predict(TOY, input={"source": "A man sleeps outside."}, params={"n_best": 3}).json()
    assert page.locator(".found .target").all_inner_texts() == [row["target"] for row in answered["outputs"]]
    assert page.locator(".heat thead span").all_inner_texts() == ["A", "man", "sleeps", "outside", ".", "end"]
    best = answered["outputs"][0]["target"]
    assert page.locator(".heat tbody th").count() == len(re.findall(r"\w+|[^\w\s]", best)) + 1
    keep(page, "translation")


def test_each_row_of_the_map_sums_to_one_for_every_layer_and_head(server, visit):
    page = visit(server.url, tab="Translation")
    page.get_by_label("Sentence").fill("A dog sits here.")
    page.get_by_role("button", name="Translate").click()
    expect(page.locator(".heat")).to_be_visible()

    def cells() -> list[list[int]]:
        titles = "rows => rows.map(row => [...row.querySelectorAll('td')].map(cell => parseInt(cell.title)))"
        return page.locator(".heat tbody tr").evaluate_all(titles)

    mean = cells()
    page.get_by_label("Layer").click()
    page.get_by_role("option", name="2").click()
    page.get_by_label("Head").click()
    page.get_by_role("option", name="3").click()
    page.wait_for_timeout(500)
    assert cells() != mean
    for rows in (mean, cells()):
        assert all(abs(sum(row) - 100) <= len(row) for row in rows)


# Steering


def frame_and_angle(page: Page) -> tuple[int, float]:
    """Read at one moment, while the film plays on."""
    read = "player => [player.dataset.frame, player.querySelector('.network b').textContent]"
    frame, angle = page.locator(".player").evaluate(read)
    return int(frame), float(angle.replace("−", "-"))


def test_the_wheels_move_as_the_drive_is_played(server, visit, four):
    page = visit(server.url, tab="Steering")
    page.get_by_role("button", name="Drive", exact=True).click()
    turn = page.locator(".wheel.network .turn")
    expect(turn).to_be_visible()
    first = turn.get_attribute("style")
    page.wait_for_function(f"document.querySelector('.wheel.network .turn').getAttribute('style') !== `{first}`")
    said = dict(frame_and_angle(page) for _ in range(5))
    frames = np.load(four / "data" / "processed" / ROAD / "test_frames.npy")
    for frame, angle in said.items():
        answered = server.predict(ROAD, input=frames[frame : frame + 1].tolist()).json()["outputs"][0]["angle"]
        assert abs(angle - answered) < 0.0011
    expect(page.locator(".wheel.driver")).to_be_visible()
    expect(page.locator(".curve")).to_be_visible()
    keep(page, "steering")


def upload(page: Page, path: Path) -> None:
    page.locator("input[type=file]").set_input_files(path)


def test_an_uploaded_video_is_driven_too_and_what_is_none_is_told(server, visit, four, tmp_path):
    from lectern.steering.film import write_video

    frames = np.load(four / "data" / "processed" / ROAD / "test_frames.npy")[:15]
    write_video(frames, tmp_path / "own.mp4", 10.0)
    (tmp_path / "none.mp4").write_bytes(b"no video at all" * 100)
    page = visit(server.url, tab="Steering")
    upload(page, tmp_path / "none.mp4")
    expect(page.get_by_text("cannot be read as a video")).to_be_visible()
    upload(page, tmp_path / "own.mp4")
    expect(page.get_by_text("15 frames, mean angle")).to_be_visible()
    expect(page.locator(".wheel.driver")).to_be_hidden()


# All of it


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
