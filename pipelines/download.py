"""An origin's address to its raw files, verified: data/raw/<origin>."""

from pathlib import Path

from lectern import sources
from lectern.stage import stage


@stage("download")
def main(config: dict) -> None:
    origin = config["origin"]
    sources.fetch(origin, Path("data/raw") / origin["name"], config["mirror"])


if __name__ == "__main__":
    main()
