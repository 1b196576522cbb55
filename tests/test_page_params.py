"""Test the parameters, the shortcuts and the copy button of the page in a browser."""

import pytest
from playwright.sync_api import expect

from sample_champions import TEXT, TRANSLATION

pytestmark = pytest.mark.browser


@pytest.fixture
def writing(server, open_page):
    return open_page(server.url, tab="Writing", permissions=["clipboard-read", "clipboard-write"])


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("Seed", "1.5", "seed is 1.5; expected an integer of at least 0."),
        ("Seed", "-1", "seed is -1; expected an integer of at least 0"),
        ("Seed", "", 'seed is ""; expected an integer'),
        ("Top p", "0", "top_p is 0; expected a number above 0 and of at most 1."),
        ("Length", "5001", "length is 5001; expected an integer from 1 to 5,000."),
    ],
)
def test_a_wrong_parameter_is_reported_and_not_changed(writing, field, value, message):
    writing.get_by_label(field, exact=True).fill(value)
    writing.get_by_role("button", name="Write").click()
    expect(writing.get_by_role("alert").first).to_contain_text(message.split(" of at least 0")[0])
    expect(writing.get_by_label(field, exact=True)).to_have_value(value)
    expect(writing.get_by_text("Generating …")).to_have_count(0)
    expect(writing.get_by_role("button", name="Write")).to_be_enabled()


def test_all_parameters_of_the_api_reach_the_model(server, writing):
    params = {"length": 120, "temperature": 0.5, "top_k": 7, "top_p": 0.9, "seed": 2**53 + 1}
    for name, value in params.items():
        writing.get_by_label(name.replace("_", " ").capitalize(), exact=True).fill(str(value))
    prompt = writing.get_by_label("Prompt")
    prompt.fill("Shall I")
    prompt.press("Control+Enter")
    expect(writing.get_by_text("120 characters, model:")).to_be_visible()
    text = server.predict(TEXT, input={"prompt": "Shall I"}, params=params).json()["outputs"][0]["text"]
    assert writing.locator(".generated-text .text").first.text_content() == text
    writing.get_by_role("button", name="Copy").click()
    expect(writing.get_by_role("button", name="Copied")).to_be_visible()
    copied = writing.evaluate("navigator.clipboard.readText()")
    assert "".join(copied.split()) == "".join(("Shall I" + text).split())


def test_the_random_seed_is_shown(writing):
    seeds = set()
    for _ in range(3):
        before = writing.get_by_label("Seed", exact=True).input_value()
        writing.get_by_role("button", name="Random seed").click()
        expect(writing.get_by_label("Seed", exact=True)).not_to_have_value(before)
        seeds.add(int(writing.get_by_label("Seed", exact=True).input_value()))
    assert len(seeds) == 3


def test_an_example_is_entered_as_the_prompt(writing):
    writing.get_by_role("group", name="Examples").get_by_role("button").nth(1).click()
    expect(writing.get_by_label("Prompt")).to_have_value("Let me not to the marriage of true minds\n")


def test_beam_and_n_best_reach_the_model(server, open_page):
    page = open_page(server.url, tab="Translation")
    page.get_by_label("Beam", exact=True).fill("4")
    page.get_by_label("N best", exact=True).fill("2")
    sentence = page.get_by_label("Sentence")
    sentence.fill("A dog sits here.")
    sentence.press("Control+Enter")
    expect(page.locator(".translations .target")).to_have_count(2)
    params = {"beam": 4, "n_best": 2}
    outputs = server.predict(TRANSLATION, input={"source": "A dog sits here."}, params=params).json()["outputs"]
    assert page.locator(".translations .target").all_inner_texts() == [row["target"] for row in outputs]
    expect(page.get_by_role("columnheader", name="Log-probability per token")).to_be_visible()


def test_an_error_removes_the_old_translation(server, open_page):
    page = open_page(server.url, tab="Translation")
    page.get_by_role("button", name="Translate").click()
    expect(page.locator(".heat")).to_be_visible()
    page.get_by_label("N best", exact=True).fill("9")
    page.get_by_role("button", name="Translate").click()
    expect(page.get_by_role("alert").filter(has_text="n_best")).to_be_visible()
    expect(page.locator(".translations")).to_have_count(0)
    expect(page.locator(".heat")).to_be_hidden()
    expect(page.get_by_text("Translating …")).to_have_count(0)
