"""Set how MLflow's UI shows an experiment: its mode, its description, and a table of runs with their scores."""

import json
from typing import Any

from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

MODE = "workflowType=machine_learning"  # MLflow's UI shows its pages for model training, not those for GenAI
SCORE = "test/score"
VIEW = "scores"  # the view `scores` is opened by ?viewStateShareKey=scores and by the menu "Views"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
COLUMNS = (
    "attributes.`Models`",
    f"metrics.`{SCORE}`",
    "metrics.`test/baseline`",
    "params.`model`",
    "params.`dataset`",
    "params.`budget`",
    "params.`seed`",
)


def ui_tags(task: str) -> dict[str, str]:
    """Return the tags of a new experiment that MLflow's UI reads."""
    return {
        "mlflow.experimentKind": "custom_model_development",  # open the pages for model training, not those for GenAI
        "mlflow.experiment.primaryMetric.name": SCORE,
        MLFLOW_RUN_NOTE: f"Trainings of the task {task}. The score of each run is its metric {SCORE}.",
        VIEW_TAG: json.dumps({"name": "Scores", "createdAt": 0, "updatedAt": 0, "state": json.dumps(view_state())}),
    }


def without_credentials(address: str) -> str:
    """Return an address without its user name and password, because a link must not contain them."""
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def run_page(server: str, run: Run) -> str:
    """Return the address of the page of a run. `server` is the address of an MLflow server."""
    base = without_credentials(server).rstrip("/")
    return f"{base}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}?{MODE}"


def view_state() -> dict[str, Any]:
    """Return the state of the page with the runs, as MLflow's UI saves it for the menu "Views"."""
    return {
        "searchFilter": "",
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": list(COLUMNS),
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "runsVisibilityMap": {},
        "runsHiddenMode": "FIRST_10_RUNS",
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": False,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "autoRefreshEnabled": True,
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }
