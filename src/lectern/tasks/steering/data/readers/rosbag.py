"""The ROS bags of Udacity's challenge 2 to the common form, without ROS."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from lectern.errors import UserError
from lectern.tasks.steering.data.readers.bad_rows import BadRows
from lectern.tasks.steering.data.readers.images import decode
from lectern.tasks.steering.data.readers.recording import Frames, Unit
from lectern.tasks.steering.data.readers.udacity_challenge import UNIT

CAMERA = ("/center_camera/image_color/compressed", "/center_camera/image_color")
STEERING = "/vehicle/steering_report"
REPORTED = {"angle": "steering_wheel_angle", "speed": "speed", "torque": "steering_wheel_torque"}


def read(raw: Path, faults: BadRows) -> tuple[pd.DataFrame, Unit]:
    """Every `*.bag` is a drive. What the car reports fifty times a second is interpolated at each frame's time."""
    bags = sorted(raw.rglob("*.bag"))
    if not bags:
        raise UserError(f"{raw} holds no file '.bag'. Put the bags of the challenge there.")
    table = pd.concat([read_drive(bag) for bag in bags], ignore_index=True)
    table["row"] = range(len(table))
    return table, UNIT


def open_frames(raw: Path) -> Frames:
    return decode_rows  # its rows say where


def read_drive(bag: Path) -> pd.DataFrame:
    """A bag's frames, a row each, with angle, speed and torque at their times."""
    frames, reports = [], []
    for topic, message in messages(bag, (*CAMERA, STEERING)):
        if topic == STEERING:
            reports.append((stamp(message), *(getattr(message, name) for name in REPORTED.values())))
        else:
            frames.append(stamp(message))
    if not frames or not reports:
        missing = "image of " + " or ".join(CAMERA) if not frames else f"message of {STEERING}"
        raise UserError(f"{bag} holds no {missing}.")
    times, reported = np.array(frames), np.array(sorted(reports))
    values = {name: np.interp(times, reported[:, 0], reported[:, 1 + index]) for index, name in enumerate(REPORTED)}
    places = [f"{bag}, image {number}" for number in range(len(times))]
    number = np.arange(len(times))
    return pd.DataFrame({"drive": bag.stem, "time": times, **values, "place": places, "bag": str(bag), "image": number})


def decode_rows(rows: pd.DataFrame) -> Iterator[np.ndarray | str]:
    """The frames of these rows, each bag read through once more from its start."""
    for bag, wanted in rows.groupby("bag", sort=False):
        left = iter(wanted["image"])
        next_wanted = next(left)
        for number, (_, message) in enumerate(messages(Path(bag), CAMERA)):
            if number == next_wanted:
                yield decode_message(message)
                next_wanted = next(left, None)


def decode_message(message) -> np.ndarray | str:
    """A CompressedImage or a raw Image of 8-bit colour to uint8 (height, width, 3) in RGB."""
    if hasattr(message, "format"):
        return decode(bytes(message.data))
    if message.encoding not in ("bgr8", "rgb8"):
        return f"the image has the encoding {message.encoding}; bgr8 and rgb8 can be read"
    rows = message.data.reshape(message.height, message.step)[:, : 3 * message.width]
    pixels = rows.reshape(message.height, message.width, 3)
    return pixels[..., ::-1] if message.encoding == "bgr8" else pixels


def messages(bag: Path, topics: tuple[str, ...]) -> Iterator[tuple]:
    """(topic, message) in the order of recording; the bag itself says how its messages are laid out."""
    from rosbags.highlevel import AnyReader, AnyReaderError
    from rosbags.rosbag1 import ReaderError

    try:
        with AnyReader([bag]) as reader:
            wanted = [connection for connection in reader.connections if connection.topic in topics]
            for connection, _, data in reader.messages(wanted):
                yield connection.topic, reader.deserialize(data, connection.msgtype)
    except (AnyReaderError, ReaderError) as error:
        raise UserError(f"{bag} is no whole ROS bag: {error}") from error


def stamp(message) -> float:
    """A message's own time, in seconds since 1970."""
    return message.header.stamp.sec + message.header.stamp.nanosec * 1e-9
