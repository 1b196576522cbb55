"""Test the commands `lectern write` and `lectern memory`."""

from types import SimpleNamespace

import pytest
import torch
import typer
from click.testing import Result
from typer.testing import CliRunner

from language_model_texts import make_processed
from lectern.errors import UserError
from lectern.registry.loaded_model import LoadedModel
from lectern.serving import champions
from lectern.tasks.language_model import commands
from lectern.tasks.language_model.data.format.alphabet import encode
from lectern.tasks.language_model.model import generation
from lectern.tasks.language_model.model.module import CharacterModel
from lectern.tasks.language_model.report import evaluate

FACTS = {"alphabet": "\n abcdefgh", "prepare": {"normal_form": "NFC"}}
GRU = {"class": "RecurrentNetwork", "cell": "gru", "layers": 1, "hidden": 12}


def make_module(facts: dict = FACTS) -> CharacterModel:
    torch.manual_seed(1)
    return CharacterModel(facts, GRU, learning_rate=0.01)


def run_command(*arguments: str) -> Result:
    app = typer.Typer()
    commands.register_commands(app)
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def champion(monkeypatch) -> CharacterModel:
    """Make one character model the champion of every registered model."""
    module = make_module()
    loaded = SimpleNamespace(model=LoadedModel(module, "language_model"))
    monkeypatch.setattr(champions, "load_champion", lambda name, task: loaded)
    return module


def test_write_prints_the_prompt_and_the_text(champion):
    result = run_command("write", "poems", "--prompt", "a bad cab", "--length", "30", "--seed", "4")
    text = generation.generate_text(champion, encode("a bad cab", FACTS), 30, seed=4)
    assert result.stdout == f"a bad cab{text}\n"
    assert result.stderr == ""


def test_write_prints_unknown_characters_to_stderr(champion):
    result = run_command("write", "poems", "--prompt", "a bäd cab", "--length", "5")
    assert "poems has not been trained on the characters 'ä'" in result.stderr
    assert result.stdout.startswith("a bäd cab")


def test_write_prints_nothing_if_the_temperature_is_out_of_range(champion):
    result = run_command("write", "poems", "--temperature", "-1")
    assert isinstance(result.exception, UserError)
    assert result.stdout == ""


def test_memory_draws_a_plot_and_names_experiments_that_are_not_evaluated(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "COPYING_SAMPLES", (2, 50))
    monkeypatch.chdir(tmp_path)
    processed, facts = make_processed(tmp_path)
    (tmp_path / "reports/first").mkdir(parents=True)
    evaluate.evaluate(make_module(facts).eval(), processed, tmp_path / "reports/first")
    assert run_command("memory", "first").exit_code == 0
    assert (tmp_path / "memory.png").is_file()
    assert "dvc repro evaluate@second" in str(run_command("memory", "first", "second", "--overwrite").exception)
