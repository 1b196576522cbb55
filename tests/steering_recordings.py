"""Write small recordings in the formats of the readers. Each frame of a recording shows the steered angle."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

HEIGHT, WIDTH = 32, 64
SIDE = 61  # side length of the smallest frame that PilotNet's convolutions accept
ARGUMENTS = {"top": 0.25, "bottom": 0.0, "height": SIDE, "width": SIDE, "shortest": 5, "average_seconds": 0.5}
BLOCKS = {"test": [[40, 60], [140, 160]], "validation": [[80, 100], [180, 200]]}


def angles(frames: int) -> np.ndarray:
    """Return steering angles that swing slowly to both sides."""
    return np.round(0.6 * np.sin(np.arange(frames) / 7), 4)


def draw_frame(angle: float, number: int = 0) -> np.ndarray:
    """Draw a bright post whose position shows the angle: the larger the angle, the further the post is to the right.

    The brightness of the background depends on the frame's number.
    """
    picture = np.full((HEIGHT, WIDTH, 3), 60 + number % 7, np.uint8)
    column = round((angle + 1) / 2 * (WIDTH - 9))
    picture[8:, column : column + 8] = (250, 200, 40)
    return picture


def encode_jpeg(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=95)
    return file.getvalue()


def write_udacity_sim(raw: Path, frames: int = 240, break_at: int = 120) -> pd.DataFrame:
    """Write two drives with a pause of half a minute between the drives. Returns the driving log."""
    (raw / "IMG").mkdir(parents=True)
    log = []
    for number, angle in enumerate(angles(frames)):
        time = pd.Timestamp("2016-12-01 13:30:00") + pd.Timedelta(
            milliseconds=100 * number + 30_000 * (number >= break_at)
        )
        name = f"IMG/center_{time:%Y_%m_%d_%H_%M_%S}_{time.microsecond // 1000:03d}.jpg"
        (raw / name).write_bytes(encode_jpeg(draw_frame(angle, number)))
        log.append((name, " left", " right", angle, 0.5 + angle / 4, 0, 20 + number % 3))
    table = pd.DataFrame(log, columns=["center", "left", "right", "steering", "throttle", "brake", "speed"])
    table.to_csv(raw / "driving_log.csv", index=False)
    return table


def write_donkey(raw: Path, frames: int = 40, per_catalog: int = 25, deleted: tuple[int, ...] = (10, 11, 12)) -> None:
    """Write a Donkey tub of version 2 with two catalogs."""
    (raw / "images").mkdir(parents=True)
    paths = []
    for first in range(0, frames, per_catalog):
        rows = [
            {
                "_index": number,
                "_session_id": "22-11-12_0",
                "_timestamp_ms": 1668220932411 + 50 * number,
                "cam/image_array": f"{number}_cam_image_array_.jpg",
                "user/angle": float(angles(frames)[number]),
                "user/mode": "user",
                "user/throttle": 0.4,
            }
            for number in range(first, min(first + per_catalog, frames))
        ]
        for row in rows:
            picture = draw_frame(row["user/angle"], row["_index"])
            (raw / "images" / row["cam/image_array"]).write_bytes(encode_jpeg(picture))
        paths.append(f"catalog_{first // per_catalog}.catalog")
        (raw / paths[-1]).write_text("".join(json.dumps(row) + "\n" for row in rows))
    last = {"paths": paths, "current_index": frames, "max_len": per_catalog, "deleted_indexes": list(deleted)}
    fields = ["cam/image_array", "user/angle", "user/throttle", "user/mode"]
    lines = [fields, ["image_array", "float", "float", "str"], {}, {"created_at": 1668220914.3}, last]
    (raw / "manifest.json").write_text("".join(json.dumps(line) + "\n" for line in lines))


def write_udacity_challenge(raw: Path, frames: int = 12, drives: int = 2) -> None:
    """Write folders in the format of udacity-driving-reader's bagdump.py, with the frames of two cameras."""
    for folder in (f"HMB_{drive + 1}" for drive in range(drives)):
        rows = []
        for number, angle in enumerate(angles(frames)):
            stamp = 1_479_424_215_880_976_321 + number * 50_000_000
            for camera in ("center", "left"):
                name = f"{camera}/{stamp}.jpg"
                (raw / folder / camera).mkdir(parents=True, exist_ok=True)
                (raw / folder / name).write_bytes(encode_jpeg(draw_frame(angle, number)))
                time = pd.Timestamp(stamp)
                rows.append((time, stamp, WIDTH, HEIGHT, f"{camera}_camera", name, angle, 0.1, 15.0, 37.4, -122.1, 9.0))
        columns = ["index", "timestamp", "width", "height", "frame_id", "filename", "angle", "torque", "speed", "lat",
                   "long", "alt"]  # fmt: skip
        pd.DataFrame(rows, columns=columns).to_csv(raw / folder / "interpolated.csv", index=False)


REPORT = """Header header
float32 steering_wheel_angle
float32 steering_wheel_angle_cmd
float32 steering_wheel_torque
float32 speed
bool enabled
"""


def write_rosbag(path: Path, frames: int = 10, compressed: bool = True, images: bool = True) -> None:
    """Write a ROS bag of the Udacity challenge with a frame every 50 ms and a steering report every 20 ms."""
    from rosbags.rosbag1 import Writer
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS1_NOETIC)
    store.register(get_types_from_msg(REPORT, "dbw_mkz_msgs/msg/SteeringReport"))
    types = store.types
    kind = "sensor_msgs/msg/CompressedImage" if compressed else "sensor_msgs/msg/Image"

    def header(nanoseconds: int):
        stamp = types["builtin_interfaces/msg/Time"](*divmod(nanoseconds, 10**9))
        return types["std_msgs/msg/Header"](seq=0, stamp=stamp, frame_id="center_camera")

    def image(number: int):
        picture = draw_frame(0.1 * number - 0.5, number)
        top = header(start + number * 50_000_000)
        if compressed:
            data = np.frombuffer(encode_jpeg(picture), np.uint8)
            return types[kind](header=top, format="bgr8; jpeg compressed bgr8", data=data)
        data = np.ascontiguousarray(picture[..., ::-1]).ravel()
        return types[kind](top, HEIGHT, WIDTH, "bgr8", 0, 3 * WIDTH, data)

    start = 1_479_424_215 * 10**9
    topic = "/center_camera/image_color" + ("/compressed" if compressed else "")
    path.parent.mkdir(parents=True, exist_ok=True)
    with Writer(path) as bag:
        camera = bag.add_connection(topic, kind, typestore=store)
        report = "dbw_mkz_msgs/msg/SteeringReport"
        steering = bag.add_connection("/vehicle/steering_report", report, typestore=store)
        for number in range(frames * 5 // 2 + 1):
            time = start + number * 20_000_000
            message = types[report](header(time), 0.01 * number, 0.0, 0.2, 12.0, True)
            bag.write(steering, time, store.serialize_ros1(message, report))
        for number in range(frames * images):
            time = start + number * 50_000_000
            bag.write(camera, time, store.serialize_ros1(image(number), kind))


def write_deeptesla(raw: Path, frames: int = 20, rows: int | None = None) -> None:
    """Write one video and its driving log.

    `rows` is the number of rows in the log if this number differs from the number of frames.
    """
    from lectern.tasks.steering.serving.video_writer import write_video

    raw.mkdir(parents=True, exist_ok=True)
    video = (draw_frame(angle, number) for number, angle in enumerate(angles(frames)))
    write_video(video, raw / "epoch01_front.mkv", 30.0)
    count = frames if rows is None else rows
    log = {"ts_micro": np.arange(count) * 33_333, "frame_index": np.arange(count), "wheel": 10 * angles(count)}
    pd.DataFrame(log).to_csv(raw / "epoch01_steering.csv", index=False)
