"""Test the model card and the tables of the model card."""

import json
from pathlib import Path

from lectern.registry.model_card import slice_tables


def read_tables(folder: Path, details: dict) -> dict[str, str]:
    (folder / "details.json").write_text(json.dumps(details))
    return dict(slice_tables(folder))


def cells(table: str) -> list[list[str]]:
    """Return the cells of a Markdown table without the line below its header."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return [rows[0], *rows[2:]]


def test_lists_of_equal_length_become_a_table_with_one_row_per_class(tmp_path):
    tables = read_tables(tmp_path, {"recall": [0.9, 0.8], "precision": [1.0, 0.5], "calibration_error": 0.1})
    assert list(tables) == ["By class"]
    assert cells(tables["By class"]) == [
        ["", "recall", "precision"],
        ["0", "0.9000", "1.0000"],
        ["1", "0.8000", "0.5000"],
    ]


def test_named_rows_become_a_table_with_whole_counts(tmp_path):
    rows = {
        "tab": {"characters": 16350, "nats_per_character": 0.5},
        "other": {"characters": 1, "nats_per_character": 2.25},
    }
    tables = read_tables(tmp_path, {"by_class": rows})
    assert list(tables) == ["By class"]
    assert cells(tables["By class"]) == [
        ["", "characters", "nats per character"],
        ["tab", "16,350", "0.5000"],
        ["other", "1", "2.2500"],
    ]


def test_details_that_are_not_tables_are_left_out(tmp_path):
    details = {
        "curves": {"a": [1, 2], "b": [3, 4]},
        "single": {"row": {"x": 1}},
        "text": {"a": {"x": "y"}, "b": {"x": "z"}},
        "different_columns": {"a": {"x": 1}, "b": {"y": 1}},
        "empty": {"a": {}, "b": {}},
        "flag": True,
    }
    assert read_tables(tmp_path, details) == {} and dict(slice_tables(tmp_path / "missing")) == {}


def test_a_card_contains_the_numbers_of_the_metrics_and_the_report(evaluated_project):
    card = Path("cards/better.md").read_text()
    metrics = json.loads(Path("metrics/better.json").read_text())
    details = json.loads(Path("reports/better/details.json").read_text())
    values = {row[0]: row[1:] for line in card.splitlines() if line.startswith("|") for row in cells(f"{line}\n\n")}
    for name in ("score", "baseline"):
        (number,) = values[f"{name} (share of images)"]
        assert abs(float(number) - metrics[name]) <= 0.00005 and len(number.partition(".")[2]) == 4
    columns = values[""]
    for digit in range(10):
        row = dict(zip(columns, map(float, values[str(digit)]), strict=True))
        assert all(abs(row[name] - details[name][digit]) <= 0.00005 for name in ("f1", "precision", "recall"))


def test_a_card_states_baseline_training_guards_licence_and_how_to_load_the_model(evaluated_project):
    card = Path("cards/better.md").read_text()
    test_digest = json.loads(Path("reports/better/evaluation.json").read_text())["test_digest"]
    assert "The score is accuracy (share of images); higher is better." in card
    baseline = "The baseline is the score of a trivial method on the same test data"
    assert f"## Baseline\n\n{baseline} (test digest `{test_digest}`)" in card
    assert "2 steps in 1 epoch; at the end validation loss 0.5000." in card
    assert "worst class recall may be lower by at most" in card and "CC BY 4.0" in card
    assert "models:/sample_digits@champion" in card and "`reports/better/`" in card
