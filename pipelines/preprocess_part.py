"""Prepare one part of a dataset, such as one drive.

The stage `preprocess` decides which parts a dataset has, and combines the prepared parts.
"""

from pathlib import Path
from typing import Any

from lectern.stages.stage import stage
from lectern.task_modules import task_module


@stage("preprocess_part")
def main(config: dict[str, Any]) -> None:
    task_module(config["task"], "data.parallel_packing").pack_part(Path(config["folder"]), config["part"])


if __name__ == "__main__":
    main()
