"""Download or generate the files of an origin, and verify the files. The output folder is data/raw/<origin>."""

from typing import Any

from lectern.artifacts.paths import RAW
from lectern.download import fetch
from lectern.stages.stage import stage


@stage("download")
def main(config: dict[str, Any]) -> None:
    origin = config["origin"]
    fetch.download_origin(origin, RAW / origin["name"], config["mirror"])


if __name__ == "__main__":
    main()
