"""The model card, and the tables of slices in it."""

import json
from pathlib import Path

from lectern.registry import slice_tables


def tables(tmp_path: Path, details: dict) -> dict[str, str]:
    (tmp_path / "details.json").write_text(json.dumps(details))
    return dict(slice_tables.slice_tables(tmp_path))


def test_lists_side_by_side_are_a_row_a_class(tmp_path):
    found = tables(tmp_path, {"recall": [0.9, 0.8], "precision": [1.0, 0.5], "calibration_error": 0.1})
    assert found == {"By class": "| | recall | precision |\n| --- | ---: | ---: |\n| 0 | 0.9 | 1 |\n| 1 | 0.8 | 0.5 |"}


def test_named_rows_are_a_table_and_count_in_whole_numbers(tmp_path):
    found = tables(
        tmp_path, {"by_class": {"tab": {"characters": 16350, "nats": 0.5}, "other": {"characters": 1, "nats": 2.25}}}
    )
    assert found == {
        "By class": "| | characters | nats |\n| --- | ---: | ---: |\n| tab | 16,350 | 0.5 |\n| other | 1 | 2.25 |"
    }


def test_what_is_no_slice_is_left_to_the_report(tmp_path):
    odd = {
        "curves": {"a": [1, 2], "b": [3, 4]},
        "one": {"row": {"x": 1}},
        "text": {"a": {"x": "y"}, "b": {"x": "z"}},
        "flag": True,
    }
    assert tables(tmp_path, odd) == {} and dict(slice_tables.slice_tables(tmp_path / "nowhere")) == {}


def test_a_card_tells_scores_slices_pictures_training_and_guards(shop):
    card = Path("cards/better.md").read_text()
    metrics = json.loads(Path("metrics/better.json").read_text())
    details = json.loads(Path("reports/better/details.json").read_text())
    assert f"| score | {metrics['score']:.6g} |" in card and f"| baseline | {metrics['baseline']:.6g} |" in card
    assert f"| 3 | {details['f1'][3]:.4g} | {details['precision'][3]:.4g} | {details['recall'][3]:.4g} |" in card
    assert "2 steps in 1 epoch; at its end validation loss 0.5" in card
    assert "no digit is given up for the others" in card and "CC BY 4.0" in card
    assert "models:/sample_digits@champion" in card and "`reports/better/`" in card
