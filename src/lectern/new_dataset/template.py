"""Define the template for the config of a new dataset, which the module `dataset_template` of each task fills."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lectern.config import Score
from lectern.errors import UserError

START_BYTES = 2**16  # number of bytes by which the content of a file is recognized
MISSING = "???"  # a value that the user must replace; Hydra's term for a missing value


@dataclass(frozen=True)
class FoundFiles:
    """The files of a new origin, with the names that they have in the folder of the origin or in its archive."""

    names: list[str]
    read_start: Callable[[str], bytes]  # returns the first bytes of a file
    archive: str | None = None  # name of the zip file that contains the files after the download

    def require_no_archive(self) -> None:
        """Raise UserError if the files are in an archive."""
        if self.archive:
            raise UserError(
                "This task does not read archives. Unpack the archive, and give the folder with --from, or give the "
                "addresses of the unpacked files with --url."
            )

    def select(self, *endings: str) -> list[str]:
        """Return the names that end in one of the endings."""
        return [name for name in self.names if name.endswith(endings)]


@dataclass(frozen=True)
class Setting:
    """A key of the section `preprocess`, with an optional comment for the config file."""

    key: str
    value: Any
    comment: str = ""


@dataclass(frozen=True)
class DatasetTemplate:
    """The values of a new dataset config, and the model config of the first experiment.

    `describe_score` returns the score of the dataset for the values of the section `preprocess`.
    """

    preprocess: list[Setting]
    describe_score: Callable[[Mapping[str, Any]], Score]
    model: str

    @property
    def score(self) -> Score:
        return self.describe_score({setting.key: setting.value for setting in self.preprocess})

    def missing_keys(self) -> list[str]:
        """Return the dotted keys whose values the user must replace."""
        values = {f"preprocess.{setting.key}": setting.value for setting in self.preprocess}
        values |= {f"score.{key}": value for key, value in self.score.items()}
        return [key for key, value in values.items() if value == MISSING]

    def with_values(self, values: dict[str, Any]) -> "DatasetTemplate":
        """Return the template with values of the user, which replace the values of the task."""
        known = [setting.key for setting in self.preprocess]
        kept = [Setting(each.key, values[each.key]) if each.key in values else each for each in self.preprocess]
        added = [Setting(key, value) for key, value in values.items() if key not in known]
        return replace(self, preprocess=[*kept, *added])


def single_name(names: list[str]) -> str:
    """Return the single name in a list, or MISSING if the choice is not certain."""
    return names[0] if len(names) == 1 else MISSING
