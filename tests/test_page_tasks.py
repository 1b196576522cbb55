"""Each task's tab in a real browser: it draws, types, clicks and looks, and finds what the API answers too."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from browsing import classify, draw_on_canvas, save_screenshot
from drawn_digits import CANVAS_SIZE, make_strokes
from sample_champions import DIGITS, STEERING, TEXT, TRANSLATION

pytestmark = pytest.mark.browser


def shares(page: Page) -> list[float]:
    return [float(text.split()[0]) for text in page.locator(".percentage").all_inner_texts()]


# Digits


@pytest.mark.parametrize("digit", [7, 3])
def test_a_digit_drawn_with_the_mouse_is_read(server, open_page, digit):
    page = open_page(server.url)
    draw_on_canvas(page, digit)
    assert classify(page) == str(digit)
    assert abs(sum(shares(page)) - 100) < 1 and np.argmax(shares(page)) == digit
    expect(page.locator(".bars .bar.best")).to_have_count(1)
    save_screenshot(page, f"digits-{digit}")


def test_what_the_page_says_the_network_saw_is_answered_alike_by_the_api(server, open_page):
    page = open_page(server.url)
    draw_on_canvas(page, 7)
    classify(page)
    picture = base64.b64decode(page.locator("img.network-input").get_attribute("src").partition(",")[2])
    seen = np.asarray(Image.open(io.BytesIO(picture)))
    answered = server.predict(DIGITS, input=seen.tolist()).json()
    np.testing.assert_allclose(shares(page), 100 * np.array(answered["outputs"][0]), atol=0.051)
    expect(page.get_by_text(f"answered by {DIGITS} version {answered['version']}")).to_be_visible()


def test_a_finger_draws_too_and_reset_clears_paper_and_answer(server, open_page):
    page = open_page(server.url, "phone")
    box = page.locator("canvas.drawing-canvas").bounding_box()
    share, finger = box["width"] / CANVAS_SIZE, page.context.new_cdp_session(page)
    for stroke in make_strokes(1, 0):
        for number, (x, y) in enumerate(stroke):
            point = {"x": box["x"] + share * x, "y": box["y"] + share * y}
            kind = "touchMove" if number else "touchStart"
            finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
        finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert page.evaluate("scrollY") == 0  # the page did not scroll
    assert classify(page) == "1"
    page.get_by_role("button", name="Reset").click()
    expect(page.locator("img.network-input")).to_have_count(0)
    page.get_by_role("button", name="Classify").click()
    expect(page.get_by_text("Nothing is drawn")).to_be_visible()


# Writing


def written(page: Page) -> str:
    return page.locator(".generated-text .text").text_content()


def set_length(page: Page, key: str, length: int) -> None:
    """Five presses of a key from the 600 that it begins with."""
    for _ in range(5):
        page.get_by_role("slider", name="Length").locator("[tabindex]").press(key)
    expect(page.get_by_text(f"Length {length}", exact=True)).to_be_visible()


def test_a_text_grows_on_the_page_and_stops_on_stop(server, open_page):
    page = open_page(server.url, tab="Writing")
    set_length(page, "PageUp", 5000)
    page.get_by_role("button", name="Write").click()
    page.wait_for_function("document.querySelector('.generated-text .text').textContent.length > 40")
    before = len(written(page))
    page.wait_for_function(f"document.querySelector('.generated-text .text').textContent.length > {before}")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("stopped")).to_be_visible()
    stopped = written(page)
    page.wait_for_timeout(1500)
    assert written(page) == stopped and len(stopped) < 5000
    save_screenshot(page, "writing")


def test_the_page_writes_what_the_api_writes(server, open_page):
    page = open_page(server.url, tab="Writing")
    page.get_by_label("Prompt").fill("Shall I")
    set_length(page, "ArrowLeft", 100)
    page.get_by_role("button", name="Write").click()
    expect(page.get_by_text("100 characters, answered by")).to_be_visible()
    params = {"length": 100, "temperature": 0.8, "seed": 0}
    answered = server.predict(TEXT, input={"prompt": "Shall I"}, params=params).json()
    assert written(page) == answered["outputs"][0]["text"]


# Translation


def test_a_translation_shows_its_best_and_where_the_network_looked(server, open_page):
    page = open_page(server.url, tab="Translation")
    page.get_by_label("Sentence").fill("A man sleeps outside.")
    page.get_by_role("button", name="Translate").click()
    expect(page.locator(".heat")).to_be_visible()
    answered = server.predict(TRANSLATION, input={"source": "A man sleeps outside."}, params={"n_best": 3}).json()
    assert page.locator(".translations .target").all_inner_texts() == [row["target"] for row in answered["outputs"]]
    assert page.locator(".heat thead span").all_inner_texts() == ["A", "man", "sleeps", "outside", ".", "end"]
    best = answered["outputs"][0]["target"]
    assert page.locator(".heat tbody th").count() == len(re.findall(r"\w+|[^\w\s]", best)) + 1
    save_screenshot(page, "translation")


def test_each_row_of_the_map_sums_to_one_for_every_layer_and_head(server, open_page):
    page = open_page(server.url, tab="Translation")
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


def test_the_wheels_move_as_the_drive_is_played(server, open_page, serving_project):
    page = open_page(server.url, tab="Steering")
    page.get_by_role("button", name="Drive", exact=True).click()
    turn = page.locator(".wheel.network .turn")
    expect(turn).to_be_visible()
    first = turn.get_attribute("style")
    page.wait_for_function(f"document.querySelector('.wheel.network .turn').getAttribute('style') !== `{first}`")
    said = dict(frame_and_angle(page) for _ in range(5))
    frames = np.load(serving_project / "data" / "processed" / STEERING / "test_frames.npy")
    for frame, angle in said.items():
        answered = server.predict(STEERING, input=frames[frame : frame + 1].tolist()).json()["outputs"][0]["angle"]
        assert abs(angle - answered) < 0.0011
    expect(page.locator(".wheel.driver")).to_be_visible()
    expect(page.locator(".curve")).to_be_visible()
    save_screenshot(page, "steering")


def upload(page: Page, path: Path) -> None:
    page.locator("input[type=file]").set_input_files(path)


def test_an_uploaded_video_is_driven_too_and_what_is_none_is_told(server, open_page, serving_project, tmp_path):
    from lectern.tasks.steering.serving.video_writer import write_video

    frames = np.load(serving_project / "data" / "processed" / STEERING / "test_frames.npy")[:15]
    write_video(frames, tmp_path / "own.mp4", 10.0)
    (tmp_path / "none.mp4").write_bytes(b"no video at all" * 100)
    page = open_page(server.url, tab="Steering")
    upload(page, tmp_path / "none.mp4")
    expect(page.get_by_text("cannot be read as a video")).to_be_visible()
    upload(page, tmp_path / "own.mp4")
    expect(page.get_by_text("15 frames, mean angle")).to_be_visible()
    expect(page.locator(".wheel.driver")).to_be_hidden()
