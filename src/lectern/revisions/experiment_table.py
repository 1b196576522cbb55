"""List the runs of `dvc exp run`, with the score, the baseline and what was changed.

`dvc exp show` has one column per param, metric and dependency of all experiments, which are hundreds of columns.
"""

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from lectern.artifacts.paths import METRICS
from lectern.revisions.dvc_command import read_dvc_json
from lectern.tracking.parameters import flatten

Row = dict[str, Any]
CODE = ("src/", "pipelines/")
RAW = "data/raw/"


def list_runs(*options: str) -> list[Row]:
    """Return one row per changed experiment of the workspace and of each run of `dvc exp run`.

    The options are options of `dvc exp show`, such as `--all-commits`.
    """
    workspace, *commits = read_dvc_json("exp", "show", *options)
    rows = list(run_rows("workspace", workspace, commits[0])) if commits else []
    for commit in commits:
        for run in commit.get("experiments") or []:
            rows += run_rows(run["name"], run["revs"][0], commit)
    return rows


def run_rows(name: str, state: Mapping[str, Any], commit: Mapping[str, Any]) -> Iterator[Row]:
    """Yield one row for each experiment whose metrics differ from the metrics of a commit.

    If no metrics differ, yield one row without a score if something else differs.
    """
    data, base = state.get("data"), commit.get("data")
    if not data or not base:
        executor = state.get("error", {}) or {"msg": "queued or running"}
        yield {"run": name, "experiment": None, "score": None, "baseline": None, "changed": executor.get("msg")}
        return
    changed = ", ".join([*changed_params(data, base), *changed_files(data, base)])
    metrics = [file for file in data["metrics"] if data["metrics"][file] != base["metrics"].get(file)]
    for file in [file for file in metrics if PurePosixPath(file).parent == PurePosixPath(METRICS)]:
        values = data["metrics"][file].get("data") or {}
        scores = {key: values.get(key) for key in ("score", "baseline")}
        yield {"run": name, "experiment": PurePosixPath(file).stem, **scores, "changed": changed or "nothing"}
    if changed and not metrics:
        yield {"run": name, "experiment": None, "score": None, "baseline": None, "changed": changed}


def changed_params(data: Mapping[str, Any], base: Mapping[str, Any]) -> Iterator[str]:
    """Yield each param that differs, such as `digits_cnn: module.dropout=0.3`."""
    for file, content in data["params"].items():
        new, old = (flatten(each.get("data") or {}) for each in (content, base["params"].get(file, {})))
        for key in sorted({key for key in new | old if new.get(key) != old.get(key)}):
            prefix = "" if "/" not in file else f"{PurePosixPath(file).stem}: "
            yield f"{prefix}{key}={new.get(key, 'removed')}"


def changed_files(data: Mapping[str, Any], base: Mapping[str, Any]) -> Iterator[str]:
    """Yield the dependencies with code and raw data that differ. Outputs of stages follow from these."""
    for path, content in data["deps"].items():
        if path.startswith((*CODE, RAW)) and content.get("hash") != base["deps"].get(path, {}).get("hash"):
            yield path
