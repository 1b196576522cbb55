"""Networks and modules: the paper's size, causal windows, a stream that says the same, and what is learned."""

import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from children import KILLED, at_call, die, in_child
from lectern.artifacts import history_file, model_folder
from lectern.errors import UserError
from lectern.tasks.steering.model import augmentation, inference, module, networks
from lectern.tasks.steering.model.loader import Stretches
from lectern.tasks.steering.model.windowed_lstm import WindowedLSTM
from lectern.tasks.steering.report import saliency
from lectern.training import fit as training
from lectern.training.checkpointing import ExactResume
from lectern.training.optimizers import one_cycle

SIDE = 61  # the smallest frame that PilotNet's convolutions take
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
WEIGHTS = {"angle": 1.0, "speed": 0.1, "torque": 0.1}  # there is no torque here
TRAINER = {"accelerator": "cpu", "devices": 1, "num_nodes": 1, "strategy": "auto", "threads": 1}


def steerer(name: str = "PilotNet", **more) -> module.SteeringModel:
    torch.manual_seed(0)
    made = module.SteeringModel(FACTS, NETWORKS[name], **{"weights": WEIGHTS, "learning_rate": 0.001, **more})
    torch.nn.init.normal_(made.network.get_submodule("recall.say" if "LSTM" in name else "say").weight)
    return made.eval()


def frames(*shape: int) -> np.ndarray:
    """Patches of colour, others in each frame."""
    patches = np.random.default_rng(0).integers(0, 256, (*shape, 8, 8, 3), np.uint8)
    return np.ascontiguousarray(patches.repeat(8, -3).repeat(8, -2)[..., :SIDE, :SIDE, :])


def test_pilotnet_is_the_papers():
    network = networks.build({"class": "PilotNet"}, {"height": 66, "width": 200}, 1)
    assert sum(weight.numel() for weight in network.parameters()) == 252_219
    assert networks.flat_size(66, 200) == 1152


@pytest.mark.parametrize("name", NETWORKS)
def test_windows_a_whole_drive_and_a_stream_say_the_same(name, monkeypatch):
    monkeypatch.setattr(inference, "CHUNK", 6)  # several of them
    driver, drive = steerer(name), frames(16)
    followed = inference.follow(driver, drive)
    stream = inference.Stream(driver)
    streamed = [stream(frame) for frame in drive]
    size = driver.network.window
    looked = [inference.look(driver, drive[None, max(0, end - size) : end]) for end in range(1, 17)]
    longer = inference.look(driver, drive[None])
    for output in ("angle", "speed"):
        expected = followed[output]
        near = 1e-5 * np.abs(expected).max()
        assert expected.std() > 100 * near and expected.dtype == np.float32
        assert np.allclose(expected, [said[output] for said in streamed], atol=near, rtol=0)
        assert np.allclose(expected, [said[output][0] for said in looked], atol=near, rtol=0)
        assert np.allclose(expected[-1], longer[output], atol=near, rtol=0)


@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_is_known_of_frames_to_come_or_long_gone(name):
    driver, drive = steerer(name), frames(14)
    before = inference.follow(driver, drive)["angle"]
    changed = drive.copy()
    changed[7] = 255 - changed[7]
    differs = np.flatnonzero(np.abs(inference.follow(driver, changed)["angle"] - before) > 1e-6)
    assert differs.min() == 7 and differs.max() <= 7 + driver.network.window - 1
    assert driver.network.window == 1 or differs.max() > 7


def test_overlapping_windows_are_those_of_one_pass_each():
    recall = WindowedLSTM(3, 5, 2, window=4)
    features = torch.randn(2, 9, 3)
    together = recall(features)
    assert together.shape == (2, 6, 4, 2)
    for window in range(6):
        assert torch.allclose(together[:, window], recall(features[:, window : window + 4])[:, 0], atol=1e-6)


def test_mirroring_turns_the_angle_and_nothing_else():
    driver = steerer(label="angle")
    targets = torch.tensor([[[0.4, 0.3, 22.0, 0.6]], [[0.4, 0.3, 22.0, 0.6]]])
    wanted = driver.wanted(targets, torch.zeros(2, 1, 1, 2), torch.tensor([True, False]))
    assert wanted[:, 0, 0].tolist() == [[-2.0, 1.0], [2.0, 1.0]]  # in deviations of 0.2 and 2.0, speed from its mean
    pixels = torch.arange(2 * 3 * 2 * 4 * 3).view(2, 3, 2, 4, 3).byte()
    mirrored = augmentation.mirror(pixels, torch.tensor([True, False]))
    assert (mirrored[0] == pixels[0].flip(2)).all() and (mirrored[1] == pixels[1]).all()


def test_windows_are_told_what_was_done_at_their_own_frames():
    driver = steerer("CNNLSTM", label="angle", weights={"angle": 1.0})
    targets = torch.arange(7.0).view(1, 7, 1).expand(1, 7, 4) * 0.2
    assert driver.wanted(targets, torch.zeros(1, 4, 4, 1))[0, :, :, 0].tolist() == [
        pytest.approx([first, first + 1, first + 2, first + 3]) for first in range(4)
    ]
    assert driver.wanted(targets, torch.zeros(1, 4, 1, 1)).flatten().tolist() == pytest.approx([3, 4, 5, 6])


def test_light_is_the_same_over_a_stretch_and_within_its_range():
    torch.manual_seed(1)
    factors = augmentation.light(torch.zeros(50, 3, 8, 9, 3), 0.3, 0.5)
    assert factors.shape == (50, 1, 8, 9, 1) and factors.min() >= 0.7 * 0.4 and factors.max() <= 1.3
    shaded = (factors.amax((2, 3)) - factors.amin((2, 3)) > 1e-6).float().mean()
    assert 0.2 < shaded < 0.7
    assert (augmentation.light(torch.zeros(5, 3, 8, 9, 3), 0.0, 0.0) == 1).all()


def test_a_recording_without_speed_is_learned_without():
    assert steerer().outputs == ["angle", "speed"]
    with pytest.raises(UserError, match=r"nothing is called 'sped'; did you mean 'speed'"):
        steerer(weights={"angle": 1.0, "sped": 0.1})
    with pytest.raises(UserError, match="the angle is missing"):
        steerer(weights={"speed": 0.1})


def test_a_wrong_network_is_told():
    with pytest.raises(UserError, match=r"unknown class 'PilotNett'; did you mean 'PilotNet'"):
        networks.build({"class": "PilotNett"}, PREPARE, 1)
    with pytest.raises(UserError, match=r"module\.network \(CNNLSTM\): unknown key 'windows'; did you mean 'window'"):
        networks.build({"class": "CNNLSTM", "windows": 3}, PREPARE, 1)
    with pytest.raises(UserError, match=r"Frames of \(40, 200\) pixels are too small"):
        networks.build({"class": "PilotNet"}, {"height": 40, "width": 200}, 1)


@pytest.mark.parametrize("name", list(NETWORKS)[:4])
def test_every_network_memorises_a_batch(name):
    driver = steerer(name, mirror=0.0, brightness=0.0, shadow=0.0).train()
    networks.initialise(driver.network)
    window = driver.network.window
    inputs = torch.from_numpy(frames(2, window + 1))
    targets = torch.rand(2, window + 1, 1) * torch.tensor([0.4, 0.4, 4.0, 0.4]) + torch.tensor([0.0, 0.0, 18.0, 0.3])
    optimizer = torch.optim.Adam(driver.network.parameters(), 0.004)
    losses = []
    for _ in range(100 if "LSTM" in name else 40):
        optimizer.zero_grad()
        loss = driver.training_step((inputs, targets, 1.0), 0)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(driver.network.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    assert min(losses[-5:]) < 0.2 * losses[0]


def stretches(count: int = 40, window: int = 1, **more) -> Stretches:
    values = torch.linspace(-0.4, 0.4, count)[:, None] * torch.tensor([1.0, 1.0, 0.0, 0.0])
    values = values + torch.tensor([0.0, 0.0, 20.0, 0.5])
    runs = np.repeat([0, 1], count // 2)
    return Stretches(torch.from_numpy(frames(count)), values, runs, window, 1, batch_size=10, **more)


def fit(driver, folder, window: int, epochs: int = 2, **more):
    train, validation = stretches(window=window, shuffle=True, seed=7), stretches(20, window)
    best = {"metric": "validation_rmse", "mode": "min"}
    return training.fit(driver, train, validation, folder=folder, trainer=TRAINER, best=best, epochs=epochs, **more)


def test_a_window_that_the_network_does_not_have_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"batches\.window is 1, but the network looks at 4 frames"):
        fit(steerer("CNNLSTM"), tmp_path, window=1)


def feature_steerer(**more) -> module.FeatureSteeringModel:
    torch.manual_seed(0)
    recipe = {"weights": WEIGHTS, "learning_rate": 0.003, "glance_learning_rate": 0.001, "glance_epochs": 2, **more}
    return module.FeatureSteeringModel(FACTS, NETWORKS["FeaturesLSTM"], **recipe)


def test_features_are_computed_once_and_the_lstm_learns_from_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    driver, seen = feature_steerer(), []
    see = driver.network.glance.see.forward
    monkeypatch.setattr(driver.network.glance.see, "forward", lambda images: seen.append(len(images)) or see(images))
    weights = {}

    def remember(rows, shown):
        weights[len(weights)] = {name: value.clone() for name, value in driver.network.state_dict().items()}

    history = fit(driver, tmp_path / "run", window=5, epochs=5, on_records=remember)
    assert sum(seen) == 2 * (40 + 20) + 2 * (40 + 20)  # two epochs of glances; then each frame, and its mirror, once
    assert len(list((tmp_path / "data" / "features").iterdir())) == 2
    changed = lambda a, b, name: not torch.equal(weights[a][name], weights[b][name])  # noqa: E731
    assert changed(0, 2, "glance.see.0.weight") and not changed(0, 2, "recall.say.weight")
    last = max(weights)
    assert not changed(4, last, "glance.see.0.weight") and changed(4, last, "recall.say.weight")
    values = {row.epoch: row.value for row in history.records if row.name == "validation_rmse"}
    assert values[0] == values[1]  # it says zero until it begins
    glances = [row.value for row in history.records if row.name == "validation_glance_rmse"]
    assert len(glances) == 5 and glances[1] == pytest.approx(glances[4])


def test_an_lstm_without_epochs_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"module\.glance_epochs is 2 of 2 epochs"):
        fit(feature_steerer(), tmp_path, window=5, epochs=2)


@pytest.mark.parametrize("made", [lambda: steerer("CNN3D"), feature_steerer], ids=["Steerer", "FeatureSteerer"])
def test_model_folder_alone_rebuilds_the_driver(made, tmp_path):
    driver = made().eval()
    model_folder.save_model(driver, tmp_path)
    again = model_folder.load_model(tmp_path)
    assert type(again) is type(driver)
    assert (again.predict(frames(2, 3))["angle"] == driver.predict(frames(2, 3))["angle"]).all()


def test_rates_rise_and_fall_between_their_bounds_and_rest_outside():
    factor = one_cycle(10, 30, warm_up=0.25, start=0.04)
    assert [factor(step) for step in (0, 9, 30, 99)] == [0.0] * 4
    assert factor(10) == pytest.approx(0.04) and factor(15) == pytest.approx(1) and 0 < factor(29) < 0.02


def test_saliency_finds_the_only_pixels_that_matter():
    driver = steerer("PilotNet")
    with torch.no_grad():
        driver.network.see[0].weight.zero_()
        driver.network.see[0].weight[:, :, 2, 2] = 1.0
    window = frames(1)
    looked = saliency.where_it_looks(driver, window)
    assert looked.shape == (SIDE, SIDE) and looked.max() == pytest.approx(1.0) and looked.min() >= 0
    again = saliency.where_it_looks(driver, window)
    assert (looked == again).all()


def train_small(folder: Path) -> None:
    """A CNN for two epochs, and an LSTM for two, saved every other step."""
    os.chdir(folder)
    training.ExactResume = partial(ExactResume, interval=2)
    training.set_determinism(7, threads=1)
    driver = feature_steerer()
    history = fit(driver, folder / "run", window=5, epochs=4)
    history_file.write_history(history.records, history.text_samples, folder / "model")
    model_folder.save_model(driver, folder / "model")


@pytest.mark.parametrize("step", [6, 11, 13])  # of 16: while the CNN learns, and while the LSTM does
def test_a_killed_training_ends_with_the_same_bytes(tmp_path, step):
    for name in ("undisturbed", "killed"):
        (tmp_path / name).mkdir()
    assert in_child(train_small, tmp_path / "undisturbed").code == 0

    def train_and_die() -> None:
        at_call(module.FeatureSteeringModel, "training_step", step, die)
        train_small(tmp_path / "killed")

    assert in_child(train_and_die).code == KILLED
    assert in_child(train_small, tmp_path / "killed").code == 0
    for file in ("weights.safetensors", "module.json", "history.csv"):
        both = [(tmp_path / name / "model" / file).read_bytes() for name in ("undisturbed", "killed")]
        assert both[0] == both[1], file
