"""Read the name and the unit of a dataset's score. Every printed score includes the unit."""

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
        """Return the name and the unit of the score.

        If both are the same, as for nats per character, return only the unit.
        """
        texts = dict.fromkeys(text for text in (self.name.replace("_", " "), self.unit) if text)
        return ", ".join(texts)


def read_score_unit(dataset: str) -> ScoreUnit:
    """Read the unit from the config of a dataset. Use a default if this checkout does not have the config.

    Raises UserError if the config is damaged.
    """
    path = group_config("dataset", dataset)
    if not path.is_file():
        return ScoreUnit()
    score = read_mapping(path).get("score")
    if not isinstance(score, dict) or not {"name", "unit"} <= score.keys():
        raise UserError(f"{path}: score is {score!r}; expected a mapping with the keys name and unit.")
    return ScoreUnit(score["name"], score["unit"])
