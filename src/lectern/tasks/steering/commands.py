"""`lectern steer`: a video of a drive in; what the champion would do at each frame, and the same video with it, out."""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from lectern.tasks.steering.data.readers.videos import count_frames, frame_rate, read_video


def add_to(app: typer.Typer) -> None:
    """Register the task's own command."""
    app.command()(steer)


def steer(
    name: Annotated[str, typer.Argument(help="a registered model, named after its data set: udacity_sim")],
    video: Annotated[Path, typer.Option(help="a video, or a folder of images in the order of their names")],
    out: Annotated[Path, typer.Option(help="the video with the wheel drawn; the numbers go beside it, as .csv")],
) -> None:
    """Let the champion steer along a recorded drive.

    Example: lectern steer udacity_sim --video drive.mp4 --out drawn.mp4
    """
    from lectern.registry.versions import load_champion

    frames = drive_along(load_champion(name), video, out)
    print(f"{frames} frames: {out} and {out.with_suffix('.csv')}")


def drive_along(module, video: Path, out: Path) -> int:
    """Write the drawn video and its table, one frame in memory at a time; returns how many frames there were."""
    from lectern.tasks.steering.serving.video_writer import write_video

    rate = frame_rate(video)
    rows: list[dict[str, float]] = []
    write_video(draw_along(module, video, rate, rows), out, rate)
    pd.DataFrame(rows).to_csv(out.with_suffix(".csv"), index=False, float_format="%.6g", lineterminator="\n")
    return len(rows)


def draw_along(module, video: Path, rate: float, rows: list[dict[str, float]]):
    """Each frame with the network's wheel under it; what the network says is added to `rows` on the way."""
    from lectern.tasks.steering.data.format.frames import prepare
    from lectern.tasks.steering.data.progress import progress
    from lectern.tasks.steering.model.inference import Stream
    from lectern.tasks.steering.report.wheel_overlay import draw_wheels

    stream = Stream(module)
    total = None if video.is_dir() else count_frames(video)
    for number, frame in enumerate(progress(read_video(video), "steering", total, "frame")):
        said = stream(prepare(frame, module.facts))
        rows.append({"frame": number, "time": number / rate, **said})
        yield draw_wheels(frame, None, said["angle"], module.facts["unit"])
