"""Test the examples, the upload, the undo and the keyboard of the tab Digits in a browser."""

import pytest
from playwright.sync_api import Page, expect

from browsing import draw_on_canvas, expect_digit, save_screenshot
from drawn_digits import CANVAS_SIZE, draw_digit

pytestmark = pytest.mark.browser


def test_a_drawing_is_classified_before_the_stroke_ends(server, open_page):
    page = open_page(server.url)
    box = page.locator("canvas.drawing-canvas").bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 100, box["y"] + 240, steps=10)
    expect(page.locator("img.network-input")).to_be_visible()  # The mouse button is still pressed.
    page.mouse.up()


def test_undo_removes_the_last_stroke_and_its_answer(server, open_page):
    page = open_page(server.url)
    draw_on_canvas(page, 1)
    expect_digit(page, 1)
    pixels = "canvas => canvas.toDataURL()"
    one = page.locator("canvas.drawing-canvas").evaluate(pixels)
    draw_on_canvas(page, 7)
    page.get_by_role("button", name="Undo").click()
    expect_digit(page, 1)
    assert page.locator("canvas.drawing-canvas").evaluate(pixels) == one
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("img.network-input")).to_have_count(0)


def test_an_example_and_an_uploaded_picture_are_classified(server, open_page, tmp_path):
    page = open_page(server.url)
    page.get_by_role("button", name="Example 1", exact=True).click()
    expect_digit(page, 0)
    draw_digit(7, 3).save(tmp_path / "seven.png")
    for _ in range(2):  # The same picture can be uploaded again.
        page.locator("input[type=file]").set_input_files(tmp_path / "seven.png")
        expect_digit(page, 7)
        page.get_by_role("button", name="Reset").click()
        expect(page.locator("img.network-input")).to_have_count(0)


def test_an_upload_that_is_no_picture_removes_the_old_answer(server, open_page, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    page = open_page(server.url)
    draw_on_canvas(page, 7)
    expect_digit(page, 7)
    page.locator("input[type=file]").set_input_files(tmp_path / "text.png")
    expect(page.get_by_role("alert").filter(has_text="The file is not an image")).to_be_visible()
    expect(page.locator("img.network-input")).to_have_count(0)
    expect(page.locator(".prediction").first).to_have_text("")


def draw_seven_with_keys(page: Page) -> None:
    """Draw a seven from its upper left corner, with the keyboard only."""
    for key in [
        *["ArrowLeft"] * 5,
        "Space",
        *["ArrowRight"] * 9,
        *["ArrowDown", "ArrowDown", "ArrowLeft"] * 5,
        "Space",
    ]:
        page.keyboard.press(key)


def test_a_digit_is_drawn_and_undone_with_the_keyboard(server, open_page):
    page = open_page(server.url)
    canvas = page.get_by_role("application", name="Drawing area")
    for _ in range(30):
        page.keyboard.press("Tab")
        if canvas.evaluate("canvas => canvas === document.activeElement"):
            break
    expect(canvas).to_be_focused()
    draw_seven_with_keys(page)
    save_screenshot(page, "digits-keyboard")
    expect_digit(page, 7)
    expect(page.get_by_text("Keyboard: move the pen with the arrow keys")).to_be_visible()
    page.keyboard.press("Control+z")
    expect(page.locator("img.network-input")).to_have_count(0)


def test_the_canvas_of_the_tests_has_the_size_of_the_page(server, open_page):
    assert open_page(server.url).locator("canvas.drawing-canvas").evaluate("canvas => canvas.width") == CANVAS_SIZE
