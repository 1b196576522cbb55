"""Measure how fast a recording is decoded and packed, and the peak memory of the process.

    python bench/steering_packing.py data/raw/udacity_sim             # a recording in the format of the simulator
    python bench/steering_packing.py --frames 40000 --workplace /tmp  # a generated recording of 640x480

The peak is that of the process, including the libraries. The memory of the libraries is printed first.
"""

import io
import resource
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from PIL import Image

from lectern.tasks.steering.data.preprocess import preprocess

PICTURES = 50  # number of different pictures in a generated recording


def main(
    raw: Annotated[Path | None, typer.Argument(help="a folder with driving_log.csv and IMG, or their zip")] = None,
    frames: Annotated[int, typer.Option(help="number of frames to generate if no folder is given")] = 40_000,
    workplace: Annotated[Path, typer.Option(help="a folder with enough free space")] = Path("."),
) -> None:
    with tempfile.TemporaryDirectory(dir=workplace) as scratch:
        if raw is None:
            raw = Path(scratch) / "generated"
            size = generate_recording(raw, frames)
            decoded = frames * 640 * 480 * 3 / 2**30
            print(f"generated {frames:,} frames of 640x480: {decoded:.1f} GiB decoded, {size / 2**30:.1f} GiB as JPEG")
        print(f"libraries: {peak_memory():.0f} MiB")
        start = time.perf_counter()
        held_out = {"test": [[1000, 1200]], "validation": [[1500, 1700]]}
        preprocess(raw, Path(scratch) / "out", "udacity_sim", **held_out, top=0.375, bottom=0.14)
        print(f"{time.perf_counter() - start:.1f} s, peak {peak_memory():.0f} MiB")


def generate_recording(raw: Path, frames: int) -> int:
    """Write a zip of smoothed noise, which compresses like pictures of a street. Return its size in bytes."""
    raw.mkdir()
    pictures = generate_pictures()
    times = pd.Timestamp("2016-12-01") + pd.to_timedelta(np.arange(frames) * 0.1, unit="s")
    names = [f"IMG/center_{time:%Y_%m_%d_%H_%M_%S}_{time.microsecond // 1000:03d}.jpg" for time in times]
    with zipfile.ZipFile(raw / "generated.zip", "w", zipfile.ZIP_STORED) as archive:
        log = pd.DataFrame({"center": names, "steering": 0.1, "throttle": 0.5, "brake": 0, "speed": 20.0})
        archive.writestr("driving_log.csv", log.to_csv(index=False))
        for number, name in enumerate(names):
            archive.writestr(name, pictures[number % PICTURES])
    return (raw / "generated.zip").stat().st_size


def generate_pictures() -> list[bytes]:
    """Return JPEG files of smoothed noise, 640x480."""
    random = np.random.default_rng(0)
    pictures = []
    for _ in range(PICTURES):
        small = Image.fromarray(random.integers(0, 256, (30, 40, 3), np.uint8))
        file = io.BytesIO()
        small.resize((640, 480), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
        pictures.append(file.getvalue())
    return pictures


def peak_memory() -> float:
    """Return the peak memory of this process in mebibytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    typer.run(main)
