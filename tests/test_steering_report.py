"""Test the scores, the plots, the inference API and `lectern steer` of the steering task."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import steering_recordings as recordings
from lectern.artifacts.dataset import read_facts
from lectern.errors import UserError
from lectern.registry.loaded_model import LoadedModel
from lectern.tasks.steering import commands
from lectern.tasks.steering.data.format.frames import prepare
from lectern.tasks.steering.data.preprocess import preprocess
from lectern.tasks.steering.data.readers.videos import read_video
from lectern.tasks.steering.model.inference import predict_drive
from lectern.tasks.steering.model.module import SteeringModel
from lectern.tasks.steering.report import baseline, evaluate, metrics
from lectern.tasks.steering.report.wheel_overlay import draw_wheels
from lectern.tasks.steering.serving import inference_api
from lectern.tasks.steering.serving.video_writer import write_video

UNIT = {"name": "share", "lock": 1.0, "right": 1, "degrees": 150.0}


@pytest.fixture(scope="module")
def processed(tmp_path_factory):
    raw, folder = tmp_path_factory.mktemp("raw") / "sim", tmp_path_factory.mktemp("processed") / "sim"
    recordings.write_udacity_sim(raw)
    preprocess(raw, folder, "udacity_sim", **recordings.BLOCKS, **recordings.ARGUMENTS)
    return folder


@pytest.fixture(scope="module")
def model(processed):
    torch.manual_seed(0)
    network = {"class": "CNNLSTM", "window": 3, "features": 8, "hidden": 8}
    model = SteeringModel(read_facts(processed), network, {"angle": 1.0, "speed": 0.1}, 0.001)
    torch.nn.init.normal_(model.network.temporal.output.weight)
    return model.eval()


@pytest.fixture(scope="module")
def report(model, processed, tmp_path_factory):
    """Evaluate the model. Return the folder of the report and the metrics."""
    out = tmp_path_factory.mktemp("report")
    return out, evaluate.evaluate(model, processed, out)


# Scores


@pytest.mark.slow
def test_score_is_the_rmse_of_the_recorded_angle(report, processed):
    out, scores = report
    items = pd.read_parquet(out / "items.parquet")
    test = pd.read_parquet(processed / "test.parquet")
    assert scores["score"] == evaluate.score(items)
    assert scores["score"] == pytest.approx(np.sqrt(np.mean((items["prediction"] - test["angle"]) ** 2)))
    assert items["item"].tolist() == list(range(40)) and items["row"].tolist() == test["row"].tolist()
    assert len(scores) <= 6 and all(isinstance(value, float) for value in scores.values())


def test_baseline_is_the_rmse_of_the_mean_training_angle(processed):
    errors = pd.read_parquet(processed / "test.parquet")["angle"] - read_facts(processed)["mean"]["angle"]
    assert baseline.score_baseline(processed) == pytest.approx(np.sqrt(np.mean(errors**2)))


def test_frames_of_one_run_are_a_group(report):
    items = pd.read_parquet(report[0] / "items.parquet")
    assert items["group"].equals(items["run"].rename("group"))


def test_details_contain_baselines_and_the_other_targets(report, processed):
    details = json.loads((report[0] / "details.json").read_text())
    items = pd.read_parquet(report[0] / "items.parquet")
    mean_rmse = baseline.score_baseline(processed)
    assert details["baselines"]["angle"]["mean"] == pytest.approx(mean_rmse)
    assert details["baselines"]["angle"]["zero"] == pytest.approx(metrics.rmse(items["angle"]))
    assert details["improvement_over_mean"]["angle"] == pytest.approx(1 - evaluate.score(items) / mean_rmse)
    speed_errors = items["speed_prediction"] - items["speed"]
    assert details["other_targets"]["speed"]["rmse"] == pytest.approx(metrics.rmse(speed_errors))
    assert set(details["smoothness"]) == {"network", "driver"} and details["turning"]["frames"] > 0


def test_lag_is_the_delay_of_the_prediction():
    time = np.arange(200)
    angle = pd.Series(np.sin(time / 9))
    items = pd.DataFrame({"run": 0, "angle": angle, "prediction": np.sin((time - 3) / 9)})
    assert metrics.find_lag(items, 0.1) == pytest.approx(0.3)
    assert metrics.find_lag(items.assign(prediction=angle), 0.1) == 0.0


def test_smoothness_ignores_changes_between_runs():
    values, runs = pd.Series([0.0, 1.0, 1.0, 5.0, 7.0]), pd.Series([0, 0, 0, 1, 1])
    assert metrics.smoothness(values, runs) == pytest.approx((1 + 0 + 2) / 3)


def test_baseline_errors_of_a_ramp_are_known():
    items = pd.DataFrame({"run": [0] * 8, "angle": np.arange(8.0)})
    assert baseline.baseline_errors(items, "angle", 3.5, 0.1) == {
        "zero": metrics.rmse(np.arange(8.0)),
        "mean": metrics.rmse(np.arange(8.0) - 3.5),
        "half_a_second_ago": 5.0,
    }


# Plots


def test_plots_are_drawn_and_the_animation_has_frames(report):
    for name in ("timeline", "scatter", "error_by_angle", "saliency"):
        with Image.open(report[0] / f"{name}.png") as image:
            assert image.width > 500
    with Image.open(report[0] / "drive.gif") as animation:
        assert animation.n_frames == 10 and animation.info["duration"] == 200


def test_wheel_turns_to_the_side_to_which_the_car_turns():
    frame = np.zeros((60, 120, 3), np.uint8)

    def mark_position(angle: float, **unit) -> float:
        """Return how many pixels the colored mark of the wheel is to the right of the center."""
        wheel = draw_wheels(frame, None, angle, {**UNIT, **unit}).astype(int)[240:345]
        orange = (wheel[..., 0] > 200) & (wheel[..., 2] < 120)
        return float(np.flatnonzero(orange.any(0)).mean() - 240)

    assert mark_position(0.4) > 20 and mark_position(-0.4) < -20 and abs(mark_position(0.0)) < 3
    assert mark_position(0.4, right=-1) < -20  # In this unit, positive angles turn to the left.


# Inference API


def test_inference_api_returns_the_predictions_of_the_report(model, processed, report):
    raw = np.load(processed / "test_frames.npy")
    items = pd.read_parquet(report[0] / "items.parquet")
    predictions = inference_api.predict(model, np.stack([raw[7:10], raw[27:30]]))
    assert predictions.columns.tolist() == ["angle", "speed"]
    assert predictions["angle"].to_numpy() == pytest.approx(items["prediction"][[9, 29]].to_numpy(), abs=1e-5)


def test_example_request_can_be_predicted(model, processed):
    example = inference_api.example(processed)
    assert example.shape == (1, 2, 32, 64, 3)
    assert len(inference_api.predict(model, example)) == 1


def test_signature_accepts_windows_and_frames_of_any_size(processed):
    from mlflow.models.utils import _enforce_schema

    inputs = inference_api.signature().inputs
    for frames in (inference_api.example(processed), np.zeros((3, 10, 7, 9, 3), np.uint8)):
        assert _enforce_schema(frames, inputs).shape == frames.shape


def test_request_of_a_wrong_shape_or_type_is_rejected(model):
    for wrong in (np.zeros((32, 64, 3), np.uint8), np.zeros((1, 0, 32, 64, 3), np.uint8), np.zeros((1, 1, 4, 4, 3))):
        with pytest.raises(UserError, match="Frames must be uint8 of shape"):
            inference_api.predict(model, wrong)


# lectern steer


@pytest.fixture
def champion(model) -> SimpleNamespace:
    return SimpleNamespace(model=LoadedModel(model, "steering"))


def test_steer_draws_a_video_and_writes_its_predictions(model, champion, tmp_path):
    drive = [recordings.draw_frame(angle, number) for number, angle in enumerate(recordings.angles(9))]
    write_video(drive, tmp_path / "drive.mp4", 20.0)
    assert commands.draw_video(champion, tmp_path / "drive.mp4", tmp_path / "out" / "drawn.mp4") == 9
    table = pd.read_csv(tmp_path / "out" / "drawn.csv")
    assert table.columns.tolist() == ["frame", "time", "angle", "speed"] and table["time"][2] == pytest.approx(0.1)
    drawn = list(read_video(tmp_path / "out" / "drawn.mp4"))
    assert len(drawn) == 9 and drawn[0].shape == (372, 480, 3)
    decoded = np.stack(list(read_video(tmp_path / "drive.mp4")))
    expected = predict_drive(model, prepare(decoded, model.facts))["angle"]
    assert table["angle"].to_numpy() == pytest.approx(expected, abs=1e-4)


def test_steer_accepts_a_folder_of_images(champion, tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.jpg").write_bytes(recordings.encode_jpeg(recordings.draw_frame(0.1 * number)))
    assert commands.draw_video(champion, folder, tmp_path / "out.mp4") == 3


def test_steer_rejects_unreadable_inputs_and_an_unknown_output_format(champion, tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    with pytest.raises(UserError, match="contains no images"):
        commands.draw_video(champion, folder, tmp_path / "out.mp4")
    (folder / "0.jpg").write_bytes(recordings.encode_jpeg(recordings.draw_frame(0.0)))
    with pytest.raises(UserError, match=r"out\.video cannot be written as a video"):
        commands.draw_video(champion, folder, tmp_path / "out.video")
    (folder / "1.jpg").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"1\.jpg: the image cannot be decoded"):
        commands.draw_video(champion, folder, tmp_path / "out.mp4")
    with pytest.raises(UserError, match=r"nowhere\.mp4 does not exist"):
        commands.draw_video(champion, tmp_path / "nowhere.mp4", tmp_path / "out.mp4")
