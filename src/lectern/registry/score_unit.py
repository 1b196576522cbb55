"""Read the name and the unit of a dataset's score, which are printed with every score."""

import os
from dataclasses import dataclass

from lectern.artifacts.mapping_file import read_mapping
from lectern.artifacts.paths import group_config
from lectern.errors import UserError


@dataclass(frozen=True)
class ScoreUnit:
    """The name and the unit of a score, such as `accuracy` and `share of images`."""

    name: str = "score"
    unit: str = ""

    def __str__(self) -> str:
        """Return the name and the unit of the score, or only the unit if name and unit are equal."""
        texts = dict.fromkeys(text for text in (self.name.replace("_", " "), self.unit) if text)
        return ", ".join(texts)


def read_score_unit(dataset: str) -> ScoreUnit:
    """Read the name and the unit of a score from the config of a dataset.

    If this checkout does not have the config, return the name `score` without a unit.

    Raises UserError if the config of the dataset is damaged.
    """
    path = group_config("dataset", dataset)
    if not os.path.isfile(path):  # in contrast to Path.is_file, this is False for a name that is too long
        return ScoreUnit()
    score = read_mapping(path).get("score")
    if not isinstance(score, dict) or not {"name", "unit"} <= score.keys():
        raise UserError(f"{path}: score is {score!r}; expected a mapping with the keys name and unit.")
    return ScoreUnit(score["name"], score["unit"])
