"""Write the model card of an experiment.

The content of the model card does not depend on the tracking store, the time or the commit.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from lectern.artifacts import history_file
from lectern.artifacts.dataset import read_facts
from lectern.artifacts.mapping_file import read_mapping
from lectern.artifacts.model_metadata import INIT_FROM, read_metadata
from lectern.artifacts.paths import ExperimentPaths, group_config
from lectern.atomic import atomic_file
from lectern.config import Dataset
from lectern.registry.gate_rules import describe_tolerance

CARD = """# {experiment}

A `{class_name}` for {task}, trained on `{dataset}`.

## Intended use

The model is an example for teaching. The model was measured only on the test data of
`{dataset}`. Measure the model again before you use it on other data.

## Data

Origin `{origin}`; number of items: {items}. Licence: {licence}

## Scores on the test data

The score is {score_name} ({score_unit}); {direction} is better.

| metric | value |
| --- | ---: |
{scores}

## Baseline

The baseline is the score of a trivial method on the same test data (test digest `{test_digest}`).
{slices}
## Plots

In `reports/{experiment}/`: {plots}.

## Network and training

{training}

```json
{hyperparameters}
```

## How to load it

```python
import mlflow

model = mlflow.pyfunc.load_model("models:/{dataset}@champion")
```

## Limits

The model was trained on the data above and on nothing else. {guards}
"""


def write_card(paths: ExperimentPaths, dataset: Dataset) -> None:
    """Write the model card of an experiment to `cards/<experiment>.md`."""
    metadata = json.loads((paths.model / "module.json").read_text())
    hyperparameters = {key: value for key, value in metadata["hyperparameters"].items() if key != "facts"}
    items = read_facts(paths.processed)["items"]
    text = CARD.format(
        experiment=paths.experiment,
        class_name=metadata["class"],
        task=paths.task.replace("_", " "),
        dataset=dataset.name,
        origin=dataset.origin,
        licence=read_licence(dataset.origin),
        items=", ".join(f"{count:,} {split}" for split, count in items.items()),
        score_name=dataset.score["name"].replace("_", " "),
        score_unit=dataset.score["unit"],
        direction="higher" if paths.evaluation["higher_is_better"] else "lower",
        scores="\n".join(score_rows(paths.metrics, dataset.score["unit"])),
        test_digest=paths.evaluation["test_digest"],
        slices="".join(f"\n### {title}\n\n{table}\n" for title, table in slice_tables(paths.report)),
        plots=", ".join(f"`{path.name}`" for path in sorted(paths.report.glob("*.png"))) or "none",
        training=describe_training(paths),
        hyperparameters=json.dumps(hyperparameters, indent=1),
        guards=describe_guards(dataset),
    )
    paths.card.parent.mkdir(exist_ok=True)
    with atomic_file(paths.card) as part:  # an old card can be a link to a file in DVC's cache
        part.write_text(text)


def score_rows(metrics: Mapping[str, Any], unit: str) -> Iterator[str]:
    """Yield one table row for each numeric metric. The rows `score` and `baseline` include the unit of the score."""
    for name, value in metrics.items():
        if is_number(value):
            label = f"{name} ({unit})" if name in ("score", "baseline") else name
            yield f"| {label} | {value:,} |" if isinstance(value, int) else f"| {label} | {value:.4f} |"


def describe_training(paths: ExperimentPaths) -> str:
    """Describe the number of steps and epochs of the training, and the last validation metrics."""
    history, _ = history_file.read_history(paths.model)
    start = describe_start(read_metadata(paths.model).get(INIT_FROM))
    if history.empty:
        return f"{start}The training has no recorded history."
    epochs, steps = int(history["epoch"].max()) + 1, int(history["step"].max())
    last = history[history["name"].str.startswith("validation_")].groupby("name")["value"].last()
    metrics = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in last.items())
    ending = f"at the end {metrics}" if metrics else "no validation metrics"
    return f"{start}{steps:,} steps in {epochs} epoch{'' if epochs == 1 else 's'}; {ending}."


def describe_start(source: Mapping[str, Any] | None) -> str:
    """Return a sentence about the model from whose weights the training started, or an empty text."""
    if not source:
        return ""
    parts = f"parts {', '.join(source['parts'])} of the " if source.get("parts") else ""
    return f"Started from the {parts}weights of `{source['experiment']}` (SHA-256 `{source['weights']}`). "


def describe_guards(dataset: Dataset) -> str:
    """Describe the guards of the dataset, with their limits and reasons."""
    if not dataset.guards:
        return "The errors of the model are in the report."
    guards = "; ".join(f"{name.replace('_', ' ')} {describe_guard(guard)}" for name, guard in dataset.guards.items())
    return f"In addition to the score, the promotion gate compares these values with the champion's values: {guards}."


def describe_guard(guard: Mapping[str, Any]) -> str:
    """Describe the limit of a guard, and the reason for the limit."""
    if "tolerance" in guard:
        return f"{describe_tolerance(guard['tolerance'], guard['better'])} ({guard['reason']})"
    return f"may grow by a factor of at most {guard['factor']:g}, or by {guard['absolute_slack']:g} ({guard['reason']})"


def read_licence(origin: str) -> str:
    return str(read_mapping(group_config("origin", origin))["licence"])


def slice_tables(report: Path) -> Iterator[tuple[str, str]]:
    """Yield a title and a Markdown table for each group of metrics in the report's `details.json`.

    All lists of n numbers become the columns of one table with n rows, one row per class. Each mapping of names to rows
    forms a table if all rows have the same numeric columns. All other entries of `details.json` are skipped.
    """
    path = report / "details.json"
    details = json.loads(path.read_text()) if path.is_file() else {}
    lists = {name: value for name, value in details.items() if is_list_of_numbers(value)}
    for length in sorted({len(value) for value in lists.values()}):
        columns = {name: value for name, value in lists.items() if len(value) == length}
        yield "By class", format_table(pd.DataFrame(columns, dtype=object))
    for name, value in details.items():
        if is_table(value):
            yield name.replace("_", " ").capitalize(), format_table(pd.DataFrame(value.values(), value, dtype=object))


def is_list_of_numbers(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1 and all(map(is_number, value))


def is_table(value: Any) -> bool:
    """Return whether a value is a mapping of at least two names to rows, and all rows have the same numeric columns."""
    if not isinstance(value, Mapping) or len(value) < 2 or not all(isinstance(row, Mapping) for row in value.values()):
        return False
    columns, *others = (list(row) for row in value.values())
    has_same_columns = bool(columns) and all(other == columns for other in others)
    return has_same_columns and all(is_number(number) for row in value.values() for number in row.values())


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def format_table(table: pd.DataFrame) -> str:
    """Return a table as Markdown. Floats get four decimals, and integers get commas as thousands separators."""
    table = table.rename(columns=lambda name: name.replace("_", " "))
    return str(table.to_markdown(floatfmt=".4f", intfmt=","))
