"""Run `lectern` commands in the serving project, in a child process."""

import sys
from collections.abc import Callable

import pandas as pd
import pytest

from children import Ended, in_child

__all__ = ["lectern", "predict"]


@pytest.fixture
def lectern(serving_project, monkeypatch) -> Callable[..., Ended]:
    """Return a function that runs a `lectern` command in the serving project, in a child process."""
    monkeypatch.chdir(serving_project)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{serving_project / 'mlflow.db'}")

    def run_command(*words: object, before=lambda: None, after=lambda: None) -> Ended:
        def run_in_child() -> None:
            from lectern.cli import main

            before()
            sys.argv = ["lectern", *map(str, words)]
            try:
                main()
            finally:
                after()

        return in_child(run_in_child)

    return run_command


def predict(lectern, name: str, source, output, *options) -> pd.DataFrame:
    """Run `lectern predict` and return the table that the command writes."""
    ended = lectern("predict", name, "--input", source, "--output", output, *options)
    assert ended.code == 0, ended.said
    return pd.read_csv(output) if output.suffix == ".csv" else pd.read_parquet(output)
