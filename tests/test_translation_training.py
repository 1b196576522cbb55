"""A toy language learnt through the hall's own training: schedule, exact resume, model folder, configs."""

from pathlib import Path

import pytest
import torch
import yaml

from lectern.artifacts import model_folder
from lectern.artifacts.dataset import read_facts
from lectern.config import Model, call
from lectern.errors import UserError
from lectern.tasks.translation.data.format.sentences import prepare
from lectern.tasks.translation.model import loader
from lectern.tasks.translation.model.module import Translator
from lectern.training import fit as training
from lectern.training.plan import check_model
from translation_toy import make_processed, make_translator

TRAINER = {"accelerator": "cpu", "devices": 1, "threads": 1}
BEST = {"metric": "validation_loss", "mode": "min"}
CONFIGS = [
    path
    for path in sorted((Path(__file__).parents[1] / "conf/model").glob("*.yaml"))
    if yaml.safe_load(path.read_text())["task"] == "translation"
]


@pytest.fixture(scope="module")
def processed(tmp_path_factory) -> Path:
    return make_processed(tmp_path_factory.mktemp("toy"))


def fit(processed: Path, folder: Path, network: str = "attention", epochs: int = 2, **arguments):
    """Train a toy translator; returns it and its history."""
    training.set_determinism(seed=5, threads=1)
    module = make_translator(read_facts(processed), network, **arguments).train()
    parts = [loader.load(processed, split, seed=5, tokens=45) for split in ("train", "validation")]
    history = training.fit(
        module, *parts, folder=folder, trainer=TRAINER, best=BEST, epochs=epochs, validations_per_epoch=2
    )
    return module, history


class Killed(Exception):
    """Stands for a power cut."""


def test_a_killed_training_goes_on_to_the_same_weights_and_history(processed, tmp_path, monkeypatch):
    """With half of the words its own, weights and history depend on random numbers, place and schedule."""
    settings = {"teacher_forcing": 1.0, "teacher_forcing_end": 0.0}
    whole, history = fit(processed, tmp_path / "whole", **settings)
    step, given = Translator.training_step, []

    def dying_step(module, batch, index):
        given.append(index)
        if len(given) == 9:
            raise Killed
        return step(module, batch, index)

    monkeypatch.setattr(Translator, "training_step", dying_step)
    with pytest.raises(Killed):
        fit(processed, tmp_path / "killed", **settings)
    assert (tmp_path / "killed" / "last.ckpt").is_file()
    monkeypatch.setattr(Translator, "training_step", step)
    resumed, resumed_history = fit(processed, tmp_path / "killed", **settings)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert resumed_history.records == history.records and resumed_history.text_samples == history.text_samples


def test_history_has_what_was_watched_and_texts(processed, tmp_path):
    _, history = fit(processed, tmp_path, "transformer")
    names = {row.name for row in history.records}
    assert names == {"train_loss", "train_padding", "validation_loss", "validation_accuracy"}
    source, found, target = history.text_samples[-1].text.split("\n\n")[0].split("\n")
    assert source.startswith("Now A") and found is not None and target.endswith("Now")


def test_teacher_forcing_goes_in_a_straight_line_over_the_training(processed, tmp_path, monkeypatch):
    shares, step = [], Translator.training_step

    def watch(module, batch, index):
        shares.append(module.teacher_forcing())
        return step(module, batch, index)

    monkeypatch.setattr(Translator, "training_step", watch)
    fit(processed, tmp_path, teacher_forcing=0.9, teacher_forcing_end=0.4)
    lines = [0.9 - 0.5 * number / len(shares) for number in range(len(shares))]
    assert shares == pytest.approx(lines)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_teacher_forcing_stays_where_no_end_is_given(processed, share):
    module = make_translator(read_facts(processed), "seq2seq", teacher_forcing=share)
    module.steps, module._trainer = 10, type("Trainer", (), {"global_step": 5})
    assert module.teaching == (share, share)


@pytest.mark.parametrize(
    ("network", "shares", "message"),
    [
        ("transformer", {"teacher_forcing": 0.5}, "Transformer writes all words at once"),
        ("transformer", {"teacher_forcing_end": 0.0}, "leave it at 1.0"),
        ("attention", {"teacher_forcing": 1.5}, "a share of the steps, from 0 to 1"),
    ],
)
def test_teacher_forcing_that_cannot_be_is_refused(processed, network, shares, message):
    with pytest.raises(UserError, match=message):
        make_translator(read_facts(processed), network, **shares)


@pytest.mark.parametrize("network", ["seq2seq", "attention", "transformer"])
def test_a_model_folder_alone_rebuilds_the_translator(processed, tmp_path, network):
    torch.manual_seed(3)
    module = make_translator(read_facts(processed), network)
    model_folder.save_model(module, tmp_path / "model")
    again = model_folder.load_model(tmp_path / "model")
    sources = ["A man sleeps here.", "Something else entirely?"]
    expected = module.predict(prepare(sources, module.facts), beam=3, n_best=2)
    assert again.predict(prepare(sources, again.facts), beam=3, n_best=2) == expected
    assert [len(best) for best in expected] == [2, 2]


def test_sentences_of_any_lengths_come_back_in_their_order(processed):
    module = make_translator(read_facts(processed), "attention")
    sources = [f"A man {'sleeps ' * count}here." for count in (9, 1, 5, 2, 7)]
    together = module.predict(prepare(sources, module.facts))
    for source, found in zip(sources, together, strict=True):
        assert module.predict(prepare([source], module.facts))[0][0][0] == found[0][0]
    assert module.predict([]) == []


def test_attention_has_a_row_a_piece_written_and_a_column_a_piece_read(processed):
    module = make_translator(read_facts(processed), "transformer")
    source, target, looks = module.attention(prepare(["A man sleeps."], module.facts)[0])
    assert looks.shape == (len(target), len(source))
    assert source[0].startswith("▁") and source[-1] == target[-1] == "<eos>"
    assert make_translator(read_facts(processed), "seq2seq").attention([5, 2]) is None


def test_empty_shares_of_a_batch_count_for_nothing(processed):
    module = make_translator(read_facts(processed), "attention")
    module.validation_step((torch.tensor([[5, 2]]), torch.tensor([[1, 6, 2]]), 0.0), 0)
    assert module.validation["loss"].weight == 0


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_fits_what_takes_it(path, processed):
    model = call(Model, yaml.safe_load(path.read_text()), str(path))
    check_model(model, str(path))
    arguments = {key: value for key, value in model.module.items() if key != "class"}
    assert model.name == path.stem and Translator(read_facts(processed), **arguments)
