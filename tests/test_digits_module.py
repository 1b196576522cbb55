"""Test that the digit classifier trains, predicts and loads from its model folder."""

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


def make_classifier(network: str = "cnn", facts: dict | None = None, **hyperparameters) -> DigitClassifier:
    torch.manual_seed(0)
    return DigitClassifier(facts or FACTS, NETWORKS[network], **{"learning_rate": 0.003, **hyperparameters})


def randomize_weights(classifier: DigitClassifier) -> DigitClassifier:
    """Change all weights and buffers, so that no value is an initial value."""
    with torch.no_grad():
        for value in classifier.state_dict().values():
            value.add_(torch.rand(value.shape) * 0.1) if value.is_floating_point() else value.add_(3)
    return classifier


def make_images(count: int = 16) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 28, 28)).astype(np.uint8)


@pytest.mark.parametrize(("network", "rate"), [("cnn", 0.003), ("resnet", 0.02)])
def test_classifier_overfits_one_batch(digits, network, rate):
    classifier = make_classifier(network, read_facts(digits))
    batch = next(iter(load(digits, "train", seed=7, batch_size=16)))
    optimizer = torch.optim.Adam(classifier.parameters(), rate)
    for step in range(60):
        optimizer.param_groups[0]["lr"] = rate * (1 - step / 60)
        optimizer.zero_grad()
        classifier.training_step(batch, 0).backward()
        optimizer.step()
    classifier.eval()
    assert (classifier.predict(batch[0].numpy()).argmax(1) == batch[1].numpy()).all()
    assert classifier.training_step(batch, 0) < 0.1


@pytest.mark.slow
def test_model_folder_is_enough_to_rebuild_the_classifier_in_a_new_process(tmp_path):
    classifier = randomize_weights(make_classifier("resnet", shift=2.0, weight_decay=0.1)).eval()
    model_folder.save_model(classifier, tmp_path / "model")
    np.save(tmp_path / "images.npy", make_images())
    code = (
        "import numpy as np; from pathlib import Path; from lectern.artifacts.model_folder import load_model;"
        "np.save('probabilities.npy', load_model(Path('model')).predict(np.load('images.npy')))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert np.array_equal(np.load(tmp_path / "probabilities.npy"), classifier.predict(make_images()))


def test_loaded_classifier_is_in_evaluation_mode_and_has_the_saved_weights(tmp_path):
    saved = randomize_weights(make_classifier("resnet", shift=2.0, learning_rate=0.5))
    model_folder.save_model(saved, tmp_path)
    loaded = model_folder.load_model(tmp_path)
    assert not loaded.training and dict(loaded.hparams) == dict(saved.hparams)
    for name, value in saved.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name]), name


def test_hyperparameters_are_saved_as_plain_values(tmp_path):
    model_folder.save_model(make_classifier(), tmp_path)
    metadata = json.loads((tmp_path / "module.json").read_text())
    assert metadata["hyperparameters"]["facts"] == FACTS
    assert metadata["hyperparameters"]["network"] == NETWORKS["cnn"]


def test_pixels_are_normalized_with_the_mean_and_deviation_of_the_facts():
    classifier = make_classifier(facts={"mean": 100 / 255, "deviation": 50 / 255})
    normalized = classifier.normalize(torch.tensor([[[100, 150, 50]]], dtype=torch.uint8))
    torch.testing.assert_close(normalized, torch.tensor([[[[0.0, 1.0, -1.0]]]]), atol=1e-5, rtol=0)


def test_all_classes_are_equally_likely_before_training():
    assert np.allclose(make_classifier("cnn").predict(make_images()), 0.1)
    assert np.allclose(make_classifier("resnet").eval().predict(make_images()), 0.1)


def test_initial_loss_is_that_of_random_guessing():
    loss = make_classifier().training_step((torch.from_numpy(make_images(10)), torch.arange(10), 1.0), 0)
    assert loss.item() == pytest.approx(math.log(10), rel=1e-5)


def test_predictions_are_probabilities_and_do_not_depend_on_the_batch_size():
    classifier = randomize_weights(make_classifier()).eval()
    one_batch, small_batches = classifier.predict(make_images(11)), classifier.predict(make_images(11), batch_size=4)
    assert one_batch.shape == (11, 10) and one_batch.dtype == np.float32
    assert np.allclose(one_batch, small_batches, atol=1e-6) and np.allclose(one_batch.sum(1), 1, atol=1e-6)
    assert classifier.predict(make_images(0)).shape == (0, 10)


def test_training_loss_is_multiplied_by_the_loss_weight():
    classifier = randomize_weights(make_classifier()).eval()
    batch = torch.from_numpy(make_images(4)), torch.arange(4)
    mean_loss = classifier.training_step((*batch, 1.0), 0)
    assert classifier.training_step((*batch, 0.25), 0).item() == pytest.approx(mean_loss.item() / 4)
    assert classifier.step_metrics["loss"].item() == pytest.approx(mean_loss.item())


def test_image_with_loss_weight_zero_gives_no_gradient_and_is_not_measured():
    """An image has loss weight zero if the last batch has fewer images than there are processes."""
    classifier = randomize_weights(make_classifier())
    batch = torch.from_numpy(make_images(1)), torch.tensor([3])
    classifier.training_step((*batch, 0.0), 0).backward()
    assert all((weights.grad == 0).all() for weights in classifier.parameters())
    classifier.validation_step((*batch, 0.0), 0)
    assert not classifier.validation_metric("loss").update_called
    assert not classifier.validation_metric("accuracy").update_called


def test_only_training_images_are_augmented(monkeypatch):
    calls = []
    monkeypatch.setattr(module, "random_affine", lambda images, **ranges: calls.append(ranges) or images)
    monkeypatch.setattr(module, "random_stroke_width", lambda images, width: calls.append(width) or images)
    ranges = {"shift": 2.0, "rotate": 10.0, "scale": 0.1, "slant": 0.3}
    classifier = make_classifier("resnet", **ranges, stroke_width=0.4).eval()
    batch = (torch.from_numpy(make_images(4)), torch.arange(4), 1.0)
    classifier.predict(make_images(4))
    classifier.validation_step(batch, 0)
    assert calls == []
    classifier.training_step(batch, 0)
    assert calls == [ranges, 0.4]


def test_validation_metrics_are_means_over_images_and_not_over_batches(monkeypatch):
    classifier = randomize_weights(make_classifier()).eval()
    labels = torch.arange(11) % 10
    logged = {}
    monkeypatch.setattr(classifier, "log_dict", logged.update)
    for part in (slice(0, 8), slice(8, 11)):
        classifier.validation_step((torch.from_numpy(make_images(11)[part]), labels[part], 1.0), 0)
    classifier.on_validation_epoch_end()
    logits = classifier(torch.from_numpy(make_images(11))).detach()
    loss = torch.nn.functional.cross_entropy(logits, labels)
    assert logged["validation_loss"].item() == pytest.approx(loss.item(), rel=1e-4)
    assert logged["validation_accuracy"].item() == pytest.approx((logits.argmax(1) == labels).float().mean().item())
    assert classifier.validation_metric("loss").update_count == 0  # The metrics are reset before the next epoch.
    assert classifier.validation_metric("accuracy").update_count == 0


def test_validation_loss_does_not_depend_on_label_smoothing(monkeypatch):
    logged = {}
    batch = (torch.from_numpy(make_images(4)), torch.arange(4), 1.0)
    for smoothing in (0.0, 0.2):
        classifier = randomize_weights(make_classifier(label_smoothing=smoothing)).eval()
        monkeypatch.setattr(classifier, "log_dict", lambda values, key=smoothing: logged.update({key: values}))
        classifier.validation_step(batch, 0)
        classifier.on_validation_epoch_end()
    assert logged[0.0]["validation_loss"] == logged[0.2]["validation_loss"]


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"class": "DigitCNNN"}, r"'DigitCNNN'; did you mean 'DigitCNN'\?"),
        ({"class": "ResidualBlock"}, "'ResidualBlock'.*DigitCNN, DigitResNet"),
        ({}, "None.*DigitCNN"),
        ({"class": "DigitCNN", "dropuot": 0.1}, r"module.network.*'dropuot'.*did you mean 'dropout'\?"),
    ],
)
def test_error_for_a_wrong_network_section_suggests_the_nearest_name(network, message):
    with pytest.raises(UserError, match=message):
        DigitClassifier(FACTS, network, learning_rate=0.003)


# Loader


def test_training_batches_contain_each_image_once_with_its_label(digits):
    images, labels = zip(*[(image, label) for image, label, _ in load(digits, "train", 7, 100)], strict=True)
    stored_images, stored_labels = np.load(digits / "train_images.npy"), np.load(digits / "train_labels.npy")
    expected = sorted(zip([image.tobytes() for image in stored_images], stored_labels.tolist(), strict=True))
    loaded = [image.numpy().tobytes() for image in torch.cat(images)]
    assert sorted(zip(loaded, torch.cat(labels).tolist(), strict=True)) == expected


def test_validation_images_are_loaded_in_their_stored_order(digits):
    loaded = torch.cat([image for image, *_ in load(digits, "validation", 7, 100)])
    assert np.array_equal(loaded.numpy(), np.load(digits / "validation_images.npy"))


# Inference API


def test_prediction_and_example_match_the_signature(digits):
    signature, example = inference_api.signature(), inference_api.example(digits)
    classifier = randomize_weights(make_classifier(facts=read_facts(digits))).eval()
    probabilities = inference_api.predict(classifier, example)
    (output,), (input_,) = signature.outputs.inputs, signature.inputs.inputs
    assert (probabilities.dtype, probabilities.shape[1:]) == (output.type, output.shape[1:])
    assert (example.dtype, example.shape[1:]) == (input_.type, input_.shape[1:])
    assert np.array_equal(probabilities, classifier.predict(example))


def test_example_images_are_not_from_the_test_split(digits):
    test_images = {image.tobytes() for image in np.load(digits / "test_images.npy")}
    assert not {image.tobytes() for image in inference_api.example(digits)} & test_images


def test_error_for_wrong_input_names_the_expected_type_and_shape():
    with pytest.raises(UserError, match=r"uint8 of shape \(n, 28, 28\); got float64 of shape \(1, 8, 8\)"):
        inference_api.predict(make_classifier(), np.zeros((1, 8, 8)))
