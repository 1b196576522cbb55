"""Test that toy translators train, resume exactly and can be rebuilt from their model folders."""

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
    """Train a toy translator. Return the translator and the history of the training."""
    training.set_determinism(seed=5, threads=1)
    module = make_translator(read_facts(processed), network, **arguments).train()
    loaders = [loader.load(processed, split, seed=5, tokens=45) for split in ("train", "validation")]
    history = training.fit(
        module, *loaders, folder=folder, trainer=TRAINER, best=BEST, epochs=epochs, validations_per_epoch=2
    )
    return module, history


class Killed(Exception):
    """Simulates a process that is killed."""


def test_resumed_training_gives_identical_weights_and_history(processed, tmp_path, monkeypatch):
    """Scheduled sampling makes the result depend on the random state, the position in the data and the schedule."""
    settings = {"teacher_forcing": 1.0, "teacher_forcing_end": 0.0}
    uninterrupted, history = fit(processed, tmp_path / "uninterrupted", **settings)
    training_step, steps = Translator.training_step, []

    def step_that_dies(module, batch, index):
        steps.append(index)
        if len(steps) == 9:
            raise Killed
        return training_step(module, batch, index)

    monkeypatch.setattr(Translator, "training_step", step_that_dies)
    with pytest.raises(Killed):
        fit(processed, tmp_path / "killed", **settings)
    assert (tmp_path / "killed" / "last.ckpt").is_file()
    monkeypatch.setattr(Translator, "training_step", training_step)
    resumed, resumed_history = fit(processed, tmp_path / "killed", **settings)
    for name, value in uninterrupted.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert resumed_history.records == history.records
    assert resumed_history.text_samples == history.text_samples


def test_history_contains_the_metrics_and_sample_translations(processed, tmp_path):
    _, history = fit(processed, tmp_path, "transformer")
    names = {record.name for record in history.records}
    assert names == {"train_loss", "train_padding", "validation_loss", "validation_accuracy"}
    for sample in history.text_samples[-1].text.split("\n\n"):
        source, _, target = sample.split("\n")  # The line between source and target is the translation.
        assert source.startswith("Now A") and target.endswith("Now")


def test_teacher_forcing_changes_linearly_during_training(processed, tmp_path, monkeypatch):
    probabilities, training_step = [], Translator.training_step

    def recording_step(module, batch, index):
        probabilities.append(module.current_teacher_forcing())
        return training_step(module, batch, index)

    monkeypatch.setattr(Translator, "training_step", recording_step)
    fit(processed, tmp_path, teacher_forcing=0.9, teacher_forcing_end=0.4)
    steps = len(probabilities)
    assert steps > 5
    assert probabilities == pytest.approx([0.9 - 0.5 * step / steps for step in range(steps)])


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_teacher_forcing_is_constant_if_no_end_is_given(processed, tmp_path, monkeypatch, probability):
    probabilities, training_step = [], Translator.training_step

    def recording_step(module, batch, index):
        probabilities.append(module.current_teacher_forcing())
        return training_step(module, batch, index)

    monkeypatch.setattr(Translator, "training_step", recording_step)
    fit(processed, tmp_path, "seq2seq", epochs=1, teacher_forcing=probability)
    assert set(probabilities) == {probability}


@pytest.mark.parametrize(
    ("network", "settings", "message"),
    [
        ("transformer", {"teacher_forcing": 0.5}, "Transformer predicts all tokens in parallel"),
        ("transformer", {"teacher_forcing_end": 0.0}, "Leave it at 1.0"),
    ],
)
def test_invalid_teacher_forcing_is_rejected(processed, network, settings, message):
    with pytest.raises(UserError, match=message):
        make_translator(read_facts(processed), network, **settings)


@pytest.mark.parametrize("network", ["seq2seq", "attention", "transformer"])
def test_a_model_folder_is_enough_to_rebuild_the_translator(processed, tmp_path, network):
    torch.manual_seed(3)
    module = make_translator(read_facts(processed), network)
    model_folder.save_model(module, tmp_path / "model")
    loaded = model_folder.load_model(tmp_path / "model")
    sources = ["A man sleeps here.", "Something else entirely?"]
    expected = module.predict(prepare(sources, module.facts), beam=3, n_best=2)
    assert loaded.predict(prepare(sources, loaded.facts), beam=3, n_best=2) == expected
    assert [len(best) for best in expected] == [2, 2]


def test_translations_of_sentences_with_different_lengths_keep_their_order(processed):
    module = make_translator(read_facts(processed), "attention")
    sources = [f"A man {'sleeps ' * count}here." for count in (9, 1, 5, 2, 7)]
    batched = module.predict(prepare(sources, module.facts))
    for source, best in zip(sources, batched, strict=True):
        assert module.predict(prepare([source], module.facts))[0][0][0] == best[0][0]
    assert module.predict([]) == []


def test_the_attention_map_has_a_row_per_target_token_and_a_column_per_source_token(processed):
    module = make_translator(read_facts(processed), "transformer")
    source, target, weights = module.attention(prepare(["A man sleeps."], module.facts)[0])
    assert weights.shape == (len(target), len(source))
    assert source[0].startswith("▁") and source[-1] == target[-1] == "<eos>"
    assert make_translator(read_facts(processed), "seq2seq").attention([5, 2]) is None


def test_a_validation_batch_with_zero_loss_weight_is_not_counted(processed):
    module = make_translator(read_facts(processed), "attention")
    module.validation_step((torch.tensor([[5, 2]]), torch.tensor([[1, 6, 2]]), 0.0), 0)
    assert module.validation_metric("loss").weight == 0


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_model_config_creates_a_translator(path, processed):
    model = call(Model, yaml.safe_load(path.read_text()), str(path))
    check_model(model, str(path))
    arguments = {key: value for key, value in model.module.items() if key != "class"}
    assert model.name == path.stem and Translator(read_facts(processed), **arguments)
