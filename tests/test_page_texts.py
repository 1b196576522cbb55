"""Test the texts of the page and the routes of card pictures without a browser."""

import shutil

import pytest

from lectern.registry.model_params import params_schema
from lectern.registry.version_record import ModelVersionRecord
from lectern.serving.card_text import card_for_page, picture_title
from lectern.serving.client_message import client_message
from lectern.serving.page_examples import shorten
from lectern.serving.page_params import parse_number
from lectern.serving.score_text import format_score
from lectern.task_modules import has_task_module, task_module, task_names
from lectern_server import run_server
from sample_champions import DIGITS


@pytest.mark.parametrize(
    ("value", "text"), [(0.9, "0.900"), (0.0070743, "0.00707"), (-0.0, "0"), (-0.0001, "-0.0001"), (31.456, "31.456")]
)
def test_scores_have_three_digits_and_no_negative_zero(value, text):
    assert format_score(value) == text


@pytest.mark.parametrize(
    ("text", "number"), [("3", 3), ("1.5", 1.5), ("9007199254740993", 9007199254740993), ("", ""), ("[1]", "[1]")]
)
def test_numbers_are_read_without_rounding(text, number):
    assert parse_number(text) == number and type(parse_number(text)) is type(number)


def test_messages_contain_no_temporary_folders_and_error_numbers():
    message = "/tmp/tmpab12/my road.mp4 cannot be read: [Errno -5] Invalid data: '/tmp/tmpab12/my road.mp4'"
    assert client_message(message) == "my road.mp4 cannot be read: Invalid data: 'my road.mp4'"


def test_a_long_example_is_cut_and_fits_in_one_line():
    assert shorten("one\ntwo") == "one two" and shorten("x" * 100) == "x" * 40 + "…"


def make_version(card: str) -> ModelVersionRecord:
    texts = dict.fromkeys(("experiment", "task", "weights", "identity", "test_digest", "run_id", "source"), "")
    values = {"score": 0.5, "baseline": 0.0, "higher_is_better": True, "has_manifest": True}
    return ModelVersionRecord(name="m", number=3, card=card, load_manifest=pytest.fail, **texts, **values)


def test_cards_show_only_pictures_of_their_report_and_escape_html():
    card = "# Title\n\n![A](reports/x/a.png) ![B](http://host/b.png) <script>\n\n```\n# comment\n```\n"
    text = card_for_page(make_version(card), ["a.png"])
    assert "![A](/v1/models/m/versions/3/pictures/a.png)" in text
    assert "host" not in text and "<script>" not in text
    assert text.startswith("## Title") and "\n# comment\n" in text


def test_picture_titles_are_readable():
    assert picture_title("confusion_matrix.png") == "Confusion matrix"


def test_each_page_names_its_baseline_and_each_parameter_has_a_description():
    for task in task_names():
        if has_task_module(task, "serving.page"):
            page = task_module(task, "serving.page")
            assert page.BASELINE and page.TRAINING_ITEMS
        assert all(field.description for field in params_schema(task, for_server=True).model_fields.values())


ADDRESS = f"/v1/models/{DIGITS}/versions/2/pictures"


def test_pictures_of_a_served_version_are_served(server):
    response = server.get(f"{ADDRESS}/learning_curve.png")
    assert response.status_code == 200 and response.content.startswith(b"\x89PNG")
    assert response.headers["content-type"] == "image/png"
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        f"{ADDRESS}/..%2Fcard.md",
        f"{ADDRESS}/..%2f..%2f..%2fmlflow.db",
        f"{ADDRESS}/%2Fetc%2Fpasswd",
        f"{ADDRESS}/..%5C..%5Ccard.png",
        f"{ADDRESS}/.hidden.png",
        f"{ADDRESS}/metrics.json",
        f"{ADDRESS}/missing.png",
        f"{ADDRESS}/learning_curve.png%00.png",
        f"/v1/models/{DIGITS}/versions/1/pictures/learning_curve.png",
        "/v1/models/unknown/versions/1/pictures/learning_curve.png",
    ],
)
def test_other_files_are_not_served(server, path):
    response = server.get(path)
    assert response.status_code == 404, response.text


@pytest.mark.slow
def test_links_to_other_files_and_other_types_are_not_served(serving_project, tmp_path):
    """The test adds files to the reports of the registered versions."""
    reports = list(serving_project.glob("mlartifacts/models/m-*/artifacts/report"))
    secret = tmp_path / "secret.png"
    secret.write_text("secret")
    for folder in reports:
        (folder / "linked.png").symlink_to(secret)
        shutil.copy(folder / "learning_curve.png", folder / "drawing.svg")
    try:
        with run_server(serving_project, f"sqlite:///{serving_project / 'mlflow.db'}") as server:
            assert server.get(f"{ADDRESS}/learning_curve.png").status_code == 200
            for file in ("linked.png", "drawing.svg"):
                assert server.get(f"{ADDRESS}/{file}").status_code == 404
    finally:
        for folder in reports:
            (folder / "linked.png").unlink()
            (folder / "drawing.svg").unlink()


@pytest.mark.slow
def test_pictures_need_the_api_key(server_with_key):
    address = f"{ADDRESS}/learning_curve.png"
    assert server_with_key.get(address).status_code == 401
    assert server_with_key.get(address, headers={"Authorization": "Bearer a key"}).status_code == 200
