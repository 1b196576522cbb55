"""Test text generation from Python and through the inference API."""

import numpy as np
import pandas as pd
import pytest
import torch

from language_model_texts import make_processed
from lectern.errors import UserError
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


def test_text_depends_on_the_seed_and_is_the_same_for_the_same_seed(module):
    texts = [generation.generate_text(module, PROMPT, 80, seed=seed) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_streamed_characters_equal_the_generated_text(module):
    characters = generation.stream_characters(module, PROMPT, 30, seed=1)
    assert "".join(characters) == generation.generate_text(module, PROMPT, 30, seed=1)


def test_batch_of_texts_has_the_given_length_and_different_texts(module):
    texts = generation.generate_texts(module, np.zeros((3, 0), np.uint16), 25)
    assert [len(text) for text in texts] == [25, 25, 25]
    assert len(set(texts)) == 3


def test_temperature_zero_gives_the_likeliest_character_after_the_text_so_far(module):
    text = generation.generate_text(module, PROMPT, 12, temperature=0.0)
    module.eval()
    for position, character in enumerate(text):
        ids = np.append(PROMPT, encode(text[:position], FACTS)).astype(int)
        logits, _ = module(torch.from_numpy(ids)[None])
        logits[..., UNKNOWN_ID] = -torch.inf
        assert FACTS["alphabet"][int(logits[0, -1].argmax()) - 1] == character


def test_generation_keeps_the_random_state_of_torch_and_the_training_mode(module):
    module.train()
    random_state = torch.get_rng_state()
    generation.generate_text(module, PROMPT, 10)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert module.training


def test_sampled_ids_follow_the_probabilities():
    logits = np.log(np.tile([1e-9, 0.5, 0.3, 0.2], (20_000, 1)))
    ids = generation.sample_ids(logits, np.random.default_rng(1).random(20_000))
    assert np.bincount(ids, minlength=4) / 20_000 == pytest.approx([0, 0.5, 0.3, 0.2], abs=0.02)


@pytest.mark.parametrize(
    ("options", "expected_ids"),
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
def test_sampling_options_restrict_the_sampled_ids(options, expected_ids):
    # without the probability of the unknown id, the other probabilities are 1/2, 1/3 and 1/6
    logits = np.log(np.tile([0.4, 0.3, 0.2, 0.1], (1000, 1)))
    assert set(generation.sample_ids(logits, np.linspace(0, 0.999, 1000), **options)) == expected_ids


def test_unknown_character_is_never_generated(module):
    module.network.output.bias.data[UNKNOWN_ID] = 100.0
    assert REPLACEMENT_CHARACTER not in generation.generate_text(module, PROMPT, 50)


@pytest.mark.parametrize(
    ("options", "message"),
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
def test_option_out_of_range_is_an_error_before_the_first_character(module, options, message):
    with pytest.raises(UserError, match=message):
        generation.stream_characters(module, PROMPT, **options)


# Inference API


def test_predicted_text_does_not_depend_on_the_other_prompts(module):
    both = inference_api.predict(module, pd.DataFrame({"prompt": ["a bad", "cab"]}), length=20, seed=3)
    single = inference_api.predict(module, pd.DataFrame({"prompt": ["cab"]}), length=20, seed=3)
    assert both["text"][1] == single["text"][0]
    assert both["text"].str.len().tolist() == [20, 20]


def test_warning_lists_the_unknown_characters_of_the_prompt(module):
    with pytest.warns(UserWarning, match="'é'"):
        texts = inference_api.predict(module, pd.DataFrame({"prompt": ["caféa"]}), length=5)
    assert len(texts["text"][0]) == 5


def test_signature_matches_the_example_and_has_all_params(tmp_path):
    processed, _ = make_processed(tmp_path)
    signature = inference_api.signature()
    assert signature.inputs.input_names() == list(inference_api.example(processed).columns) == ["prompt"]
    assert {param.name: param.default for param in signature.params} == inference_api.PARAMS
