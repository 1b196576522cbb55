"""Write frames to a video file with PyAV."""

from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

from lectern.errors import UserError


def write_video(frames: Iterable[np.ndarray], path: Path, rate: float) -> None:
    """Write frames of equal size, uint8 (height, width, 3), as H.264.

    H.264 requires even sides. If the height or the width is odd, the last row or column is removed. Raises UserError if
    the format of `path` cannot contain such a video.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with av.open(str(path), "w") as container:
            stream: VideoStream | None = None
            for frame in frames:
                height, width = (side // 2 * 2 for side in frame.shape[:2])
                if stream is None:
                    stream = container.add_stream("libx264", rate=round(rate))
                    stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
                    stream.options = {"crf": "20", "threads": "2"}
                image = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]), format="rgb24")
                container.mux(stream.encode(image))
            container.mux(stream.encode() if stream else [])
    except (av.FFmpegError, ValueError) as error:
        raise UserError(f"{path} cannot be written as a video: {error}. Use a name such as drawn.mp4.") from error
