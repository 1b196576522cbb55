"""A part of what `preprocess` has planned in a folder, such as one drive, made there; `preprocess` joins them."""

from pathlib import Path

from lectern.stages.stage import stage
from lectern.task_modules import task_module


@stage("preprocess_part")
def main(config: dict) -> None:
    task_module(config["task"], "data.parallel_packing").make(Path(config["folder"]), config["part"])


if __name__ == "__main__":
    main()
