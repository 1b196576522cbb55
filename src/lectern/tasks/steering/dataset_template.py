"""Fill in the config of a new driving recording. The log file of a recording determines its format."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lectern.config import Score
from lectern.errors import UserError
from lectern.new_dataset.template import MISSING, DatasetTemplate, FoundFiles, Setting


@dataclass(frozen=True)
class Format:
    """A format of recordings, the file by which it is recognized, and values that fit typical recordings."""

    reader: str
    log: str
    unit: str
    top: float = 0.35
    bottom: float = 0.0
    average_seconds: float = 0.3

    def matches(self, name: str) -> bool:
        """Return whether a file is a log of this format. A log such as driving_log.csv is not in a subfolder."""
        return name.endswith(self.log.removeprefix("*")) if self.log.startswith("*") else name == self.log


FORMATS = [
    Format("udacity_sim", "driving_log.csv", "share of the full lock of 25 degrees", 0.375, 0.14, 1.1),
    Format("donkey", "manifest.json", "share of the full lock", 0.25, average_seconds=0.5),
    Format("udacity_challenge", "*interpolated.csv", "radians of the steering wheel", 0.4, 0.1),
    Format("rosbag", "*.bag", "radians of the steering wheel", 0.4, 0.1),
    Format("deeptesla", "*_front.mkv", "degrees of the steering wheel", bottom=0.2),
]
READERS = ", ".join(format.reader for format in FORMATS)


def fill_template(files: FoundFiles) -> DatasetTemplate:
    """Return the config for a recording. The reader is chosen if the files have exactly one known format."""
    found = [format for format in FORMATS if any(map(format.matches, files.names))]
    check_logs_in_subfolders([] if found else files.names)
    format = found[0] if len(found) == 1 else Format(MISSING, "", MISSING)
    settings = [
        Setting("reader", format.reader, f"format of the recording: {READERS}"),
        Setting("test", 0.1, "share of the frames at the end of each drive, or a list of blocks such as [100, 200]"),
        Setting("validation", 0.1),
        Setting("top", format.top, "fraction of the image height that is cut off at the top, where no road is visible"),
        Setting("bottom", format.bottom, "fraction of the image height that is cut off at the bottom"),
        Setting("average_seconds", format.average_seconds, "duration over which the angle is averaged"),
    ]
    return DatasetTemplate(settings, describe_score, "pilotnet")


def describe_score(preprocess: Mapping[str, Any]) -> Score:
    """Return the score with the unit of the angles that the reader returns."""
    unit = next((format.unit for format in FORMATS if format.reader == preprocess["reader"]), MISSING)
    return Score(name="angle_rmse", unit=unit, higher_is_better=False)


def check_logs_in_subfolders(names: list[str]) -> None:
    """Raise UserError if a log is in a subfolder, where the readers do not find it."""
    logs = tuple(f"/{format.log}" for format in FORMATS if not format.log.startswith("*"))
    for name in names:
        if name.endswith(logs):
            folder = name.rpartition("/")[0]
            raise UserError(
                f"{name} is in a subfolder. Give the folder {folder} with --from, or with --inside for an archive. "
                "Add each recording as a separate dataset."
            )
