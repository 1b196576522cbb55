"""An experiment's paths to its model card: nothing in it depends on store, time or commit."""

import json

import yaml

from lectern.artifacts import history_file
from lectern.artifacts.dataset import read_facts
from lectern.artifacts.paths import ExperimentPaths, group_config
from lectern.config import Dataset
from lectern.registry import slice_tables

CARD = """# {experiment}

A `{class_name}` for {task}, trained on `{dataset}`.

## Intended use

To show, and to build on, what the lectures teach. It was measured on the test data of `{dataset}` only; ask for
nothing that differs from that data without measuring again.

## Data

`{origin}`, {items}. Licence: {licence}

## Scores on the test data

| metric | value |
| --- | ---: |
{scores}

The score is {meaning}; the baseline is what a trivial baseline reaches on the same data
(test digest `{test_digest}`).
{slices}
## Pictures

In `reports/{experiment}/`: {pictures}.

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

It knows what its training data held and nothing else. {weakest}
"""


def write_card(paths: ExperimentPaths, dataset: Dataset) -> None:
    """Write `cards/<experiment>.md`."""
    described = json.loads((paths.model / "module.json").read_text())
    facts = read_facts(paths.processed)
    hyperparameters = {key: value for key, value in described["hyperparameters"].items() if key != "facts"}
    numbers = {name: value for name, value in paths.metrics.items() if isinstance(value, int | float)}
    direction = "higher" if paths.metrics["higher_is_better"] else "lower"
    text = CARD.format(
        experiment=paths.experiment,
        class_name=described["class"],
        task=paths.task.replace("_", " "),
        dataset=dataset.name,
        origin=dataset.origin,
        licence=licence(dataset.origin),
        items=", ".join(f"{count:,} {split}" for split, count in facts["items"].items()),
        scores="\n".join(f"| {name} | {value:.6g} |" for name, value in numbers.items() if type(value) is not bool),
        meaning=f"{dataset.score['name'].replace('_', ' ')} ({dataset.score['unit']}, {direction} is better)",
        test_digest=paths.metrics["test_digest"],
        slices="".join(f"\n### {title}\n\n{table}\n" for title, table in slice_tables.slice_tables(paths.report)),
        pictures=", ".join(f"`{path.name}`" for path in sorted(paths.report.glob("*.png"))) or "none",
        training=training(paths),
        weakest=weakest(dataset),
        hyperparameters=json.dumps(hyperparameters, indent=1),
    )
    paths.card.parent.mkdir(exist_ok=True)
    paths.card.write_text(text)


def training(paths: ExperimentPaths) -> str:
    """How long it learned, and where the validation data said to stop."""
    history, _ = history_file.read_history(paths.model)
    if history.empty:
        return "Nothing was recorded of its training."
    epochs, steps = int(history["epoch"].max()) + 1, int(history["step"].max())
    last = history[history["name"].str.startswith("validation_")].groupby("name")["value"].last()
    measured = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in last.items())
    plural = "" if epochs == 1 else "s"
    return f"{steps:,} steps in {epochs} epoch{plural}; at its end {measured or 'nothing was validated'}."


def weakest(dataset: Dataset) -> str:
    """What its promotion is guarded against losing."""
    if not dataset.guards:
        return "The report beside it shows where it errs."
    told = "; ".join(f"{name.replace('_', ' ')}: {guard['reason']}" for name, guard in dataset.guards.items())
    return f"The gate watches over more than the score: {told}."


def licence(origin: str) -> str:
    return yaml.safe_load(group_config("origin", origin).read_text())["licence"]
