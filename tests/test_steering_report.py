"""What is said of a drive: scores against baselines, pictures, what a version answers, and `lectern steer`."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import steering_recordings as recordings
from lectern.artifacts.dataset import read_facts
from lectern.errors import UserError
from lectern.tasks.steering import commands
from lectern.tasks.steering.data.format.frames import prepare
from lectern.tasks.steering.data.preprocess import preprocess
from lectern.tasks.steering.data.readers.videos import read_video
from lectern.tasks.steering.model.module import SteeringModel
from lectern.tasks.steering.report import baseline, evaluate
from lectern.tasks.steering.report import metrics as measures
from lectern.tasks.steering.report.wheel_overlay import draw_wheels
from lectern.tasks.steering.serving import inference_api

UNIT = {"name": "share", "lock": 1.0, "right": 1, "degrees": 150.0}


@pytest.fixture(scope="module")
def processed(tmp_path_factory):
    raw, folder = tmp_path_factory.mktemp("raw") / "sim", tmp_path_factory.mktemp("processed") / "sim"
    recordings.write_udacity_sim(raw)
    preprocess(raw, folder, "udacity_sim", **recordings.BLOCKS, **recordings.ARGUMENTS)
    return folder


@pytest.fixture(scope="module")
def driver(processed):
    torch.manual_seed(0)
    network = {"class": "CNNLSTM", "window": 3, "features": 8, "hidden": 8}
    made = SteeringModel(read_facts(processed), network, {"angle": 1.0, "speed": 0.1}, 0.001)
    torch.nn.init.normal_(made.network.recall.say.weight)
    return made.eval()


@pytest.fixture(scope="module")
def reported(driver, processed, tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    return out, evaluate.evaluate(driver, processed, out)


def test_the_score_is_that_of_the_items_and_of_the_recorded_angle(reported, processed):
    out, metrics = reported
    items = pd.read_parquet(out / "items.parquet")
    test = pd.read_parquet(processed / "test.parquet")
    assert metrics["score"] == evaluate.score(items)
    assert metrics["score"] == pytest.approx(np.sqrt(np.mean((items["prediction"] - test["angle"]) ** 2)))
    assert items["item"].tolist() == list(range(40)) and items["row"].tolist() == test["row"].tolist()
    assert len(metrics) <= 6 and all(isinstance(value, float) for value in metrics.values())
    assert baseline.score_baseline(processed) == pytest.approx(
        np.sqrt(np.mean((test["angle"] - read_facts(processed)["mean"]["angle"]) ** 2))
    )


def test_a_block_is_at_most_five_seconds_of_one_run(reported):
    items = pd.read_parquet(reported[0] / "items.parquet")
    for _, block in items.groupby("block"):
        assert block["run"].nunique() == 1 and len(block) <= 50
    assert items["block"].nunique() == 2


def test_details_hold_the_floors_and_what_else_was_learned(reported, processed):
    details = json.loads((reported[0] / "details.json").read_text())
    items = pd.read_parquet(reported[0] / "items.parquet")
    assert details["baselines"]["angle"]["mean"] == pytest.approx(baseline.score_baseline(processed))
    assert details["baselines"]["angle"]["zero"] == pytest.approx(measures.rmse(items["angle"]))
    assert details["others"]["speed"]["rmse"] == pytest.approx(
        measures.rmse(items["speed_prediction"] - items["speed"])
    )
    assert set(details["smoothness"]) == {"network", "driver"} and details["turning"]["frames"] > 0


def test_pictures_are_drawn_and_the_film_moves(reported):
    for name in ("timeline", "scatter", "error_by_angle", "saliency"):
        with Image.open(reported[0] / f"{name}.png") as picture:
            assert picture.width > 500
    with Image.open(reported[0] / "drive.gif") as film:
        assert film.n_frames == 10 and film.info["duration"] == 200


def test_lag_smoothness_and_the_angle_half_a_second_ago_are_known():
    angle = pd.Series(np.sin(np.arange(200) / 9))
    items = pd.DataFrame({"run": 0, "angle": angle, "prediction": np.sin((np.arange(200) - 3) / 9)})
    assert measures.lag(items, 0.1) == pytest.approx(0.3)
    assert measures.lag(items.assign(prediction=angle), 0.1) == 0.0
    steps = pd.Series([0.0, 1.0, 1.0, 5.0, 7.0])
    assert measures.smoothness(steps, pd.Series([0, 0, 0, 1, 1])) == pytest.approx((1 + 0 + 2) / 3)
    items = pd.DataFrame({"run": [0] * 8, "angle": np.arange(8.0)})
    assert measures.floors(items, "angle", 3.5, 0.1) == {
        "zero": measures.rmse(np.arange(8.0)),
        "mean": measures.rmse(np.arange(8.0) - 3.5),
        "half_a_second_ago": 5.0,
    }


def test_a_version_answers_as_the_report_says(driver, processed, reported):
    raw = np.load(processed / "test_frames.npy")
    items = pd.read_parquet(reported[0] / "items.parquet")
    said = inference_api.predict(driver, np.stack([raw[7:10], raw[27:30]]))
    assert said.columns.tolist() == ["angle", "speed"]
    assert said["angle"].to_numpy() == pytest.approx(items["prediction"][[9, 29]].to_numpy(), abs=1e-5)
    assert inference_api.example(processed).shape == (1, 2, 32, 64, 3)
    assert len(inference_api.predict(driver, inference_api.example(processed))) == 1


def test_the_signature_takes_the_example_and_other_sizes(processed):
    from mlflow.models.utils import _enforce_schema

    inputs = inference_api.signature().inputs
    for frames in (inference_api.example(processed), np.zeros((3, 10, 7, 9, 3), np.uint8)):
        assert _enforce_schema(frames, inputs).shape == frames.shape


def test_a_request_of_another_shape_is_told(driver):
    for wrong in (np.zeros((32, 64, 3), np.uint8), np.zeros((1, 0, 32, 64, 3), np.uint8), np.zeros((1, 1, 4, 4, 3))):
        with pytest.raises(UserError, match="Frames must be uint8 of shape"):
            inference_api.predict(driver, wrong)


def test_steer_draws_a_video_and_writes_its_table(driver, tmp_path):
    from lectern.tasks.steering.serving.video_writer import write_video

    drive = [recordings.draw_frame(angle, number) for number, angle in enumerate(recordings.angles(9))]
    write_video(drive, tmp_path / "drive.mp4", 20.0)
    assert commands.drive_along(driver, tmp_path / "drive.mp4", tmp_path / "out" / "drawn.mp4") == 9
    table = pd.read_csv(tmp_path / "out" / "drawn.csv")
    assert table.columns.tolist() == ["frame", "time", "angle", "speed"] and table["time"][2] == pytest.approx(0.1)
    drawn = list(read_video(tmp_path / "out" / "drawn.mp4"))
    assert len(drawn) == 9 and drawn[0].shape == (372, 480, 3)
    from lectern.tasks.steering.model.inference import follow

    decoded = np.stack(list(read_video(tmp_path / "drive.mp4")))
    expected = follow(driver, prepare(decoded, driver.facts))["angle"]
    assert table["angle"].to_numpy() == pytest.approx(expected, abs=1e-4)


def test_steer_takes_a_folder_of_images_and_says_what_it_cannot_read(driver, tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    with pytest.raises(UserError, match="holds no image"):
        commands.drive_along(driver, folder, tmp_path / "a.mp4")
    for number in range(3):
        (folder / f"{number}.jpg").write_bytes(recordings.encode_jpeg(recordings.draw_frame(0.1 * number)))
    assert commands.drive_along(driver, folder, tmp_path / "a.mp4") == 3
    with pytest.raises(UserError, match=r"a\.video cannot be written as a video"):
        commands.drive_along(driver, folder, tmp_path / "a.video")
    (folder / "1.jpg").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"1\.jpg: the image cannot be decoded"):
        commands.drive_along(driver, folder, tmp_path / "b.mp4")
    with pytest.raises(UserError, match=r"nowhere\.mp4 is not there"):
        commands.drive_along(driver, tmp_path / "nowhere.mp4", tmp_path / "c.mp4")


def test_wheels_turn_the_way_the_car_does():
    frame = np.zeros((60, 120, 3), np.uint8)

    def mark(angle: float, **unit) -> float:
        """Where the coloured mark of the network's wheel stands, right of its middle."""
        drawn = draw_wheels(frame, None, angle, {**UNIT, **unit}).astype(int)[240:345]
        orange = (drawn[..., 0] > 200) & (drawn[..., 2] < 120)
        return float(np.flatnonzero(orange.any(0)).mean() - 240)

    assert mark(0.4) > 20 and mark(-0.4) < -20 and abs(mark(0.0)) < 3
    assert mark(0.4, right=-1) < -20  # where a positive angle is to the left
