"""A part of what `preprocess` has planned in a folder, such as one drive, made there; `preprocess` joins them."""

from pathlib import Path

from lectern.rooms import leg
from lectern.stage import stage


@stage("preprocess_part")
def main(config: dict) -> None:
    leg(config["task"], "parts").make(Path(config["folder"]), config["part"])


if __name__ == "__main__":
    main()
