"""Test the tab of each task in a real browser. The page must show the results that the API returns."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from browsing import draw_on_canvas, expect_digit, save_screenshot
from drawn_digits import CANVAS_SIZE, make_strokes
from lectern.artifacts.paths import PROCESSED
from lectern.tasks.steering.serving.video_writer import write_video
from sample_champions import DIGITS, SENTENCES, STEERING, TEXT, TRANSLATION

pytestmark = pytest.mark.browser


# Digits


def read_percentages(page: Page) -> list[float]:
    return [float(text.split()[0]) for text in page.locator(".percentage:visible").all_inner_texts()]


@pytest.mark.parametrize("digit", [7, 3])
def test_digit_drawn_with_the_mouse_is_classified(server, open_page, digit):
    page = open_page(server.url)
    draw_on_canvas(page, digit)
    expect_digit(page, digit)
    percentages = read_percentages(page)
    assert abs(sum(percentages) - 100) < 1 and np.argmax(percentages) == digit
    expect(page.locator(".bars .bar.best:visible")).to_have_count(1)
    save_screenshot(page, f"digits-{digit}")


def test_page_and_api_return_the_same_probabilities_for_the_network_input(server, open_page):
    page = open_page(server.url)
    draw_on_canvas(page, 7)
    expect_digit(page, 7)
    png = base64.b64decode(page.locator("img.network-input").get_attribute("src").partition(",")[2])
    image = np.asarray(Image.open(io.BytesIO(png)))
    response = server.predict(DIGITS, input=image.tolist()).json()
    np.testing.assert_allclose(read_percentages(page), 100 * np.array(response["outputs"][0]), atol=0.051)
    expect(page.get_by_text(f"model: {DIGITS} version {response['version']}")).to_be_visible()


def draw_with_finger(page: Page, digit: int) -> None:
    box = page.locator("canvas.drawing-canvas").bounding_box()
    scale, session = box["width"] / CANVAS_SIZE, page.context.new_cdp_session(page)
    for stroke in make_strokes(digit, 0):
        for number, (x, y) in enumerate(stroke):
            point = {"x": box["x"] + scale * x, "y": box["y"] + scale * y}
            event = {"type": "touchMove" if number else "touchStart", "touchPoints": [point]}
            session.send("Input.dispatchTouchEvent", event)
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_digit_can_be_drawn_by_touch_and_reset_clears_the_tab(server, open_page):
    page = open_page(server.url, "phone")
    draw_with_finger(page, 1)
    assert page.evaluate("scrollY") == 0  # Drawing by touch has not scrolled the page.
    expect_digit(page, 1)
    page.get_by_role("button", name="Reset").click()
    expect(page.locator("img.network-input")).to_have_count(0)
    expect(page.get_by_text("No digit has been classified yet.").first).to_be_visible()


# Writing


def generated_text(page: Page) -> str:
    return page.locator(".generated-text .text").first.text_content()


def wait_for_length(page: Page, length: int) -> None:
    page.wait_for_function(f"document.querySelector('.generated-text .text').textContent.length > {length}")


def test_generated_text_grows_until_stop_is_pressed(server, open_page):
    page = open_page(server.url, tab="Writing")
    page.get_by_label("Length", exact=True).fill("5000")
    page.get_by_role("button", name="Write").click()
    wait_for_length(page, 40)
    wait_for_length(page, len(generated_text(page)))
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text(", stopped, model:")).to_be_visible()
    text = generated_text(page)
    page.wait_for_timeout(1500)
    assert generated_text(page) == text and len(text) < 5000
    save_screenshot(page, "writing")


def test_page_and_api_generate_the_same_text(server, open_page):
    page = open_page(server.url, tab="Writing")
    page.get_by_label("Prompt").fill("Shall I")
    page.get_by_label("Length", exact=True).fill("100")
    page.get_by_role("button", name="Write").click()
    expect(page.get_by_text("100 characters, model:")).to_be_visible()
    params = {"length": 100, "temperature": 0.8, "seed": 0}
    response = server.predict(TEXT, input={"prompt": "Shall I"}, params=params).json()
    assert generated_text(page) == response["outputs"][0]["text"]


# Translation


def translate(page: Page, sentence: str) -> None:
    page.get_by_label("Sentence").fill(sentence)
    page.get_by_role("button", name="Translate").click()
    expect(page.locator(".heat")).to_be_visible()


def test_translations_and_attention_map_are_shown(server, open_page):
    page = open_page(server.url, tab="Translation")
    translate(page, "A man sleeps outside.")
    response = server.predict(TRANSLATION, input={"source": "A man sleeps outside."}, params={"n_best": 3}).json()
    targets = [row["target"] for row in response["outputs"]]
    assert page.locator(".translations .target").all_inner_texts() == targets
    assert page.locator(".heat thead span").all_inner_texts() == ["A", "man", "sleeps", "outside", ".", "end"]
    words = re.findall(r"\w+|[^\w\s]", targets[0])
    assert page.locator(".heat tbody th").count() == len(words) + 1  # The last row is the end of the sentence.
    save_screenshot(page, "translation")


def read_attention(page: Page) -> list[list[int]]:
    """Return the attention weights in percent, one list per row of the map."""
    titles = "rows => rows.map(row => [...row.querySelectorAll('td')].map(cell => parseInt(cell.title)))"
    return page.locator(".heat tbody tr").evaluate_all(titles)


def test_attention_weights_sum_to_one_for_the_mean_and_for_one_head(server, open_page):
    page = open_page(server.url, tab="Translation")
    translate(page, "A dog sits here.")
    mean = read_attention(page)
    for menu, option in (("Layer", "2"), ("Head", "3")):
        page.get_by_role("combobox", name=menu).click()
        page.get_by_role("option", name=option).click()
    page.wait_for_timeout(500)
    one_head = read_attention(page)
    assert one_head != mean
    for row in (*mean, *one_head):
        assert abs(sum(row) - 100) <= len(row)  # Each weight is rounded to one percent.


# Sentences


def test_a_sentence_is_classified_while_it_is_written(server, open_page):
    page = open_page(server.url, tab="Sentences")
    page.get_by_label("Text", exact=True).press_sequentially("the film is dull")
    expect(page.get_by_text("negative", exact=True).first).to_be_visible()
    page.get_by_label("Text", exact=True).fill("the film is great")
    prediction = page.locator(".prediction-name:visible")
    expect(prediction).to_have_text("positive")
    outputs = server.predict(SENTENCES, input={"text": "the film is great"}).json()["outputs"]
    expected = [100 * value for value in outputs[0]["probabilities"].values()]
    np.testing.assert_allclose(read_percentages(page), expected, atol=0.051)
    assert page.locator(".words:visible span").all_inner_texts() == ["the", "film", "is", "great"]
    save_screenshot(page, "sentences")


def test_unknown_words_and_an_empty_text_have_their_own_notes(server, open_page):
    page = open_page(server.url, tab="Sentences")
    text = page.get_by_label("Text", exact=True)
    text.fill("<b>Москва</b> film")
    expect(page.get_by_text("of the words do not occur in the training sentences")).to_be_visible()
    assert "Москва".lower() in page.locator(".words:visible span").all_inner_texts()
    text.fill("")
    expect(page.get_by_text("No sentence has been classified yet.")).to_be_visible()


# Steering


def read_frame_and_angle(page: Page) -> tuple[int, float]:
    """Read the frame number and the angle in one call, because the video continues to play."""
    read = "player => [player.dataset.frame, player.querySelector('.network b').textContent]"
    frame, angle = page.locator(".player").evaluate(read)
    return int(frame), float(angle.replace("−", "-"))


def upload_video(page: Page, path: Path) -> None:
    page.locator("input[type=file]").set_input_files(path)


def test_wheel_moves_with_the_video_and_shows_the_angles_of_the_api(server, open_page, serving_project):
    page = open_page(server.url, tab="Steering")
    page.get_by_role("button", name="Play", exact=True).click()
    wheel = page.locator(".wheel.network .turn")
    expect(wheel).to_be_visible()
    first = wheel.get_attribute("style")
    page.wait_for_function(f"document.querySelector('.wheel.network .turn').getAttribute('style') !== `{first}`")
    shown = dict(read_frame_and_angle(page) for _ in range(5))
    frames = np.load(serving_project / PROCESSED / STEERING / "test_frames.npy")
    for frame, angle in shown.items():
        response = server.predict(STEERING, input=frames[frame : frame + 1].tolist()).json()
        assert abs(angle - response["outputs"][0]["angle"]) < 0.0011
    expect(page.locator(".wheel.driver")).to_be_visible()
    expect(page.locator(".curve")).to_be_visible()
    save_screenshot(page, "steering")


def test_uploaded_video_is_played_without_a_driver(server, open_page, serving_project, tmp_path):
    frames = np.load(serving_project / PROCESSED / STEERING / "test_frames.npy")[:15]
    write_video(frames, tmp_path / "uploaded.mp4", 10.0)
    page = open_page(server.url, tab="Steering")
    upload_video(page, tmp_path / "uploaded.mp4")
    expect(page.get_by_text("15 frames, mean absolute angle")).to_be_visible()
    expect(page.locator(".wheel.driver")).to_be_hidden()


def test_upload_that_is_not_a_video_is_reported(server, open_page, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video at all" * 100)
    page = open_page(server.url, tab="Steering")
    upload_video(page, tmp_path / "broken.mp4")
    expect(page.get_by_text("cannot be read as a video")).to_be_visible()
