"""Test that large JSON bodies give the same inputs and refuse the same mistakes as small JSON bodies."""

import json

import numpy as np
import pandas as pd
import pytest

from lectern.errors import UserError
from lectern.serving import schemas
from lectern.serving.schemas import parse_body

MAX_CHARACTERS = 10_000


def parse(body: bytes, task: str, is_large: bool, monkeypatch) -> tuple:
    monkeypatch.setattr(schemas, "LARGE_BODY_BYTES", -1 if is_large else 10**9)
    return parse_body(body, task, MAX_CHARACTERS)


def refusal(body: bytes, task: str, is_large: bool, monkeypatch) -> str:
    with pytest.raises(UserError) as error:
        parse(body, task, is_large, monkeypatch)
    return str(error.value)


DIGITS = np.random.default_rng(0).integers(0, 256, (3, 28, 28)).tolist()
FRAMES = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 5, 3)).tolist()


@pytest.mark.parametrize("is_large", [False, True], ids=["small", "large"])
@pytest.mark.parametrize(
    ("task", "body", "expected"),
    [
        ("digits", {"inputs": DIGITS}, DIGITS),
        ("digits", {"input": DIGITS[0]}, DIGITS[:1]),
        ("steering", {"inputs": FRAMES}, FRAMES),
        ("steering", {"input": FRAMES[1]}, FRAMES[1:]),
    ],
    ids=["digits", "one digit", "windows", "one window"],
)
def test_arrays_are_read_exactly(monkeypatch, task, body, expected, is_large):
    inputs, params = parse(json.dumps(body, indent=1).encode(), task, is_large, monkeypatch)
    assert inputs.dtype == np.uint8 and np.array_equal(inputs, np.array(expected, np.uint8)) and params == {}


@pytest.mark.parametrize("is_large", [False, True], ids=["small", "large"])
def test_texts_and_params_are_read_exactly(monkeypatch, is_large):
    body = {"inputs": [{"source": "Zwei Männer\u2028\n"}, {"source": ""}], "params": {"beam": 3}}
    inputs, params = parse(json.dumps(body).encode(), "translation", is_large, monkeypatch)
    pd.testing.assert_frame_equal(inputs, pd.DataFrame(body["inputs"]))
    assert params["beam"] == 3


ROW = [0] * 28
MISTAKES: dict[str, tuple[str, bytes, str]] = {
    "short row": ("digits", json.dumps({"input": [ROW] * 27 + [[0] * 27]}).encode(), "same length; found [27 28]"),
    "too few rows": ("digits", json.dumps({"input": [ROW] * 27}).encode(), "found a list of 27 items; expected 28"),
    "too large": (
        "digits",
        json.dumps({"input": [[300, *ROW[1:]]] * 28}).encode(),
        "found 300; expected the type",
    ),
    "fraction": ("digits", json.dumps({"input": [[0.5, *ROW[1:]]] * 28}).encode(), "found 0.5; expected the type"),
    "text": (
        "digits",
        json.dumps({"input": [["a", *ROW[1:]]] * 28}).encode(),
        "type string; expected number",
    ),
    "null": ("digits", json.dumps({"input": [[None, *ROW[1:]]] * 28}).encode(), "contains null"),
    "null row": ("digits", json.dumps({"input": [None] * 28}).encode(), "contains null"),
    "no inputs": ("digits", b'{"inputs": []}', "found a list of 0 items; expected at least 1"),
    "no field": ("digits", b"{}", "send either `input` or a list of `inputs`"),
    "too many": ("digits", json.dumps({"inputs": [[ROW] * 28] * 513}).encode(), "send at most 512 inputs"),
    "too many texts": (
        "translation",
        b'{"inputs": [' + b"{}," * 10**6 + b"{}]}",
        "found 1000001 inputs; send at most",
    ),
    "two objects": ("digits", json.dumps({"input": [ROW] * 28}).encode() * 2, "contains 2 JSON objects"),
    "same key twice": ("digits", b'{"input": [[1]], "input": [[1]]}', "the key input occurs twice"),
    "unknown key": ("digits", b'{"image": [[1]]}', "an object has an unknown key"),
    "a million keys": ("digits", json.dumps(dict.fromkeys(map(str, range(10**6)))).encode(), "has an unknown key"),
    "a million texts": ("steering", json.dumps({"inputs": [[[[["x"] * 10**6]]]]}).encode(), "expected number"),
    "deep": ("digits", b'{"input": ' + b"[" * 10**6, "is of the type array; expected number"),
    "deep objects": ("translation", b'{"input": ' + b'{"source": ' * 10**5, "is of the type object; expected string"),
    "list": ("digits", b"[1, 2]", "the body is not an object"),
    "only null": ("digits", b"null", "the body is not an object"),  # Arrow would crash
    "null after blanks": ("language_model", b" \n null", "the body is not an object"),
    "null after a byte order mark": ("sentences", b"\xef\xbb\xbfnull", "the body is not an object"),
    "null with more": ("steering", b"null{}", "the body is not an object"),
    "empty": ("digits", b"", "the body is not an object"),
    "cut": ("digits", b'{"input": [[1', "Invalid JSON"),
    "not UTF-8": ("translation", b'{"input": {"source": "\xff"}}', "codec can't decode byte 0xff"),
    "half a surrogate pair": ("translation", b'{"input": {"source": "\\ud800"}}', "surrogate pair"),
    "long text": ("translation", json.dumps({"input": {"source": "x" * 10_001}}).encode(), "at most 10000 characters"),
    "null as text": ("translation", b'{"input": {"source": null}}', "input.source"),
    "null as param": ("translation", b'{"input": {"source": "x"}, "params": {"beam": null}}', "beam is null"),
    "unknown param": ("translation", b'{"input": {"source": "x"}, "params": {"beem": 1}}', "an unknown key"),
    "number as text": ("translation", b'{"input": {"source": 3}}', "input/source is of the type number"),
}


@pytest.mark.parametrize(("task", "body", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_a_large_body_is_named_once(monkeypatch, task, body, message):
    found = refusal(body, task, True, monkeypatch)
    assert message in found and len(found) < 400


@pytest.mark.parametrize(("task", "body"), [(task, body) for task, body, _ in MISTAKES.values() if len(body) < 10**5])
def test_a_small_body_with_the_same_mistake_is_refused(monkeypatch, task, body):
    assert len(refusal(body, task, False, monkeypatch)) < 400


def test_a_small_body_has_one_error_per_array_and_not_one_per_number(monkeypatch):
    body = json.dumps({"input": [["a"] * 28] * 28}).encode()
    found = refusal(body, "digits", False, monkeypatch)
    assert "input.0.0: Input should be a valid integer" in found and "more" not in found
