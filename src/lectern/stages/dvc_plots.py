"""List the plots of all experiments in `plots/dvc.yaml`, from which `dvc plots` draws them.

DVC cannot repeat a plot for each experiment, so Lectern writes the file. Experiments of one dataset share a plot.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import yaml

from lectern.artifacts.paths import PLOTS, REPORTS
from lectern.atomic import atomic_file
from lectern.stages.experiments import Experiment, read_experiments
from lectern.task_modules import has_task_module, task_module

LINES = "plots/lines.json"  # a template of Lectern; in DVC's template `linear`, all experiments have the same colour
HEADER = """\
# `lectern plots` writes this file from experiments.yaml. `dvc plots show` draws the plots as a web page.
# `dvc plots diff` draws the plots of two commits.
"""


@dataclass(frozen=True)
class Plot:
    """A plot of a file in `reports/<experiment>`. The names in `x` and `y` are columns of the file."""

    title: str
    file: str
    x: str
    y: tuple[str, ...]
    x_label: str
    y_label: str
    template: str = LINES
    same_for_all: tuple[str, ...] = ()  # columns that do not depend on the experiment, so they are drawn once
    is_separate: bool = False  # whether each experiment has a plot of its own


CURVES = Plot("Loss over training", "curves.csv", "step", ("train", "validation"), "training step", "loss")


def write_plots() -> None:
    """Write `plots/dvc.yaml` with the plots of the experiments in `experiments.yaml`."""
    PLOTS.parent.mkdir(exist_ok=True)
    with atomic_file(PLOTS) as part:
        part.write_text(format_plots())


def format_plots() -> str:
    experiments = sorted(read_experiments().values(), key=lambda experiment: (experiment.task, experiment.dataset))
    datasets = groupby(experiments, key=lambda experiment: experiment.dataset)
    plots = [entry for dataset, group in datasets for entry in dataset_plots(dataset, list(group))]
    return HEADER + yaml.safe_dump({"plots": plots}, sort_keys=False, width=1000)


def dataset_plots(dataset: str, experiments: list[Experiment]) -> Iterator[dict[str, Any]]:
    """Yield the entries of `plots/dvc.yaml` for the experiments of one dataset."""
    for plot in (CURVES, *task_plots(experiments[0].task)):
        if plot.is_separate:
            for experiment in experiments:
                yield plot_entry(plot, experiment.name, [experiment])
        else:
            yield plot_entry(plot, dataset, experiments)


def task_plots(task: str) -> tuple[Plot, ...]:
    name = "report.dvc_plots"
    plots: tuple[Plot, ...] = task_module(task, name).PLOTS if has_task_module(task, name) else ()
    return plots


def plot_entry(plot: Plot, name: str, experiments: list[Experiment]) -> dict[str, Any]:
    """Return one entry of `plots/dvc.yaml`, which has the title of the plot as its key."""
    columns = {
        report_file(plot, each): drawn_columns(plot, is_first=not index) for index, each in enumerate(experiments)
    }
    title = f"{plot.title}: {name}"
    labels = {"title": title, "x_label": plot.x_label, "y_label": plot.y_label, "template": plot.template}
    return {title: {"x": plot.x, "y": columns, **labels}}


def report_file(plot: Plot, experiment: Experiment) -> str:
    """Return the path of a file of the report. Paths in `plots/dvc.yaml` are relative to `plots/`."""
    return f"../{REPORTS / experiment.name / plot.file}"


def drawn_columns(plot: Plot, is_first: bool) -> list[str] | str:
    columns = [column for column in plot.y if is_first or column not in plot.same_for_all]
    return columns if len(columns) > 1 else columns[0]
