"""Write a Markdown report about the experiments that differ between two revisions, for a pull request."""

from collections.abc import Iterator
from pathlib import Path

from lectern.atomic import atomic_file
from lectern.errors import UserError
from lectern.plotting import saved_figure
from lectern.registry.gate import read_gate_config
from lectern.registry.score_unit import read_score_unit
from lectern.revisions.changes import Changes, find_changes
from lectern.task_modules import task_module


def write_report(base: str, head: str, folder: Path) -> Path:
    """Write `report.md` and one picture of the learning curves per experiment to a folder, and return the path."""
    changes = list(find_changes(base, head))
    folder.mkdir(parents=True, exist_ok=True)
    sections = [format_experiment(each, folder) for each in changes]
    empty = "The metrics of no experiment differ between the two commits.\n"
    path = folder / "report.md"
    with atomic_file(path) as part:
        text = f"# Experiments of {head}, compared with {base}\n\n" + ("\n".join(sections) or empty)
        part.write_text(text, encoding="utf-8")
    return path


def format_experiment(changes: Changes, folder: Path) -> str:
    """Return the section about one experiment, and write the picture of its learning curves."""
    name = changes.experiment.name
    parts = [
        f"## {name}\n",
        f"Model `{changes.experiment.model}`, dataset `{changes.experiment.dataset}`.\n",
        format_metrics(changes),
        f"{describe_improvement(changes)}\n",
        "### What changed\n",
        "\n".join(f"- {line}" for line in describe_changes(changes)) + "\n",
        f"### Promotion gate\n\n{describe_gate(changes)}\n",
        f"### Learning curves\n\n{draw_curves(changes, folder / f'{name}.png')}\n",
    ]
    return "\n".join(parts)


def format_metrics(changes: Changes) -> str:
    """Return a table with the old and the new value of each metric. The score and its baseline are the first rows."""
    unit = read_score_unit(changes.experiment.dataset)
    first = {name: f"{name} ({unit})" for name in ("score", "baseline")}
    names = [*first, *sorted(changes.metrics.keys() - first.keys())]
    rows = [
        f"| metric | {changes.base.revision} | {changes.head.revision} | difference |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name in names:
        old, new = (changes.metrics.get(name, {}).get(side) for side in ("old", "new"))
        difference = f"{new - old:+.4f}" if old is not None and new is not None else "-"
        rows.append(f"| {first.get(name, name)} | {format_number(old)} | {format_number(new)} | {difference} |")
    return "\n".join(rows) + "\n"


def format_number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def describe_improvement(changes: Changes) -> str:
    """Describe the bootstrap interval of the difference in score, as the promotion gate computes it."""
    from lectern.registry.bootstrap import estimate_improvement
    from lectern.registry.gate_rules import better_than_noise, describe_interval

    new, old = ((changes.metrics["score"].get(side)) for side in ("new", "old"))
    if new is None or old is None:
        return "The experiment has a score in only one of the commits."
    try:
        if changes.base.evaluation["test_digest"] != changes.head.evaluation["test_digest"]:
            return "The scores were measured on different test data, so they cannot be compared."
        direction = 1 if changes.head.evaluation["higher_is_better"] else -1
        report = task_module(changes.experiment.task, "report.evaluate")
        noise = read_gate_config()["noise"]
        improvement = estimate_improvement(changes.head.items, changes.base.items, report, direction, **noise)
    except UserError as error:
        return f"The interval of the difference is unknown: {error}"
    unit = read_score_unit(changes.experiment.dataset)
    rule = better_than_noise(new, old, improvement, direction, unit)
    verdict = "Better by more than noise" if rule.passed else "Not better by more than noise"
    return (
        f"**{verdict}**: {describe_interval(improvement, direction)} ({unit.unit or unit}) in the "
        f"{improvement.confidence:.0%} interval of {improvement.resamples:,} resamples of {improvement.units:,} units "
        "of test items."
    )


def describe_changes(changes: Changes) -> Iterator[str]:
    """Yield one line for each changed param and source file, and for changed data."""
    for name, value in changes.params.items():
        yield f"param `{name}`: {value.get('old')} to {value.get('new')}"
    for path in changes.code:
        yield f"code `{path}`"
    if changes.is_data_changed:
        yield f"data `{changes.head.paths.processed}`"
    if not (changes.params or changes.code or changes.is_data_changed):
        yield "neither params, nor code, nor data of the experiment"


def describe_gate(changes: Changes) -> str:
    """Describe the result of the promotion gate against the champion, if this store has one."""
    from lectern.registry.overview import find_output_version, read_models
    from lectern.tracking.store import connect

    paths = changes.experiment.paths
    models = read_models(connect())
    if paths.dataset not in models or models[paths.dataset].readable_champion is None:
        return f"Not checked: the tracking store has no champion of `{paths.dataset}`."
    if not paths.metrics_file.is_file() or changes.metrics["score"].get("new") != paths.metrics.get("score"):
        return f"Not checked: the workspace does not contain the outputs of {changes.head.revision}."
    version = find_output_version(models, paths)
    if version is None:
        return f"Not checked: {paths.experiment} is not registered in this store. Run `lectern reconcile`."
    from lectern.registry.gate import preview_gate

    champion = models[paths.dataset].readable_champion
    return (
        f"Compared with the champion ({champion}): {preview_gate(models[paths.dataset], version, changes.head.items)}."
    )


def draw_curves(changes: Changes, path: Path) -> str:
    """Draw the training and validation loss of both revisions, and return the Markdown that shows the picture."""
    try:
        curves = {side.revision: side.curves for side in (changes.base, changes.head)}
    except UserError as error:
        return f"Not drawn: {error}"
    with saved_figure(path, 7.0, 4.2) as (_, axis):
        for color, (revision, table) in zip(("tab:gray", "tab:blue"), curves.items(), strict=False):
            axis.plot(table["step"], table["train"], color=color, linestyle="--", label=f"{revision}, training")
            axis.plot(table["step"], table["validation"], color=color, marker="o", label=f"{revision}, validation")
        axis.set(title=changes.experiment.name, xlabel="training step", ylabel="loss")
        axis.grid(alpha=0.3)
        axis.legend()
    return f"![Loss over training of {changes.experiment.name}]({path.name})"
