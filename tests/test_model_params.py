"""Test that commands, the API and MLflow check the parameters of a prediction in the same way."""

import json
import re

import mlflow
import numpy as np
import pandas as pd
import pytest

from lectern.errors import UserError
from lectern.registry.model_params import params_schema, validate_params
from lectern.task_modules import task_module, task_names
from predict_command import lectern
from sample_champions import TEXT, TRANSLATION

__all__ = ["lectern"]  # `lectern` is imported because it is a fixture

NAN, HUGE = float("nan"), 10**400
EXPECTED = {  # the wrong values of each parameter, and the expected value in the error message
    ("translation", "beam"): ([0, -1, 33, HUGE, 1.0, 1.5, NAN, True, None, "hot"], "an integer from 1 to 32"),
    ("translation", "n_best"): ([0, -1, 33, HUGE, 1.0, NAN, False, None, "1"], "an integer from 1 to 32"),
    ("language_model", "length"): ([0, -1, 100_001, HUGE, 5.0, NAN, True, None, "5"], "an integer from 1 to 100,000"),
    ("language_model", "temperature"): ([-0.1, 10.1, HUGE, NAN, True, None, "hot"], "a number from 0 to 10"),
    ("language_model", "top_k"): ([-1, 10_001, HUGE, 2.5, NAN, True, None, "3"], "an integer from 0 to 10,000"),
    ("language_model", "top_p"): ([0, -1, 1.1, HUGE, NAN, True, None, "1"], "a number above 0 and of at most 1"),
    ("language_model", "seed"): ([-1, 2**63, 1.5, NAN, True, None, "0"], f"an integer from 0 to {2**63 - 1:,}"),
}
WRONG = [(task, name, value, text) for (task, name), (values, text) in EXPECTED.items() for value in values]


def test_every_parameter_of_every_task_is_tested():
    found = {(task, name) for task in task_names() for name in params_schema(task).model_fields}
    assert found == EXPECTED.keys()


@pytest.mark.parametrize(("task", "name", "value", "expected"), WRONG)
def test_a_wrong_value_is_refused_with_its_name_and_the_expected_value(task, name, value, expected):
    with pytest.raises(UserError, match=f"^{name} is .*; expected {re.escape(expected)}[.]$"):
        validate_params(task, {name: value})


@pytest.mark.parametrize("task", task_names())
def test_default_values_and_numbers_of_numpy_are_accepted(task):
    defaults = validate_params(task, {})
    assert validate_params(task, {name: np.asarray(value)[()] for name, value in defaults.items()}) == defaults
    specs = task_module(task, "serving.inference_api").signature().params or []
    assert defaults == {spec.name: spec.default for spec in specs}


def test_an_integer_is_accepted_as_a_number_and_several_mistakes_are_reported_together():
    assert validate_params("language_model", {"temperature": 2})["temperature"] == 2.0
    with pytest.raises(UserError, match=r'^top_k is 2.5; expected .* seed is "x"; expected .*\.$'):
        validate_params("language_model", {"top_k": 2.5, "seed": "x"})
    with pytest.raises(UserError, match="no parameter 'bean'; did you mean 'beam'"):
        validate_params("translation", {"bean": 5})
    with pytest.raises(UserError, match="n_best is 6; with a beam of 5"):
        validate_params("translation", {"n_best": 6})
    with pytest.raises(UserError, match="no parameters"):
        validate_params("digits", {"beam": 5})


def test_the_server_generates_shorter_texts_than_a_command():
    assert validate_params("language_model", {"length": 5001})["length"] == 5001
    with pytest.raises(UserError, match="length is 5001; expected an integer from 1 to 5,000"):
        validate_params("language_model", {"length": 5001}, for_server=True)


BODIES = [  # the task, the input column, the parameter, the value as JSON, and the message of all entry points
    (TRANSLATION, "source", "beam", "null", "beam is null; expected an integer from 1 to 32."),
    (TRANSLATION, "source", "beam", "1.5", "beam is 1.5; expected an integer from 1 to 32."),
    (TRANSLATION, "source", "beam", "true", "beam is true; expected an integer from 1 to 32."),
    (TRANSLATION, "source", "n_best", "6", "n_best is 6; with a beam of 5 it must be from 1 to 5."),
    (TEXT, "prompt", "top_k", "2.5", "top_k is 2.5; expected an integer from 0 to 10,000."),
    (TEXT, "prompt", "temperature", '"hot"', 'temperature is "hot"; expected a number from 0 to 10.'),
    (TEXT, "prompt", "temperature", "NaN", "temperature is NaN; expected a number from 0 to 10."),
]


@pytest.mark.parametrize(("model", "column", "name", "value", "message"), BODIES)
def test_the_command_the_api_and_mlflow_refuse_a_value_with_the_same_message(
    lectern, server, serving_project, tmp_path, model, column, name, value, message
):
    (tmp_path / "a.txt").write_text("A man sleeps here.\n")
    ended = lectern(
        "predict", model, "--input", tmp_path / "a.txt", "--output", tmp_path / "out.csv", "--param", f"{name}={value}"
    )
    assert ended.code == 1 and message in ended.said and "Traceback" not in ended.said
    body = f'{{"input": {{"{column}": "A man."}}, "params": {{"{name}": {value}}}}}'
    response = server.post(
        f"/v1/models/{model}/predict", data=body.encode(), headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 422 and message in response.json()["detail"]
    mlflow.set_tracking_uri(f"sqlite:///{serving_project / 'mlflow.db'}")
    task_model = mlflow.pyfunc.load_model(f"models:/{model}@champion").unwrap_python_model()
    with pytest.raises(Exception, match=re.escape(message)) as refused:
        task_model.predict(None, pd.DataFrame({column: ["A man."]}), {name: json.loads(value)})
    assert type(refused.value).__name__ == "UserError"


def test_a_word_that_is_no_json_and_a_repeated_parameter_are_refused(lectern, tmp_path):
    (tmp_path / "a.txt").write_text("x\n")
    command = ("predict", TEXT, "--input", tmp_path / "a.txt", "--output", tmp_path / "out.csv", "--param", "seed=one")
    assert 'seed is "one"; expected an integer from 0' in lectern(*command).said
    ended = lectern(*command, "--param", "seed=1")
    assert ended.code == 1 and "--param seed is given twice" in ended.said


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("write", TEXT, "--temperature", "nan"), "temperature is NaN; expected a number from 0 to 10."),
        (("write", TEXT, "--seed", str(2**63)), f"seed is {2**63}; expected an integer from 0"),
        (("translate", TRANSLATION, "  A man.", "--beam", "0"), "beam is 0; expected an integer from 1 to 32."),
        (("translate", TRANSLATION, "--n-best", "6"), "n_best is 6; with a beam of 5"),
    ],
)
def test_the_commands_of_a_task_refuse_a_wrong_value_before_they_read_their_input(lectern, command, message):
    ended = lectern(*command)
    assert ended.code == 1 and ended.said.startswith(f"lectern: {message}")
