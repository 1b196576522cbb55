"""Register a small champion of every task in seconds, for the tests of `lectern serve`."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mlflow import MlflowClient
from PIL import Image

from lectern.artifacts import model_folder
from lectern.artifacts.dataset import read_facts
from lectern.artifacts.paths import PROCESSED, ExperimentPaths
from lectern.atomic import write_json
from lectern.registry import register
from lectern.registry.registered_model import RegisteredModel
from lectern.stages.experiments import stage_code_digest

# names of the registered models, which are the datasets of the demo
DIGITS, TEXT, TRANSLATION, STEERING = "sample_digits", "sample_code", "sample_numbers", "sample_road"
SENTENCES = "sample_sentences"
CHAMPIONS = (DIGITS, TEXT, TRANSLATION, STEERING, SENTENCES)


# a model card has tables and code that are wider than a phone
WIDE_PARTS = (
    "![Curve of the loss](reports/x/learning_curve.png)\n\n"
    f"|{' class |' * 12}\n|{' --- |' * 12}\n|{' 0.1234 |' * 12}\n\n"
    f"```python\n# a comment\nmodel = {'load_model(' * 9}\n```\n\n![Other host](https://example.org/tracker.png)\n"
)


def register_champions(digits: Path, store: str) -> None:
    """Register a champion of each task in the current folder, and a weaker second version of the digits model."""
    client = MlflowClient(store, store)
    numbers = {DIGITS: register_digits(client, digits)}
    torch.manual_seed(0)
    numbers |= {
        TEXT: register_version(client, "poems", TEXT, make_language_model(PROCESSED / TEXT), 0.5),
        TRANSLATION: register_version(client, "toy", TRANSLATION, make_translator(PROCESSED / TRANSLATION), 0.5),
        STEERING: register_version(client, "road", STEERING, make_steering_model(PROCESSED / STEERING), 0.5),
        SENTENCES: register_version(client, "opinions", SENTENCES, make_classifier(PROCESSED / SENTENCES), 0.5),
    }
    for name, number in numbers.items():
        model = RegisteredModel(client, name)
        model.point_champion(model.get(number))


def register_version(client: MlflowClient, experiment: str, dataset: str, module, score: float) -> str:
    """Write the outputs of an experiment, register them, and return the version number."""
    paths = ExperimentPaths(experiment, dataset)
    model_folder.save_model(module.eval(), paths.model)
    for folder in (paths.metrics_file.parent, paths.card.parent, paths.report):
        folder.mkdir(parents=True, exist_ok=True)
    evaluation = {
        "higher_is_better": True,
        "test_digest": read_facts(paths.processed)["test_digest"],
        "weights_digest": paths.weights,
        "code_digest": stage_code_digest("evaluate", paths.task),
    }
    write_json(paths.metrics_file, {"score": score, "baseline": 0.0})
    write_json(paths.evaluation_file, evaluation)
    paths.card.write_text(
        f"# {experiment}\n\nA small model for tests, of `{dataset}` (test digest `{evaluation['test_digest']}`).\n\n"
        f"| metric | value |\n| --- | ---: |\n| worst_class_recall | {score} |\n\n{WIDE_PARTS}"
    )
    Image.new("RGB", (600, 400), "orange").save(paths.report / "learning_curve.png")
    run = client.create_run(find_or_create_experiment(client), run_name=experiment)
    client.set_terminated(run.info.run_id)
    return str(register.register(client, paths, run.info.run_id).number)


def find_or_create_experiment(client: MlflowClient) -> str:
    experiment = client.get_experiment_by_name("lectern/tests")
    if experiment:
        return experiment.experiment_id
    return client.create_experiment("lectern/tests", Path("mlartifacts").absolute().as_uri())


def register_digits(client: MlflowClient, digits: Path) -> str:
    """Register a weak version and a better version that was also trained on drawings.

    Return the number of the better version.
    """
    from registered import fit_last_layer

    processed = PROCESSED / DIGITS
    shutil.copytree(digits, processed)
    register_version(client, "weak", DIGITS, fit_last_layer(processed, 60), 0.5)
    return register_version(client, "best", DIGITS, fit_last_layer(add_drawings(processed), 3000), 0.9)


def add_drawings(processed: Path) -> Path:
    """Return a copy of the dataset with thirty more drawings per digit. No test uses the same drawings."""
    from drawn_digits import draw_digit
    from lectern.tasks.digits.serving.drawing import to_mnist_image

    drawings = [to_mnist_image(draw_digit(digit, number)) for digit in range(10) for number in range(1000, 1030)]
    additions = {"images": np.stack(drawings), "labels": np.repeat(np.arange(10, dtype=np.uint8), 30)}
    folder = Path("with_drawings")
    shutil.copytree(processed, folder)
    for name, added in additions.items():
        path = folder / f"train_{name}.npy"
        np.save(path, np.concatenate([np.load(path), added]))
    return folder


def copy_processed(source: Path, processed: Path) -> dict:
    processed.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, processed)
    return read_facts(processed)


def make_language_model(processed: Path):
    """Return an untrained network. It is large, so that a test has time to stop it in the middle of a text."""
    from language_model_texts import make_processed
    from lectern.tasks.language_model.model.module import CharacterModel

    facts = copy_processed(make_processed(Path("raw_poems"))[0], processed)
    return CharacterModel(facts, {"class": "RecurrentNetwork", "cell": "gru", "layers": 1, "hidden": 512}, 0.01)


def make_translator(processed: Path):
    """Return a Transformer after 25 training steps on a toy language."""
    from torch.nn import functional as F

    from lectern.tasks.translation.data.format.vocabulary import BOS, PAD
    from translation_toy import PAIRS, make_processed
    from translation_toy import make_translator as make_untrained_translator

    facts = copy_processed(make_processed(Path("raw_toy")), processed)
    translator = make_untrained_translator(facts, "transformer")
    sources, targets = zip(*PAIRS, strict=True)
    source, target = encode_and_pad(facts, sources, []), encode_and_pad(facts, targets, [BOS])
    optimizer = torch.optim.Adam(translator.parameters(), 0.005)
    for _ in range(25):
        logits = translator.network.logits(translator.network(source, target[:, :-1]))
        loss = F.cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten(), ignore_index=PAD)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return translator


def encode_and_pad(facts: dict, texts: Sequence[str], prefix: list[int]) -> torch.Tensor:
    from torch.nn.utils.rnn import pad_sequence

    from lectern.tasks.translation.data.format import vocabulary
    from lectern.tasks.translation.data.format.vocabulary import EOS

    sentences = vocabulary.encode(vocabulary.load_tokenizer(facts["tokenizer"]), texts)
    return pad_sequence([torch.tensor(prefix + tokens + [EOS]) for tokens in sentences], batch_first=True)


def make_steering_model(processed: Path):
    """Return an untrained PilotNet. Its last layer has large weights, so that the angle depends on the frame."""
    from lectern.tasks.steering.data.preprocess import preprocess
    from lectern.tasks.steering.model.module import SteeringModel
    from steering_recordings import ARGUMENTS, BLOCKS, write_udacity_sim

    write_udacity_sim(Path("raw_road"))
    preprocess(Path("raw_road"), processed, reader="udacity_sim", **BLOCKS, **ARGUMENTS)
    module = SteeringModel(read_facts(processed), {"class": "PilotNet"}, {"angle": 1.0}, 0.001)
    torch.nn.init.normal_(module.network.output.weight, std=0.5)
    return module


def make_classifier(processed: Path):
    """Return a trained network with attention. One word of a sentence determines its class."""
    import sentence_texts

    copy_processed(sentence_texts.make_processed(Path("raw_opinions")), processed)
    return sentence_texts.train(sentence_texts.make_classifier(processed), processed)
