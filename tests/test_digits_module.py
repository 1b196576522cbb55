"""Digits: the classifier learns, answers, and comes back from its folder."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from lectern.artifacts import model_folder
from lectern.artifacts.dataset import read_facts
from lectern.errors import UserError
from lectern.tasks.digits.model import module
from lectern.tasks.digits.model.loader import load
from lectern.tasks.digits.model.module import DigitClassifier
from lectern.tasks.digits.serving import inference_api

NETWORKS = {"cnn": {"class": "DigitCNN", "dropout": 0.5}, "resnet": {"class": "DigitResNet", "width": 16, "blocks": 1}}
FACTS = {"mean": 0.2, "deviation": 0.3}


def classifier(network: str = "cnn", facts: dict | None = None, **recipe) -> DigitClassifier:
    torch.manual_seed(0)
    return DigitClassifier(facts or FACTS, NETWORKS[network], **{"learning_rate": 0.003, **recipe})


def unlike(classifier: DigitClassifier) -> DigitClassifier:
    """Weights as after a training: none of them as they were made."""
    with torch.no_grad():
        for value in classifier.state_dict().values():
            value.add_(torch.rand(value.shape) * 0.1) if value.is_floating_point() else value.add_(3)
    return classifier


def images(count: int = 16) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 28, 28)).astype(np.uint8)


@pytest.mark.parametrize(("network", "rate"), [("cnn", 0.003), ("resnet", 0.02)])
def test_it_memorises_one_batch(digits, network, rate):
    learner = classifier(network, read_facts(digits))
    batch = next(iter(load(digits, "train", seed=7, batch_size=16)))
    optimizer = torch.optim.Adam(learner.parameters(), rate)
    for step in range(60):
        optimizer.param_groups[0]["lr"] = rate * (1 - step / 60)
        optimizer.zero_grad()
        learner.training_step(batch, 0).backward()
        optimizer.step()
    learner.eval()
    assert (learner.predict(batch[0].numpy()).argmax(1) == batch[1].numpy()).all()
    assert learner.training_step(batch, 0) < 0.1


def test_the_model_folder_alone_rebuilds_the_classifier(tmp_path):
    """In a fresh process, elsewhere, with nothing but the folder and the inputs."""
    before = unlike(classifier("resnet", shift=2.0, weight_decay=0.1)).eval()
    model_folder.save_model(before, tmp_path / "model")
    np.save(tmp_path / "images.npy", images())
    rebuild = (
        "import numpy as np; from pathlib import Path; from lectern import models;"
        "np.save('answers.npy', models.load(Path('model')).predict(np.load('images.npy')))"
    )
    subprocess.run([sys.executable, "-c", rebuild], cwd=tmp_path, check=True)
    assert np.array_equal(np.load(tmp_path / "answers.npy"), before.predict(images()))


def test_what_is_loaded_is_in_evaluation_mode_and_as_it_was_saved(tmp_path):
    before = unlike(classifier("resnet", shift=2.0, learning_rate=0.5))
    model_folder.save_model(before, tmp_path)
    after = model_folder.load_model(tmp_path)
    assert not after.training and dict(after.hparams) == dict(before.hparams)
    for name, value in before.state_dict().items():
        assert torch.equal(value, after.state_dict()[name]), name


def test_hyperparameters_are_plain_values(tmp_path):
    model_folder.save_model(classifier(), tmp_path)
    described = json.loads((tmp_path / "module.json").read_text())
    assert described["hyperparameters"]["facts"] == FACTS
    assert described["hyperparameters"]["network"] == NETWORKS["cnn"]


def test_no_caller_can_forget_to_scale():
    learner = classifier(facts={"mean": 100 / 255, "deviation": 50 / 255})
    scaled = learner.scale(torch.tensor([[[100, 150, 50]]], dtype=torch.uint8))
    torch.testing.assert_close(scaled, torch.tensor([[[[0.0, 1.0, -1.0]]]]), atol=1e-5, rtol=0)


def test_at_the_start_no_class_is_preferred():
    assert np.allclose(classifier("cnn").predict(images()), 0.1)
    assert np.allclose(classifier("resnet").eval().predict(images()), 0.1)


def test_predictions_are_probabilities_whatever_the_size_of_a_batch():
    learner = unlike(classifier()).eval()
    whole, parts = learner.predict(images(11)), learner.predict(images(11), batch_size=4)
    assert whole.shape == (11, 10) and whole.dtype == np.float32
    assert np.allclose(whole, parts, atol=1e-6) and np.allclose(whole.sum(1), 1, atol=1e-6)
    assert learner.predict(images(0)).shape == (0, 10)


def test_a_training_step_gives_the_mean_loss_times_the_share():
    learner = unlike(classifier()).eval()
    batch = torch.from_numpy(images(4)), torch.arange(4)
    whole = learner.training_step((*batch, 1.0), 0)
    assert learner.training_step((*batch, 0.25), 0).item() == pytest.approx(whole.item() / 4)
    assert learner.step_metrics["loss"].item() == pytest.approx(whole.item())


def test_a_row_that_another_process_counts_teaches_nothing_and_is_not_measured():
    """Where a last batch has fewer rows than there are processes."""
    learner = unlike(classifier())
    batch = torch.from_numpy(images(1)), torch.tensor([3])
    learner.training_step((*batch, 0.0), 0).backward()
    assert all((weights.grad == 0).all() for weights in learner.parameters())
    learner.validation_step((*batch, 0.0), 0)
    assert not any(metric.update_called for metric in learner.validation.values())


def test_only_training_images_are_moved(monkeypatch):
    moved = []
    monkeypatch.setattr(module, "jitter", lambda images, **ranges: moved.append(ranges) or images)
    learner = classifier("resnet", shift=2.0, rotate=10.0, scale=0.1).eval()
    batch = (torch.from_numpy(images(4)), torch.arange(4), 1.0)
    learner.predict(images(4))
    learner.validation_step(batch, 0)
    assert moved == []
    learner.training_step(batch, 0)
    assert moved == [{"shift": 2.0, "rotate": 10.0, "scale": 0.1}]


def test_validation_values_are_means_over_images_and_not_over_batches(monkeypatch):
    learner = unlike(classifier()).eval()
    labels = torch.arange(11) % 10
    logged = {}
    monkeypatch.setattr(learner, "log_dict", logged.update)
    for part in (slice(0, 8), slice(8, 11)):
        learner.validation_step((torch.from_numpy(images(11)[part]), labels[part], 1.0), 0)
    learner.on_validation_epoch_end()
    logits = learner(torch.from_numpy(images(11))).detach()
    loss = torch.nn.functional.cross_entropy(logits, labels)
    assert logged["validation_loss"].item() == pytest.approx(loss.item(), rel=1e-4)
    assert logged["validation_accuracy"].item() == pytest.approx((logits.argmax(1) == labels).float().mean().item())
    assert all(metric.update_count == 0 for metric in learner.validation.values())  # the next starts anew


def test_label_smoothing_is_not_part_of_what_validation_measures(monkeypatch):
    logged = {}
    batch = (torch.from_numpy(images(4)), torch.arange(4), 1.0)
    for smoothing in (0.0, 0.2):
        learner = unlike(classifier(label_smoothing=smoothing)).eval()
        monkeypatch.setattr(learner, "log_dict", lambda values, at=smoothing: logged.update({at: values}))
        learner.validation_step(batch, 0)
        learner.on_validation_epoch_end()
    assert logged[0.0]["validation_loss"] == logged[0.2]["validation_loss"]


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ({"class": "DigitCNNN"}, r"'DigitCNNN'; did you mean 'DigitCNN'\?"),
        ({"class": "ResidualBlock"}, "'ResidualBlock'.*Available: DigitCNN, DigitResNet"),
        ({}, "unknown class None.*Available: DigitCNN"),
        (
            {"class": "DigitCNN", "dropuot": 0.1},
            r"module.network \(DigitCNN\): no key 'dropuot' here; did you mean 'dropout'\?",
        ),
    ],
)
def test_a_network_that_does_not_exist_is_answered_with_the_nearest(network, said):
    with pytest.raises(UserError, match=said):
        DigitClassifier(FACTS, network, learning_rate=0.003)


# Batches


def test_batches_hold_each_training_image_once_with_its_label(digits):
    seen, labels = zip(*[(image, label) for image, label, _ in load(digits, "train", 7, 100)], strict=True)
    images, wanted = np.load(digits / "train_images.npy"), np.load(digits / "train_labels.npy")
    there = sorted(zip([image.tobytes() for image in images], wanted.tolist(), strict=True))
    got = sorted(zip([image.numpy().tobytes() for image in torch.cat(seen)], torch.cat(labels).tolist(), strict=True))
    assert got == there


def test_validation_images_come_as_they_lie(digits):
    seen = torch.cat([image for image, *_ in load(digits, "validation", 7, 100)])
    assert np.array_equal(seen.numpy(), np.load(digits / "validation_images.npy"))


# Answers


def test_the_answer_is_what_the_signature_says(digits):
    signature, example = inference_api.signature(), inference_api.example(digits)
    learner = unlike(classifier(facts=read_facts(digits))).eval()
    answered = inference_api.predict(learner, example)
    (given,), (taken,) = signature.outputs.inputs, signature.inputs.inputs
    assert (answered.dtype, answered.shape[1:]) == (given.type, given.shape[1:])
    assert (example.dtype, example.shape[1:]) == (taken.type, taken.shape[1:])
    assert np.array_equal(answered, learner.predict(example))


def test_the_example_is_not_of_the_test_split(digits):
    test = {image.tobytes() for image in np.load(digits / "test_images.npy")}
    assert not {image.tobytes() for image in inference_api.example(digits)} & test


def test_a_wrong_question_is_answered_with_what_is_expected():
    with pytest.raises(UserError, match=r"uint8 of shape \(n, 28, 28\); got float64 of shape \(1, 8, 8\)"):
        inference_api.predict(classifier(), np.zeros((1, 8, 8)))


def test_the_loss_at_the_start_is_that_of_guessing():
    loss = classifier().training_step((torch.from_numpy(images(10)), torch.arange(10), 1.0), 0)
    assert loss.item() == pytest.approx(math.log(10), rel=1e-5)
