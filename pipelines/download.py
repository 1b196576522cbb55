"""An origin's address to its raw files, verified: data/raw/<origin>."""

from pathlib import Path

from lectern.download import fetch
from lectern.stages.stage import stage


@stage("download")
def main(config: dict) -> None:
    origin = config["origin"]
    fetch.fetch(origin, Path("data/raw") / origin["name"], config["mirror"])


if __name__ == "__main__":
    main()
