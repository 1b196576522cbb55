"""Test the pre-training that predicts words, and classifiers that start from its weights."""

import pandas as pd
import pytest
import torch

from lectern.artifacts import model_folder
from lectern.artifacts.dataset import read_facts
from lectern.artifacts.digests import file_digest
from lectern.errors import UserError
from lectern.tasks.sentences.data.format.vocabulary import MASK, PAD, SPECIAL
from lectern.tasks.sentences.data.format.words import comparison_key
from lectern.tasks.sentences.data.preprocess import preprocess
from lectern.tasks.sentences.model.loader import load, pad
from lectern.tasks.sentences.model.module import BidirectionalLanguageModel, MaskedWords
from lectern.training.warm_start import WarmStart, copy_weights
from lectern.training.warm_start_fit import check_fit
from sentence_texts import CLASSES, NETWORKS, SENTENCES, make_classifier, make_processed, train, write_lines

PARTS = ("network.embedding", "network.encoder")
ENCODERS = ["max", "transformer"]


def make_pre_training(facts: dict, network: str = "max", **arguments) -> MaskedWords:
    return MaskedWords(facts, NETWORKS[network], learning_rate=0.01, **arguments)


@pytest.fixture(scope="module")
def processed(tmp_path_factory):
    """Return a dataset with unlabelled sentences of a second corpus, some of which are held out somewhere."""
    folder = tmp_path_factory.mktemp("masked")
    write_lines(folder / "raw/train.txt", [*SENTENCES, (0, "held out by the other")])
    write_lines(folder / "raw/dev.txt", [(0, "a dull evening")])
    write_lines(folder / "raw/test.txt", [(1, "a great evening")])
    others = [(7, "a great EVENING"), (3, "a new sentence"), (3, "A new sentence"), (0, "the film is dull tonight")]
    write_lines(folder / "raw/other.train", others, "windows-1252")
    write_lines(folder / "raw/other.test", [(9, "Held out by the other")], "windows-1252")
    other = {"train": "other.train", "validation": "other.test", "test": "other.test", "encoding": "windows-1252"}
    files = {"train": "train.txt", "validation": "dev.txt", "test": "test.txt"}
    preprocess(folder / "raw", folder / "processed", CLASSES, **files, unlabelled=[other])
    return folder / "processed"


def test_no_held_out_sentence_of_any_corpus_is_a_training_sentence(processed):
    train, more = (pd.read_parquet(processed / f"{name}.parquet")["text"] for name in ("train", "unlabelled"))
    assert more.tolist() == ["a new sentence"]
    assert len(train) == len(SENTENCES) and comparison_key("held out by the other") not in set(
        train.map(comparison_key)
    )
    assert "sentence" in read_facts(processed)["vocabulary"] and "evening" not in read_facts(processed)["vocabulary"]


def test_unlabelled_sentences_are_added_only_if_the_config_says_so(processed, tmp_path):
    assert load(processed, "train", 0, batch_size=10).rows == len(SENTENCES)
    loader = load(processed, "train", 0, batch_size=10, unlabelled=True)
    assert loader.rows == len(SENTENCES) + 1 and loader.tensors[1].tolist().count(-1) == 1
    with pytest.raises(
        UserError, match="batches.unlabelled is true, but .* List further corpora in preprocess.unlabelled"
    ):
        load(make_processed(tmp_path), "train", 0, batch_size=10, unlabelled=True)


@pytest.mark.parametrize("network", ENCODERS)
def test_a_hidden_word_is_predicted_from_the_other_words(tmp_path, network):
    """The validation hides the fourth word, which the second word determines."""
    pairs = (("film", "long"), ("plot", "odd"), ("cast", "large"), ("song", "loud"))
    sentences = [
        (number % 2, f"the {subject} is {word} {end}")
        for number, (subject, word) in enumerate(pairs)
        for end in ("now", "then", "soon", "here", "there")
    ]
    processed = make_processed(tmp_path, sentences, validation=2, test=2)
    torch.manual_seed(0)
    module = train(make_pre_training(read_facts(processed), network, predicted_share=0.4), processed, epochs=400)
    with torch.no_grad():
        for number, batch in enumerate(load(processed, "train", 0, batch_size=16)):
            module.validation_step(batch, number)
    accuracy, baseline = (float(module.validation_metric(name).compute()) for name in ("accuracy", "baseline"))
    assert accuracy > 0.6 and baseline < 0.25  # guessing one of the four words gives 0.25


@pytest.mark.parametrize("network", ENCODERS)
def test_a_prediction_does_not_depend_on_the_hidden_word(processed, network):
    module = make_pre_training(read_facts(processed), network).eval()
    first, second = pad([[3, 4, 5, 6]]), pad([[3, 9, 5, 6]])
    is_masked = torch.tensor([[False, True, False, False]])
    logits = [module(words.masked_fill(is_masked, MASK), is_masked) for words in (first, second)]
    assert torch.equal(*logits) and logits[0].shape == (1, len(read_facts(processed)["vocabulary"]))


def test_masked_words_become_mask_random_or_stay_and_other_words_are_unchanged(processed):
    torch.manual_seed(0)
    module = make_pre_training(read_facts(processed))
    words = torch.full((1, 4000), 5)
    words[0, 3000:] = PAD
    is_masked = torch.arange(4000)[None] < 2000
    hidden = module.hide(words, is_masked)
    assert torch.equal(hidden[~is_masked], words[~is_masked])
    shares = [(hidden[is_masked] == value).float().mean() for value in (MASK, 5)]
    assert shares[0] == pytest.approx(0.8, abs=0.03) and shares[1] == pytest.approx(0.1, abs=0.03)
    assert hidden[is_masked].min() >= MASK and (hidden[is_masked] != PAD).all()


def test_each_direction_of_the_language_model_depends_only_on_the_words_on_its_side(processed):
    module = BidirectionalLanguageModel(read_facts(processed), NETWORKS["max"], learning_rate=0.01).eval()
    is_predicted = torch.tensor([[False, True, False]])
    original, *changed = (module(pad([words]), is_predicted) for words in ([3, 4, 5], [9, 4, 5], [3, 9, 5], [3, 4, 9]))
    is_equal = [[torch.equal(*pair) for pair in zip(original, logits, strict=True)] for logits in changed]
    assert is_equal == [[False, True], [True, True], [True, False]]


def test_the_language_model_predicts_a_word_that_the_words_before_it_determine(tmp_path):
    sentences = [(number % 2, f"{'one' if number % 2 else 'two'} {number} words here") for number in range(40)]
    processed = make_processed(tmp_path, sentences)
    torch.manual_seed(0)
    module = BidirectionalLanguageModel(read_facts(processed), NETWORKS["max"], 0.01, predicted_share=0.5)
    train(module, processed, epochs=100)
    words = next(iter(load(processed, "train", 0, batch_size=4)))[0]
    is_last = torch.zeros_like(words, dtype=torch.bool)
    is_last[:, 3] = True
    before = module(words, is_last)[:4].argmax(1)
    assert torch.equal(before, words[:, 3])


def test_a_language_model_with_several_layers_is_refused(processed):
    network = {**NETWORKS["max"], "layers": 2}
    with pytest.raises(UserError, match="network.layers is 2; BidirectionalLanguageModel needs 1"):
        BidirectionalLanguageModel(read_facts(processed), network, learning_rate=0.01)


@pytest.mark.parametrize("network", ENCODERS)
def test_a_classifier_starts_from_the_vectors_of_the_words_that_both_vocabularies_have(
    processed, tmp_path, monkeypatch, network
):
    monkeypatch.chdir(tmp_path)
    source = make_pre_training(read_facts(processed), network)
    model_folder.save_model(source, tmp_path / "models/masked-words")
    other = make_processed(tmp_path, [(label, f"quite {text}") for label, text in SENTENCES])
    module = make_classifier(other, network)
    before = module.network.embedding.weight.detach().clone()
    check_fit(module, tmp_path / "models/masked-words", PARTS)
    digest = file_digest(tmp_path / "models/masked-words/weights.safetensors")
    copy_weights(module, WarmStart("masked-words", digest, PARTS))
    for name, value in source.network.encoder.state_dict().items():
        assert torch.equal(module.network.encoder.state_dict()[name], value)
    theirs, own = source.facts["vocabulary"], module.facts["vocabulary"]
    assert theirs != own
    for row, word in enumerate(own):
        expected = source.network.embedding.weight[theirs.index(word)] if word in theirs else before[row]
        assert torch.equal(module.network.embedding.weight[row], expected), word
    assert "quite" not in theirs and {"film", *SPECIAL} <= set(theirs) & set(own)


def test_an_encoder_of_another_size_does_not_fit(processed, tmp_path):
    model_folder.save_model(make_pre_training(read_facts(processed)), tmp_path)
    module = make_classifier(processed, "transformer")
    with pytest.raises(UserError, match="do not fit|has no part"):
        check_fit(module, tmp_path, PARTS)
