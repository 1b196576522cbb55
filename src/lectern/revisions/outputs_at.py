"""Read the outputs of an experiment at a git revision, from DVC's cache or from a remote."""

import io
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import dvc.api
import pandas as pd
import yaml
from dvc.exceptions import DvcException

from lectern.artifacts.paths import PIPELINE_LOCK, ExperimentPaths
from lectern.errors import UserError
from lectern.tracking.git import run_git


@dataclass(frozen=True)
class OutputsAt:
    """The outputs of an experiment at a git revision."""

    paths: ExperimentPaths
    revision: str

    def read(self, path: Path) -> bytes:
        """Return the content of an output. Raises UserError if the output is neither in the cache nor on a remote."""
        try:
            return bytes(dvc.api.read(path.as_posix(), rev=self.revision, mode="rb"))
        except (DvcException, OSError) as error:
            raise UserError(
                f"{path} of {self.revision} is not in DVC's cache and not on the default remote ({error}). Fetch the "
                f"outputs of this commit with `dvc fetch {path.parent}`, or push them where they were made."
            ) from error

    @cached_property
    def evaluation(self) -> dict[str, Any]:
        return dict(json.loads(self.read(self.paths.evaluation_file)))

    @cached_property
    def items(self) -> pd.DataFrame:
        return pd.read_parquet(io.BytesIO(self.read(self.paths.report / "items.parquet")))

    @cached_property
    def curves(self) -> pd.DataFrame:
        return pd.read_csv(io.BytesIO(self.read(self.paths.report / "curves.csv")))

    @cached_property
    def data_digest(self) -> str | None:
        """The digest of the processed data in `dvc.lock`, or None if the experiment was not trained at the revision."""
        content = run_git(Path.cwd(), "show", f"{self.revision}:./{PIPELINE_LOCK}")
        stages = (yaml.safe_load(content) or {}).get("stages", {})
        names = [f"{stage}@{self.paths.experiment}" for stage in ("train", "fine_tune")]
        deps = [dep for name in names for dep in stages.get(name, {}).get("deps", [])]
        return next((dep.get("md5") for dep in deps if dep["path"] == self.paths.processed.as_posix()), None)
