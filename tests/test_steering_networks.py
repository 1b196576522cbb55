"""Test the networks, the model and its training for the steering task."""

import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from children import KILLED, at_call, die, in_child
from lectern.artifacts import history_file, model_folder
from lectern.config import check_section
from lectern.errors import UserError
from lectern.tasks.steering.model import augmentation, inference, module, networks
from lectern.tasks.steering.model.convolutions import encoded_size
from lectern.tasks.steering.model.loader import SequenceLoader
from lectern.tasks.steering.model.windowed_lstm import WindowedLSTM
from lectern.tasks.steering.report import saliency
from lectern.training import fit as training
from lectern.training.checkpointing import ExactResume
from lectern.training.optimizers import one_cycle
from marked_cases import mostly

SIDE = 61  # side length of the smallest frame that PilotNet's convolutions accept
PREPARE = {"top": 0.0, "bottom": 0.0, "height": SIDE, "width": SIDE}
FACTS = {
    "targets": ["angle", "angle_averaged", "speed", "throttle"],
    "mean": {"angle": 0.1, "angle_averaged": 0.1, "speed": 20.0, "throttle": 0.5},
    "deviation": {"angle": 0.2, "angle_averaged": 0.1, "speed": 2.0, "throttle": 0.1},
    "prepare": PREPARE,
}
NETWORKS = {
    "PilotNet": {"class": "PilotNet"},
    "CNNLSTM": {"class": "CNNLSTM", "window": 4, "features": 16, "hidden": 16},
    "FeaturesLSTM": {"class": "FeaturesLSTM", "window": 5, "features": 16, "hidden": 16},
    "CNN3D": {"class": "CNN3D", "times": [1, 1, 2, 2, 1]},
    "CNN3D without differences": {"class": "CNN3D", "times": [1, 2, 1, 1, 2], "differences": False},
}
WEIGHTS = {"angle": 1.0, "speed": 0.1, "torque": 0.1}  # The recording that FACTS describes has no torque.
FEATURE_RECIPE = {
    "weights": WEIGHTS,
    "learning_rate": 0.003,
    "frame_model_learning_rate": 0.001,
    "frame_model_epochs": 2,
}
TRAINER = {"accelerator": "cpu", "devices": 1, "num_nodes": 1, "strategy": "auto", "threads": 1}


def create_model(name: str = "PilotNet", **options) -> module.SteeringModel:
    """Create a model with a random output layer, because a new model predicts only zeros."""
    torch.manual_seed(0)
    model = module.SteeringModel(FACTS, NETWORKS[name], **{"weights": WEIGHTS, "learning_rate": 0.001, **options})
    output = model.network.get_submodule("temporal.output" if "LSTM" in name else "output")
    torch.nn.init.normal_(output.weight)
    return model.eval()


def create_feature_model(**options) -> module.FeatureSteeringModel:
    torch.manual_seed(0)
    return module.FeatureSteeringModel(FACTS, NETWORKS["FeaturesLSTM"], **{**FEATURE_RECIPE, **options})


def random_frames(*shape: int) -> np.ndarray:
    """Return frames of random color patches that differ from frame to frame."""
    patches = np.random.default_rng(0).integers(0, 256, (*shape, 8, 8, 3), np.uint8)
    return np.ascontiguousarray(patches.repeat(8, -3).repeat(8, -2)[..., :SIDE, :SIDE, :])


# Networks


def test_pilotnet_has_the_size_of_the_paper():
    network = networks.build({"class": "PilotNet"}, {"height": 66, "width": 200}, 1)
    assert sum(weight.numel() for weight in network.parameters()) == 252_219
    assert encoded_size(66, 200) == 1152


@pytest.mark.parametrize("name", NETWORKS)
def test_window_drive_and_stream_predictions_are_equal(name, monkeypatch):
    monkeypatch.setattr(inference, "CHUNK", 6)  # With this value, the drive is processed in several chunks.
    model, drive = create_model(name), random_frames(16)
    expected = inference.predict_drive(model, drive)
    stream = inference.StreamingPredictor(model)
    from_stream = [stream(frame) for frame in drive]
    size = model.network.window
    from_windows = [inference.predict_windows(model, drive[None, max(0, end - size) : end]) for end in range(1, 17)]
    from_long_window = inference.predict_windows(model, drive[None])
    for output in ("angle", "speed"):
        values = expected[output]
        tolerance = 1e-5 * np.abs(values).max()
        assert values.std() > 100 * tolerance and values.dtype == np.float32
        assert np.allclose(values, [prediction[output] for prediction in from_stream], atol=tolerance, rtol=0)
        assert np.allclose(values, [prediction[output][0] for prediction in from_windows], atol=tolerance, rtol=0)
        assert np.allclose(values[-1], from_long_window[output], atol=tolerance, rtol=0)


@pytest.mark.parametrize("name", NETWORKS)
def test_prediction_depends_only_on_the_frames_of_its_window(name):
    model, drive = create_model(name), random_frames(14)
    angles = inference.predict_drive(model, drive)["angle"]
    changed_drive = drive.copy()
    changed_drive[7] = 255 - changed_drive[7]
    changed_angles = inference.predict_drive(model, changed_drive)["angle"]
    differs = np.flatnonzero(np.abs(changed_angles - angles) > 1e-6)
    assert differs.min() == 7 and differs.max() <= 7 + model.network.window - 1
    assert model.network.window == 1 or differs.max() > 7


def test_overlapping_windows_equal_separate_windows():
    lstm = WindowedLSTM(3, 5, 2, window=4)
    features = torch.randn(2, 9, 3)
    outputs = lstm(features)
    assert outputs.shape == (2, 6, 4, 2)
    for window in range(6):
        assert torch.allclose(outputs[:, window], lstm(features[:, window : window + 4])[:, 0], atol=1e-6)


def test_unknown_network_and_unknown_argument_are_rejected():
    with pytest.raises(UserError, match=r"unknown class 'PilotNett'; did you mean 'PilotNet'"):
        networks.build({"class": "PilotNett"}, PREPARE, 1)
    with pytest.raises(UserError, match=r"module\.network \(CNNLSTM\): unknown key 'windows'; did you mean 'window'"):
        networks.build({"class": "CNNLSTM", "windows": 3}, PREPARE, 1)
    with pytest.raises(UserError, match=r"times is \[1, 1\]; expected 5 kernel lengths"):
        networks.build({"class": "CNN3D", "times": [1, 1]}, PREPARE, 1)


def test_too_small_frames_are_rejected():
    with pytest.raises(UserError, match=r"Frames of 40 x 200 pixels are too small"):
        networks.build({"class": "PilotNet"}, {"height": 40, "width": 200}, 1)


# Targets and augmentation


def test_mirroring_changes_the_sign_of_the_angle_only():
    scaling = create_model(label="angle").scaling
    targets = torch.tensor([[[0.4, 0.3, 22.0, 0.6]], [[0.4, 0.3, 22.0, 0.6]]])
    normalized = scaling.normalize(targets, torch.zeros(2, 1, 1, 2), torch.tensor([True, False]))
    # the deviations are 0.2 and 2.0; the mean speed is 20
    assert normalized[:, 0, 0].tolist() == [[-2.0, 1.0], [2.0, 1.0]]
    pixels = torch.arange(2 * 3 * 2 * 4 * 3).view(2, 3, 2, 4, 3).byte()
    mirrored = augmentation.mirror(pixels, torch.tensor([True, False]))
    assert (mirrored[0] == pixels[0].flip(2)).all() and (mirrored[1] == pixels[1]).all()


def test_targets_of_a_window_are_those_of_its_frames():
    scaling = create_model("CNNLSTM", label="angle", weights={"angle": 1.0}).scaling
    targets = torch.arange(7.0).view(1, 7, 1).expand(1, 7, 4) * 0.2
    all_positions = scaling.normalize(targets, torch.zeros(1, 4, 4, 1))[0, :, :, 0]
    assert all_positions.tolist() == [pytest.approx([n, n + 1, n + 2, n + 3]) for n in range(4)]
    last_position = scaling.normalize(targets, torch.zeros(1, 4, 1, 1))
    assert last_position.flatten().tolist() == pytest.approx([3, 4, 5, 6])


def test_light_is_constant_within_a_sequence_and_within_its_range():
    torch.manual_seed(1)
    factors = augmentation.brightness_factors(torch.zeros(50, 3, 8, 9, 3), 0.3, 0.5)
    assert factors.shape == (50, 1, 8, 9, 1) and factors.min() >= 0.7 * 0.4 and factors.max() <= 1.3
    has_shadow = factors.amax((2, 3)) - factors.amin((2, 3)) > 1e-6
    assert 0.2 < has_shadow.float().mean() < 0.7
    assert (augmentation.brightness_factors(torch.zeros(5, 3, 8, 9, 3), 0.0, 0.0) == 1).all()


def test_targets_that_the_recording_lacks_are_ignored():
    assert create_model().outputs == ["angle", "speed"]


def test_unknown_target_and_missing_angle_are_rejected():
    with pytest.raises(UserError, match=r"unknown target 'sped'; did you mean 'speed'"):
        create_model(weights={"angle": 1.0, "sped": 0.1})
    with pytest.raises(UserError, match="the target 'angle' is missing"):
        create_model(weights={"speed": 0.1})


# Training


@pytest.mark.parametrize("name", list(NETWORKS)[:4])
def test_every_network_memorizes_a_batch(name):
    model = create_model(name, mirror=0.0, brightness=0.0, shadow=0.0).train()
    networks.initialize(model.network)
    window = model.network.window
    inputs = torch.from_numpy(random_frames(2, window + 1))
    targets = torch.rand(2, window + 1, 1) * torch.tensor([0.4, 0.4, 4.0, 0.4]) + torch.tensor([0.0, 0.0, 18.0, 0.3])
    optimizer = torch.optim.Adam(model.network.parameters(), 0.004)
    losses = []
    for _ in range(100 if "LSTM" in name else 40):
        optimizer.zero_grad()
        loss = model.training_step((inputs, targets, 1.0), 0)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.network.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    assert min(losses[-5:]) < 0.2 * losses[0]


def create_loader(count: int = 40, window: int = 1, **order) -> SequenceLoader:
    targets = torch.linspace(-0.4, 0.4, count)[:, None] * torch.tensor([1.0, 1.0, 0.0, 0.0])
    targets = targets + torch.tensor([0.0, 0.0, 20.0, 0.5])
    runs = np.repeat([0, 1], count // 2)
    return SequenceLoader(torch.from_numpy(random_frames(count)), targets, runs, window, 1, batch_size=10, **order)


def fit(model, folder, window: int, epochs: int = 2, **options):
    train, validation = create_loader(window=window, shuffle=True, seed=7), create_loader(20, window)
    best = {"metric": "validation_rmse", "mode": "min"}
    return training.fit(model, train, validation, folder=folder, trainer=TRAINER, best=best, epochs=epochs, **options)


def test_loader_window_must_equal_the_window_of_the_network(tmp_path):
    with pytest.raises(UserError, match=r"batches\.window is 1, but the network uses windows of 4 frames"):
        fit(create_model("CNNLSTM"), tmp_path, window=1)


def test_feature_model_rejects_a_network_without_a_frame_model():
    with pytest.raises(UserError, match="must be FeaturesLSTM"):
        module.FeatureSteeringModel(FACTS, NETWORKS["PilotNet"], **FEATURE_RECIPE)


def test_features_are_encoded_once_and_then_only_the_lstm_learns(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, encoded = create_feature_model(), []
    encoder = model.network.frame_model.encoder
    original = encoder.forward
    monkeypatch.setattr(encoder, "forward", lambda images: encoded.append(len(images)) or original(images))
    weights = []

    def save_weights(records, text_samples):
        weights.append({name: value.clone() for name, value in model.network.state_dict().items()})

    history = fit(model, tmp_path / "run", window=5, epochs=5, on_records=save_weights)
    frames = 40 + 20  # number of training frames and validation frames
    # The CNN trains for two epochs, and then encodes every frame as recorded and mirrored.
    cnn_epochs, encoding = 2 * frames, 2 * frames
    assert sum(encoded) == cnn_epochs + encoding
    assert len(list((tmp_path / "data" / "features").iterdir())) == 2

    def has_changed(first: int, last: int, name: str) -> bool:
        return not torch.equal(weights[first][name], weights[last][name])

    cnn, lstm, end = "frame_model.encoder.0.weight", "temporal.output.weight", len(weights) - 1
    assert has_changed(0, 2, cnn) and not has_changed(0, 2, lstm)
    assert not has_changed(4, end, cnn) and has_changed(4, end, lstm)
    rmse = {record.epoch: record.value for record in history.records if record.name == "validation_rmse"}
    assert rmse[0] == rmse[1]  # The predictions are zero until the training of the LSTM starts.
    cnn_rmse = [record.value for record in history.records if record.name == "validation_frame_model_rmse"]
    assert len(cnn_rmse) == 5 and cnn_rmse[1] == pytest.approx(cnn_rmse[4])


def test_training_without_epochs_for_the_lstm_is_rejected(tmp_path):
    with pytest.raises(UserError, match=r"module\.frame_model_epochs is 2, but the training has 2 epochs"):
        fit(create_feature_model(), tmp_path, window=5, epochs=2)


def test_options_forwarded_by_the_feature_model_are_checked():
    def check(section: dict) -> None:
        check_section(module.FeatureSteeringModel, section, "module", more={"facts": None})

    section = {"network": NETWORKS["FeaturesLSTM"], **FEATURE_RECIPE}
    check(section)
    with pytest.raises(UserError, match=r"unknown key 'brightnes'; did you mean 'brightness'"):
        check({**section, "brightnes": 0.1})
    with pytest.raises(UserError, match=r"unknown key 'frame_model_epoch'; did you mean 'frame_model_epochs'"):
        check({**section, "frame_model_epoch": 1})
    with pytest.raises(UserError, match=r"missing key 'frame_model_epochs'"):
        check({key: value for key, value in section.items() if key != "frame_model_epochs"})
    with pytest.raises(UserError, match=r"weight_decay is 'much'; expected .*a number"):
        check({**section, "weight_decay": "much"})


@pytest.mark.parametrize("create", [partial(create_model, "CNN3D"), create_feature_model], ids=["CNN3D", "features"])
def test_model_folder_restores_class_options_and_predictions(create, tmp_path):
    model = create(brightness=0.1).eval()
    model_folder.save_model(model, tmp_path)
    loaded = model_folder.load_model(tmp_path)
    assert type(loaded) is type(model) and dict(loaded.hparams) == dict(model.hparams)
    frames = random_frames(2, 3)
    assert (loaded.predict(frames)["angle"] == model.predict(frames)["angle"]).all()


def test_learning_rate_is_zero_outside_its_cycle():
    factor = one_cycle(10, 30, warm_up=0.25, start=0.04)
    assert [factor(step) for step in (0, 9, 30, 99)] == [0.0] * 4
    assert factor(10) == pytest.approx(0.04) and factor(15) == pytest.approx(1) and 0 < factor(29) < 0.02


def test_saliency_is_high_only_near_the_pixels_that_matter():
    model = create_model("PilotNet")
    window = random_frames(1)
    network_step = model.network.step

    def ignore_most_pixels(frame, state):
        visible = torch.zeros_like(frame)
        visible[..., 10:20, 30:40] = frame[..., 10:20, 30:40]
        return network_step(visible, state)

    model.network.step = ignore_most_pixels
    result = saliency.compute_saliency(model, window)
    assert result.shape == (SIDE, SIDE) and result.max() == pytest.approx(1.0) and result.min() >= 0
    margin = saliency.BLUR // 2
    inside = np.zeros((SIDE, SIDE), bool)
    inside[10 - margin : 20 + margin, 30 - margin : 40 + margin] = True
    assert (result[~inside] == 0).all()
    assert (result == saliency.compute_saliency(model, window)).all()


def train_small(folder: Path) -> None:
    """Train a CNN for two epochs and then an LSTM for two epochs. Save a checkpoint after every second step."""
    os.chdir(folder)
    training.ExactResume = partial(ExactResume, interval=2)
    training.set_determinism(7, threads=1)
    model = create_feature_model()
    history = fit(model, folder / "run", window=5, epochs=4)
    history_file.write_history(history.records, history.text_samples, folder / "model")
    model_folder.save_model(model, folder / "model")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    """Train without interruption, and return the folder of the training."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert in_child(train_small, folder).code == 0
    return folder


# The training has 16 steps. Step 6 trains the CNN, and the steps 11 and 13 train the LSTM.
@pytest.mark.parametrize("step", mostly("slow", [6, 11, 13], always=[11]))
def test_killed_training_resumes_to_the_same_bytes(undisturbed, tmp_path, step):
    def train_and_die() -> None:
        at_call(module.FeatureSteeringModel, "training_step", step, die)
        train_small(tmp_path)

    assert in_child(train_and_die).code == KILLED
    assert in_child(train_small, tmp_path).code == 0
    for file in ("weights.safetensors", "module.json", "history.csv"):
        assert (undisturbed / "model" / file).read_bytes() == (tmp_path / "model" / file).read_bytes(), file
