"""Read the name and the unit of a dataset's score. Every printed score includes them."""

from dataclasses import dataclass

import yaml

from lectern.artifacts.paths import group_config


@dataclass(frozen=True)
class ScoreUnit:
    """The name and the unit of a score, such as `accuracy` and `share of images`."""

    name: str = "score"
    unit: str = ""

    def __str__(self) -> str:
        return ", ".join(text for text in (self.name.replace("_", " "), self.unit) if text)


def read_score_unit(dataset: str) -> ScoreUnit:
    """Read the unit from the config of a dataset. A default is used if this checkout has no such config."""
    path = group_config("dataset", dataset)
    if not path.is_file():
        return ScoreUnit()
    score = yaml.safe_load(path.read_text())["score"]
    return ScoreUnit(score["name"], score["unit"])
