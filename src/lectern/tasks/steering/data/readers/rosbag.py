"""Read the ROS bags of Udacity's challenge 2, without ROS."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lectern.errors import UserError
from lectern.tasks.steering.data.readers.bad_rows import BadRows
from lectern.tasks.steering.data.readers.images import decode_image
from lectern.tasks.steering.data.readers.recording import DecodedFrame, FrameDecoder, Unit
from lectern.tasks.steering.data.readers.udacity_challenge import UNIT
from lectern.user_files.system_files import is_system_file

CAMERA = ("/center_camera/image_color/compressed", "/center_camera/image_color")
STEERING = "/vehicle/steering_report"
REPORT_FIELDS = {"angle": "steering_wheel_angle", "speed": "speed", "torque": "steering_wheel_torque"}

Message = Any  # an object of a dataclass that the library rosbags generates from the definition in the bag


def read_table(raw: Path, bad_rows: BadRows) -> tuple[pd.DataFrame, Unit]:
    """Read each `*.bag` file as one drive.

    The car reports angle, speed and torque 50 times per second. The reports are interpolated at the time of each frame.
    """
    bags = sorted(path for path in raw.rglob("*.bag") if not is_system_file(path.relative_to(raw)))
    if not bags:
        raise UserError(f"{raw} contains no file '*.bag'. Put the bags of the challenge into {raw}.")
    table = pd.concat([read_drive(bag) for bag in bags], ignore_index=True)
    table["row"] = range(len(table))
    return table, UNIT


def open_frames(raw: Path) -> FrameDecoder:
    return decode_rows  # each row contains the path of its bag


def read_drive(bag: Path) -> pd.DataFrame:
    """Return a table with one row per frame of a bag, with the angle, speed and torque at the time of the frame."""
    frame_times, reports = [], []
    for topic, message in read_messages(bag, (*CAMERA, STEERING)):
        if topic == STEERING:
            reports.append((time_of(message), *(getattr(message, name) for name in REPORT_FIELDS.values())))
        else:
            frame_times.append(time_of(message))
    if not frame_times or not reports:
        missing = f"message of {STEERING}" if frame_times else "image of " + " or ".join(CAMERA)
        raise UserError(f"{bag} contains no {missing}.")
    times, report_values = np.array(frame_times), np.array(sorted(reports))
    report_times = report_values[:, 0]
    values = {
        name: np.interp(times, report_times, report_values[:, column]) for column, name in enumerate(REPORT_FIELDS, 1)
    }
    places = [f"{bag}, image {number}" for number in range(len(times))]
    number = np.arange(len(times))
    return pd.DataFrame({"drive": bag.stem, "time": times, **values, "place": places, "bag": str(bag), "image": number})


def decode_rows(rows: pd.DataFrame) -> Iterator[DecodedFrame]:
    """Yield the frame of each row in `rows`. Each bag is read again from its start."""
    for bag, bag_rows in rows.groupby("bag", sort=False):
        numbers = iter(bag_rows["image"])
        next_number = next(numbers)
        for number, (_, message) in enumerate(read_messages(Path(bag), CAMERA)):
            if number == next_number:
                yield decode_message(message)
                next_number = next(numbers, None)


def decode_message(message: Message) -> DecodedFrame:
    """Return the pixels of a ROS message, uint8 (height, width, 3) in RGB, or a message if they cannot be decoded.

    The supported message types are CompressedImage and Image with 8-bit colours.
    """
    if hasattr(message, "format"):
        return decode_image(bytes(message.data))
    if message.encoding not in ("bgr8", "rgb8"):
        return f"the image has the encoding {message.encoding}; only bgr8 and rgb8 are supported"
    rows: np.ndarray = message.data.reshape(message.height, message.step)[:, : 3 * message.width]
    pixels = rows.reshape(message.height, message.width, 3)
    return pixels[..., ::-1] if message.encoding == "bgr8" else pixels


def read_messages(bag: Path, topics: tuple[str, ...]) -> Iterator[tuple[str, Message]]:
    """Yield (topic, message) for all messages of a bag, in the recorded order.

    ROS is not needed, because the bag itself contains the definitions of its messages.
    """
    from rosbags.highlevel import AnyReader, AnyReaderError
    from rosbags.rosbag1 import ReaderError

    try:
        with AnyReader([bag]) as reader:
            connections = [connection for connection in reader.connections if connection.topic in topics]
            for connection, _, data in reader.messages(connections):
                yield connection.topic, reader.deserialize(data, connection.msgtype)
    except (AnyReaderError, ReaderError) as error:
        raise UserError(f"{bag} is not a complete ROS bag: {error}") from error


def time_of(message: Message) -> float:
    """Return the time in the header of a message, in seconds since 1970."""
    return float(message.header.stamp.sec + message.header.stamp.nanosec * 1e-9)
