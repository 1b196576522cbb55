"""The champions to a table: score beside baseline, card, and the run in MLflow."""

import html
import re

from mlflow import MlflowClient
from nicegui import ui

from lectern.registry.versions import numeric_tag
from lectern.serving.champions import Champion, Champions
from lectern.serving.settings import Settings

SECONDS = 3  # between looks at what is served


def build(champions: Champions, settings: Settings) -> None:
    """A line a champion, which opens to its card; made anew when one has moved."""
    ui.label("Every champion of the registry. The API answers with the same versions.").classes("asks")

    @ui.refreshable
    def table() -> None:
        for champion in champions.listed():
            show(champion, run_address(champions.client, champion, settings))
        for name, problem in champions.problems.items():
            ui.label(f"{name}: {problem}").classes("problem")
        without = [name for name, number in champions.registered.items() if number is None]
        if without:
            ui.label(f"Without a champion: {', '.join(without)}. Promote one: lectern promote NAME").classes("note")

    def state() -> list:
        return [(champion.name, champion.number) for champion in champions.listed()] + list(champions.problems)

    seen = [state()]

    def look() -> None:
        if state() != seen[0]:
            seen[0] = state()
            table.refresh()

    table()
    ui.timer(SECONDS, look)


def show(champion: Champion, run: str) -> None:
    task, experiment = champion.task.replace("_", " "), champion.version.tags["lectern.experiment"]
    with ui.expansion().classes("card champion").props("dense") as line:
        with line.add_slot("header"), ui.row().classes("line"):
            with ui.column().classes("gap-0 who"):
                ui.label(champion.name).classes("title")
                ui.label(f"{task} · version {champion.number} · {experiment}").classes("note")
            with ui.column().classes("gap-0 figures"):
                ui.label(f"{numeric_tag(champion.version, 'score'):.4g}").classes("figure")
                ui.label(meaning(champion)).classes("note")
                ui.label(f"baseline {numeric_tag(champion.version, 'baseline'):.4g}").classes("note")
        ui.link("Its run in MLflow", run, new_tab=True).classes("quiet")
        card = show_card(champion.version.description or "It has no card.")
        ui.markdown(card, extras=["fenced-code-blocks", "tables", "code-friendly"]).classes("prose")  # a_b_c is a name


def meaning(champion: Champion) -> str:
    """What the figure is, and which way it is better where that may surprise."""
    is_lower = champion.version.tags["lectern.higher_is_better"] != "True"
    return f"{champion.metric or 'score'}{', lower is better' if is_lower else ''}"


def show_card(card: str) -> str:
    """The card as text alone: its pictures lie with the run, and what looks like HTML is shown as it is written."""
    return html.escape(re.sub(r"!\[[^\]]*\]\([^)]*\)\n*", "", card), quote=False)


def run_address(client: MlflowClient, champion: Champion, settings: Settings) -> str:
    """Where MLflow's own page shows the run: on the tracking server, or where `make ui` shows a local store."""
    uri = client.tracking_uri
    base = uri.rstrip("/") if uri.startswith("http") else settings.mlflow_ui
    experiment = client.get_run(champion.version.run_id).info.experiment_id
    return f"{base}/#/experiments/{experiment}/runs/{champion.version.run_id}"
