"""How fast a recording is decoded and packed, and how much memory that takes at most.

    python bench/steering_packing.py data/raw/udacity_sim           # a recording in the simulator's format
    python bench/steering_packing.py --frames 40000 --workplace /tmp  # one that is made: 640x480, gigabytes decoded

The peak is that of the whole process, the libraries' own share (printed first) included.
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

PICTURES = 50  # different ones in a made recording


def main(
    raw: Annotated[Path | None, typer.Argument(help="a folder with driving_log.csv and IMG, or their zip")] = None,
    frames: Annotated[int, typer.Option(help="of the recording that is made where none is given")] = 40_000,
    workplace: Annotated[Path, typer.Option(help="a folder with room for it")] = Path("."),
) -> None:
    with tempfile.TemporaryDirectory(dir=workplace) as scratch:
        if raw is None:
            raw = Path(scratch) / "made"
            size = make(raw, frames)
            decoded = frames * 640 * 480 * 3 / 2**30
            print(f"made {frames:,} frames of 640x480: {decoded:.1f} GiB decoded, {size / 2**30:.1f} GiB as JPEG")
        print(f"before: {peak():.0f} MiB")
        began = time.perf_counter()
        held_out = {"test": [[1000, 1200]], "validation": [[1500, 1700]]}
        preprocess(raw, Path(scratch) / "out", "udacity_sim", **held_out, top=0.375, bottom=0.14)
        print(f"{time.perf_counter() - began:.1f} s, peak {peak():.0f} MiB")


def make(raw: Path, frames: int) -> int:
    """A recording of noise that compresses as a street does; returns the bytes of its zip."""
    raw.mkdir()
    random = np.random.default_rng(0)
    pictures = []
    for _ in range(PICTURES):
        small = Image.fromarray(random.integers(0, 256, (30, 40, 3), np.uint8))
        file = io.BytesIO()
        small.resize((640, 480), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
        pictures.append(file.getvalue())
    times = pd.Timestamp("2016-12-01") + pd.to_timedelta(np.arange(frames) * 0.1, unit="s")
    names = [f"IMG/center_{time:%Y_%m_%d_%H_%M_%S}_{time.microsecond // 1000:03d}.jpg" for time in times]
    with zipfile.ZipFile(raw / "made.zip", "w", zipfile.ZIP_STORED) as archive:
        log = pd.DataFrame({"center": names, "steering": 0.1, "throttle": 0.5, "brake": 0, "speed": 20.0})
        archive.writestr("driving_log.csv", log.to_csv(index=False))
        for number, name in enumerate(names):
            archive.writestr(name, pictures[number % PICTURES])
    return (raw / "made.zip").stat().st_size


def peak() -> float:
    """Mebibytes that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    typer.run(main)
