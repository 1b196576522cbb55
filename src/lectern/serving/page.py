"""The champions to a page: a tab for each room that has one, and one that lists them all."""

from pathlib import Path
from types import ModuleType

from fastapi import FastAPI
from nicegui import ui

from lectern.serving import models_tab
from lectern.serving.page_tab import Tab
from lectern.stages.experiments import read_experiments
from lectern.task_modules import has_task_module, task_module, task_names

PACKAGE = Path(__file__).parents[1]
STYLE = Path(__file__).with_name("style.css")


def mount(app: FastAPI) -> None:
    """Put the page at the root of the API's own server."""

    @ui.page("/", title="Lectern")
    def index() -> None:
        build(app)

    ui.run_with(app, title="Lectern", favicon="🎓", dark=None, show_welcome_message=False, reconnect_timeout=10)


def build(app: FastAPI) -> None:
    """The page of one visitor."""
    for sheet in (STYLE, *PACKAGE.glob("*/serving/page.css")):
        ui.add_css(sheet)
    ui.colors(primary="#14657a")
    head()
    tabs = {task: task_module(task, "serving.page") for task in task_names() if has_task_module(task, "serving.page")}
    ordered = sorted(tabs.items(), key=lambda item: item[1].ORDER)
    with ui.tabs().props("no-caps align=justify inline-label outside-arrows").classes("tabs") as bar:
        for task, page in ordered:
            ui.tab(task, label=page.TITLE, icon=page.ICON)
        ui.tab("models", label="Models", icon="inventory_2")
    with ui.tab_panels(bar, value=ordered[0][0], animated=False).classes("panels"):
        for task, page in ordered:
            with ui.tab_panel(task), ui.column().classes("panel"):
                fill(Tab(task, app.state.champions, app.state.asking), page)
        with ui.tab_panel("models"), ui.column().classes("panel"):
            models_tab.build(app.state.champions, app.state.settings)


def head() -> None:
    """The name of the house, and the two switches."""
    dark = ui.dark_mode(value=None)
    with ui.row().classes("head"):
        with ui.column().classes("gap-0"):
            ui.label("Lectern").classes("name")
            ui.label("Ask the models of the lectures").classes("motto")
        ui.space()
        ui.link("API", "/docs").classes("quiet")
        ui.button(icon="contrast", on_click=lambda: switch(dark)).props(
            'flat round dense color=grey aria-label="Light or dark"'
        )


async def switch(dark: ui.dark_mode) -> None:
    """From what is seen now to the other."""
    dark.set_value(not await ui.run_javascript("document.body.classList.contains('body--dark')"))


def fill(tab: Tab, page: ModuleType) -> None:
    """The room's tab, or how to get it a champion."""
    ui.label(page.ASKS).classes("asks")
    if tab.champions.of(tab.task):
        page.build(tab)
        return
    with ui.column().classes("card"):
        ui.label("No champion yet").classes("title")
        ui.label("Train a model and promote it; this page finds it by itself when it is loaded again:")
        ui.code("\n".join(ways(tab.task)), language="bash").classes("w-full")


def ways(task: str) -> list[str]:
    """The commands that give a task a champion, the quickest first."""
    experiments = [experiment for experiment in read_experiments().values() if experiment.task == task]
    return [
        "make demo",
        *(f"dvc repro register@{one.name} && lectern promote {one.dataset}" for one in experiments[:1]),
    ]
