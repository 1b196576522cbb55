"""Claims on how a network writes: from the library, the pyfunc and the command line."""

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from language_model_texts import make_processed
from lectern.errors import UserError
from lectern.registry import versions
from lectern.tasks.language_model.data.format.alphabet import REPLACEMENT_CHARACTER, UNKNOWN_ID, encode
from lectern.tasks.language_model.model import generation
from lectern.tasks.language_model.model.module import CharacterModel
from lectern.tasks.language_model.serving import inference_api

FACTS = {"alphabet": "\n abcdefgh", "prepare": {"normal_form": "NFC"}}
PROMPT = encode("a bad cab", FACTS)


@pytest.fixture
def module() -> CharacterModel:
    torch.manual_seed(1)
    network = {"class": "RecurrentNetwork", "cell": "gru", "layers": 2, "hidden": 16, "dropout": 0.5}
    return CharacterModel(FACTS, network, learning_rate=0.01)


def test_the_same_seed_writes_the_same_text_and_another_seed_another(module):
    texts = [generation.generate_text(module, PROMPT, 80, seed=seed) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_the_stream_is_the_text(module):
    assert "".join(generation.stream_characters(module, PROMPT, 30, seed=1)) == generation.generate_text(
        module, PROMPT, 30, seed=1
    )


def test_texts_side_by_side_are_as_long_as_asked(module):
    texts = generation.generate_texts(module, np.zeros((3, 0), np.uint16), 25)
    assert [len(text) for text in texts] == [25, 25, 25]
    assert len(set(texts)) == 3


def test_temperature_zero_is_the_likeliest_character_of_the_whole_text_so_far(module):
    written = generation.generate_text(module, PROMPT, 12, temperature=0.0)
    module.eval()
    for place, character in enumerate(written):
        logits, _ = module(torch.from_numpy(np.append(PROMPT, encode(written[:place], FACTS)).astype(int))[None])
        logits[..., UNKNOWN_ID] = -torch.inf
        assert FACTS["alphabet"][int(logits[0, -1].argmax()) - 1] == character


def test_writing_disturbs_neither_the_random_state_nor_the_mode(module):
    module.train()
    state = torch.get_rng_state()
    generation.generate_text(module, PROMPT, 10)
    assert torch.equal(torch.get_rng_state(), state)
    assert module.training


def test_draws_follow_the_probabilities():
    logits = np.log(np.tile([1e-9, 0.5, 0.3, 0.2], (20_000, 1)))
    chosen = generation.sample_ids(logits, np.random.default_rng(1).random(20_000))
    assert np.bincount(chosen, minlength=4) / 20_000 == pytest.approx([0, 0.5, 0.3, 0.2], abs=0.02)


@pytest.mark.parametrize(
    ("how", "kept"),
    [
        ({"top_k": 1}, {1}),
        ({"top_k": 2}, {1, 2}),
        ({"top_p": 0.49}, {1}),
        ({"top_p": 0.51}, {1, 2}),
        ({"top_p": 1.0}, {1, 2, 3}),
        ({"temperature": 0.01}, {1}),
        ({"top_k": 3, "top_p": 0.6}, {1, 2}),
    ],
)
def test_only_the_kept_are_written(how, kept):
    logits = np.log(np.tile([0.4, 0.3, 0.2, 0.1], (1000, 1)))  # without the unknown: 1/2, 1/3, 1/6
    assert set(generation.sample_ids(logits, np.linspace(0, 0.999, 1000), **how)) == kept


def test_the_unknown_is_never_written(module):
    module.network.readout.bias.data[UNKNOWN_ID] = 100.0
    assert REPLACEMENT_CHARACTER not in generation.generate_text(module, PROMPT, 50)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"length": 0}, "length is 0"),
        ({"length": 10**7}, "from 1 to 100,000"),
        ({"temperature": -0.1}, "temperature is -0.1"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_k": -1}, "top_k is -1"),
        ({"top_p": 0.0}, "top_p is 0.0"),
        ({"top_p": 1.1}, "top_p is 1.1"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_what_is_out_of_range_is_refused_before_a_character_is_written(module, how, message):
    with pytest.raises(UserError, match=message):
        generation.stream_characters(module, PROMPT, **how)


def test_an_answer_is_a_text_a_prompt_that_depends_on_that_prompt_alone(module):
    both = inference_api.predict(module, pd.DataFrame({"prompt": ["a bad", "cab"]}), length=20, seed=3)
    alone = inference_api.predict(module, pd.DataFrame({"prompt": ["cab"]}), length=20, seed=3)
    assert both["text"][1] == alone["text"][0]
    assert both["text"].str.len().tolist() == [20, 20]


def test_an_answer_to_unknown_characters_warns_which(module):
    with pytest.warns(UserWarning, match="'é'"):
        found = inference_api.predict(module, pd.DataFrame({"prompt": ["caféa"]}), length=5)
    assert len(found["text"][0]) == 5


def test_the_signature_takes_the_example_and_every_parameter(tmp_path):
    processed, _ = make_processed(tmp_path)
    signature = inference_api.signature()
    assert signature.inputs.input_names() == list(inference_api.example(processed).columns) == ["prompt"]
    assert {param.name: param.default for param in signature.params} == inference_api.PARAMS


def run_write(monkeypatch, module, *arguments: str):
    import typer

    from lectern.tasks.language_model import commands

    monkeypatch.setattr(versions, "load_champion", lambda name: module)
    app = typer.Typer()
    commands.register_commands(app)
    return CliRunner().invoke(app, ["write", "poems", *arguments])


def test_the_command_writes_prompt_and_text(monkeypatch, module):
    result = run_write(monkeypatch, module, "--prompt", "a bad cab", "--length", "30", "--seed", "4")
    assert result.stdout == "a bad cab" + generation.generate_text(module, PROMPT, 30, seed=4) + "\n"
    assert result.stderr == ""


def test_the_command_tells_of_unknown_characters_apart_from_the_text(monkeypatch, module):
    result = run_write(monkeypatch, module, "--prompt", "a bäd cab", "--length", "5")
    assert "poems never saw 'ä'" in result.stderr
    assert result.stdout.startswith("a bäd cab")


def test_the_command_refuses_a_bad_temperature(monkeypatch, module):
    result = run_write(monkeypatch, module, "--temperature", "-1")
    assert isinstance(result.exception, UserError)
    assert result.stdout == ""


def test_a_champion_that_writes_nothing_is_refused(monkeypatch):
    error = run_write(monkeypatch, object()).exception
    assert isinstance(error, UserError) and "poems is a object, which writes nothing" in str(error)
