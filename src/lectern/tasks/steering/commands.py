"""Add the command `lectern steer`, which draws the champion's steering angle into a video of a drive."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lectern.atomic import atomic_file
from lectern.user_files.output_path import check_output_path

if TYPE_CHECKING:  # importing numpy and torch is slow
    import numpy as np

    from lectern.serving.champions import Champion


def register_commands(app: typer.Typer) -> None:
    """Add the command of the task steering to the command line interface."""
    app.command()(steer)


def steer(
    name: Annotated[
        str, typer.Argument(help="name of a registered model, which is the name of its dataset, such as udacity_sim")
    ],
    video: Annotated[Path, typer.Option(help="path of a video, or of a folder with images that are sorted by name")],
    out: Annotated[Path, typer.Option(help="path of the new video; a .csv file next to it gets the predictions")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an existing video and its .csv file")] = False,
) -> None:
    """Predict the steering angle at each frame of a video, and draw a steering wheel below each frame.

    Example: lectern steer udacity_sim --video drive.mp4 --out drawn.mp4
    """
    from lectern.serving.champions import load_champion
    from lectern.tasks.steering.serving.video_writer import SUFFIXES

    check_output_path("--out", out, SUFFIXES, overwrite, [video])
    check_output_path("--out, table", out.with_suffix(".csv"), [".csv"], overwrite, [video])
    frames = draw_video(load_champion(name, "steering"), video, out)
    print(f"{frames} frames: {out} and {out.with_suffix('.csv')}")


def draw_video(champion: "Champion", video: Path, out: Path) -> int:
    """Write a video with the predicted steering wheel, and a table of predictions. Return the number of frames.

    Only one frame at a time is in memory.
    """
    import pandas as pd

    from lectern.tasks.steering.data.readers.videos import frame_rate
    from lectern.tasks.steering.serving.video_writer import write_video

    rate = frame_rate(video)
    rows: list[dict[str, float]] = []
    write_video(draw_frames(champion, video, rate, rows), out, rate)
    with atomic_file(out.with_suffix(".csv")) as part:
        pd.DataFrame(rows).to_csv(part, index=False, float_format="%.6g", lineterminator="\n")
    return len(rows)


def draw_frames(champion: "Champion", video: Path, rate: float, rows: list[dict[str, float]]) -> Iterator["np.ndarray"]:
    """Yield each frame of a video with the predicted steering wheel below it, and append the predictions to `rows`."""
    from lectern.tasks.steering.data.progress import progress
    from lectern.tasks.steering.data.readers.videos import count_frames
    from lectern.tasks.steering.report.wheel_overlay import draw_wheels

    total = None if video.is_dir() else count_frames(video)
    items = champion.model.iterate("predict_video", video)
    for number, (frame, predictions) in enumerate(progress(items, "steering", total, "frame")):
        rows.append({"frame": number, "time": number / rate, **predictions})
        yield draw_wheels(frame, None, predictions["angle"], champion.model.facts["unit"])
