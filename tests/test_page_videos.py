"""Test the plot, the progress and the error messages of the tab Steering in a browser."""

import re

import numpy as np
import pytest
from playwright.sync_api import expect

from browsing import save_screenshot
from lectern.artifacts.paths import PROCESSED
from lectern.tasks.steering.serving.video_writer import write_video
from sample_champions import STEERING

pytestmark = pytest.mark.browser


def test_the_plot_has_axes_with_units_and_the_true_largest_error(server, open_page):
    page = open_page(server.url, tab="Steering")
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.locator(".plot-title")).to_have_text(
        "Error (network minus driver): share of the full lock of 25 degrees"
    )
    expect(page.locator(".axis.horizontal")).to_contain_text("2 s")
    largest = float(re.search(r"largest absolute error ([\d.]+)", page.locator(".plot").inner_text())[1])
    heights = "line => line.getAttribute('points').split(' ').map(point => Number(point.split(',')[1]))"
    limit = float(page.locator(".axis.vertical span").first.inner_text())
    drawn = max(abs(60 - height) for height in page.locator(".curve").evaluate(heights))
    assert drawn / 56 * limit == pytest.approx(largest, abs=0.001)


def test_a_small_error_is_printed_as_it_is(server, open_page):
    """The scale of the plot has a smallest range, which must not be printed as the largest error."""
    page = open_page(server.url, tab="Steering")
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.locator(".player")).to_be_visible()
    props = "getElement(Number(document.querySelector('.player').id.slice(1))).$.props"
    page.evaluate(f"{props}.driver = {props}.network.map((angle) => angle + 0.0258)")
    expect(page.locator(".plot")).to_contain_text("largest absolute error 0.026")


def test_the_number_of_processed_frames_is_shown(server, open_page, serving_project, tmp_path):
    frames = np.load(serving_project / PROCESSED / STEERING / "test_frames.npy")
    large = np.repeat(np.repeat(frames[:1], 6, axis=1), 6, axis=2)
    write_video((large[0] for _ in range(400)), tmp_path / "long.mp4", 10.0)
    page = open_page(server.url, tab="Steering")
    page.locator("input[type=file]").set_input_files(tmp_path / "long.mp4")
    expect(page.get_by_text(re.compile(r"^\d+ of 400 frames"))).to_be_visible()
    expect(page.get_by_role("progressbar", name="Processed frames")).to_be_visible()
    save_screenshot(page, "progress")
    expect(page.get_by_text("400 frames, mean absolute angle")).to_be_visible()
    expect(page.get_by_role("progressbar", name="Processed frames")).to_be_hidden()


def test_a_damaged_video_is_reported_by_its_name_and_removes_the_old_video(server, open_page, tmp_path):
    (tmp_path / "my drive.mp4").write_bytes(b"no video at all" * 100)
    page = open_page(server.url, tab="Steering")
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.locator(".player")).to_be_visible()
    page.locator("input[type=file]").set_input_files(tmp_path / "my drive.mp4")
    alert = page.get_by_role("alert").filter(has_text="cannot be read as a video")
    expect(alert).to_contain_text("my drive.mp4 cannot be read as a video")
    assert not re.search(r"/tmp|Errno", alert.inner_text())
    expect(page.locator(".player")).to_have_count(0)
