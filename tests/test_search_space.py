"""Test the search spaces of sweeps: reading and checking conf/sweep, and suggesting and writing values."""

from pathlib import Path

import optuna
import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from fast_search import OVERRIDES
from lectern.artifacts.mapping_file import read_mapping
from lectern.errors import UserError
from lectern.sweeps.apply_best import write_values
from lectern.sweeps.search import Search
from lectern.sweeps.search_space import Choices, Range, read_search_space
from lectern.sweeps.trial_plans import format_override

ROOT = Path(__file__).parents[1]
SPACE = Path("conf/sweep/digits_cnn.yaml")
RATE, BATCH = "module.learning_rate", "batches.batch_size"


@pytest.mark.parametrize("path", sorted((ROOT / "conf/sweep").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_search_space_contains_the_values_of_its_model(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert read_search_space(path.stem).keys() == yaml.safe_load(path.read_text()).keys()


def test_a_missing_search_space_is_reported_with_an_example(project):
    with pytest.raises(UserError, match=r"conf/sweep/digits_resnet.yaml does not exist.*module.learning_rate: \{low"):
        read_search_space("digits_resnet")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "expected a mapping of keys to values, found an empty file"),
        ("{}", "contains no key"),
        ("module.learning_rat: {low: 1, high: 2}", "has no key 'module.learning_rat'"),
        (f"{RATE}: {{lowest: 1, high: 2}}", "'lowest'; did you mean 'low'"),
        (f"{RATE}: {{low: 1}}", "'high'"),
        (f"{RATE}: 0.1", "expected a mapping, such as {low: 0.1, high: 0.5}, found 0.1"),
        (f"{RATE}: {{low: 0.02, high: 0.001}}", "low is 0.02 and high is 0.001; expected a value of low that is less"),
        (f"{RATE}: {{low: 0.001, high: .inf}}", "high is inf; expected an integer or a finite number"),
        (f"{RATE}: {{low: 0.001, high: 0.1, step: 0.001, log: true}}", "either `log: true` or `step`"),
        (f"{RATE}: {{low: 0, high: 0.1, log: true}}", "low is 0; with `log: true`, expected a number greater than 0"),
        (f"{RATE}: {{low: 1e-3, high: 0.1}}", "low is the text '1e-3'; expected a number.* such as 1.0e-3 or 0.001"),
        (f"{RATE}: {{low: 0.0, high: 0.1, step: 0}}", "step is 0; expected a number greater than 0 and at most 0.1"),
        (f"{RATE}: {{low: 0.0, high: 0.1, step: 0.03}}", "expected a step that divides the difference 0.1"),
        (f"{RATE}: {{low: 0, high: 1}}", "is 0.006, but the range contains only integers; .* such as 0.0"),
        (f"{RATE}: {{low: 0.1, high: 0.2}}", "the value in conf/model/digits_cnn.yaml is 0.006, which is not in the"),
        ("module.class: {low: 1, high: 2}", "is 'DigitClassifier', which is not a number; list the possible values"),
        (f"{RATE}: {{choices: 0.1}}", "choices is 0.1; expected a list"),
        (f"{RATE}: {{choices: abc}}", "choices is 'abc'; expected a list"),
        (f"{RATE}: {{choices: []}}", "expected at least two values"),
        (f"{RATE}: {{choices: [0.006, 0.01], low: 1}}", "'low'"),
        (f"{RATE}: {{choices: [0.006, 1e-3]}}", "a choice is the text '1e-3'; expected a number"),
        (f"{RATE}: {{choices: [0.006, 0.01, 0.01]}}", "the choice 0.01 occurs twice"),
        (f"{RATE}: {{choices: [0.006, {{a: 1}}]}}", "is not a number, a text, a list"),
        (f"{RATE}: {{choices: [0.01, 0.02]}}", "is 0.006, which is not in `choices`"),
    ],
)
def test_an_invalid_line_of_a_search_space_is_reported(project, line, message):
    SPACE.write_text(line)
    with pytest.raises(UserError, match=rf"conf/sweep/digits_cnn\.yaml.*{message}"):
        read_search_space("digits_cnn")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"{RATE}: {{choices: [0.006, fast]}}", "the value 'fast' cannot be used: .*learning_rate is 'fast'; expected"),
        (f"{BATCH}: {{choices: [128, many]}}", "the value 'many' cannot be used: .*batch_size is 'many'; expected"),
        (f"{BATCH}: {{low: 1, high: 128.5, step: 0.25}}", "integers|the value 128.5 cannot be used: .*an integer"),
        (
            "module.network.dropout: {low: 0.0, high: 1.5}",
            "the value 1.5 cannot be used: .*dropout is 1.5; expected a number less than 1",
        ),
        ("module.network.class: {choices: [DigitCNN, Missing]}", "the value 'Missing' cannot be used: .*unknown class"),
        ("fit.full.epochs: {low: 5, high: 10}", "'fit.full.epochs' does not change the training with the budget lapt"),
        ("best.mode: {choices: [min, max]}", "'best.mode' cannot be searched; expected a key in batches, module, fit"),
    ],
)
def test_a_value_that_the_config_does_not_accept_is_reported_before_the_search(project, line, message):
    SPACE.write_text(line)
    with pytest.raises(UserError, match=rf"conf/sweep/digits_cnn\.yaml.*({message})"):
        Search("demo-digits", OVERRIDES)


def test_suggested_values_are_in_their_range_and_have_at_most_three_digits():
    study = optuna.create_study()
    for _ in range(20):
        trial = study.ask()
        rate = Range(0.001, 0.1, log=True).suggest(trial, "rate")
        assert 0.001 <= rate <= 0.1 and len(f"{rate:g}".lstrip("0.")) <= 3
        assert Range(1, 5).suggest(trial, "layers") in range(1, 6)
        assert Range(0, 1, step=0.25).suggest(trial, "share") in (0, 0.25, 0.5, 0.75, 1)
        assert 0.12345 <= Range(0.12345, 0.12346).suggest(trial, "narrow") <= 0.12346
        assert Choices(["rnn", "gru"]).suggest(trial, "cell") in ("rnn", "gru")
        assert Choices([[8, 16], [16, 32]]).suggest(trial, "channels") in ([8, 16], [16, 32])


@pytest.mark.parametrize(
    "value", [0.00001, 3, True, None, "a text", "null", "1e-3", "it's, {a} = $b", "end\\", "\\'", [8, "x", [None]]]
)
def test_hydra_reads_the_override_of_a_value_as_the_same_value(value):
    (override,) = OverridesParser.create().parse_overrides([f"key={format_override(value)}"])
    assert unquote(override.value()) == value


def unquote(value: object) -> object:
    """Return the value of an override without the quotation marks that Hydra's parser keeps."""
    if isinstance(value, list):
        return [unquote(item) for item in value]
    return getattr(value, "text", value)


def test_writing_the_best_values_changes_nothing_else_in_the_config(project):
    path = Path("conf/model/digits_cnn.yaml")
    original = path.read_text()
    write_values("digits_cnn", {RATE: 0.007, "module.network.dropout": 0.4})
    changed = original.replace("learning_rate: 0.006", "learning_rate: 0.007").replace("dropout: 0.5", "dropout: 0.4")
    assert path.read_text() == changed != original


def test_a_very_small_best_value_is_read_as_a_number_again(project):
    write_values("digits_cnn", {RATE: 0.00001})
    assert read_mapping(Path("conf/model/digits_cnn.yaml"))["module"]["learning_rate"] == 0.00001
