"""Build the web page with one tab per task, and a tab that lists all champions."""

from pathlib import Path
from types import ModuleType

from fastapi import FastAPI
from nicegui import ui

from lectern.serving import models_tab
from lectern.serving.champions import Champions
from lectern.serving.executor import Executor
from lectern.serving.page_tab import Tab
from lectern.stages.experiments import read_experiments
from lectern.task_modules import has_task_module, task_module, task_names

PACKAGE = Path(__file__).parents[1]
STYLE_SHEET = Path(__file__).with_name("style.css")


def mount_page(app: FastAPI, champions: Champions, executor: Executor) -> None:
    """Add the web page to the API server at the path `/`."""

    @ui.page("/", title="Lectern")
    def index() -> None:
        build_page(champions, executor)

    ui.run_with(app, title="Lectern", favicon="🎓", dark=None, show_welcome_message=False, reconnect_timeout=10)


def build_page(champions: Champions, executor: Executor) -> None:
    """Build the web page for one visitor."""
    for style_sheet in (STYLE_SHEET, *PACKAGE.glob("tasks/*/serving/page.css")):
        ui.add_css(style_sheet)
    ui.colors(primary="#14657a")
    add_header()
    tasks = {task: task_module(task, "serving.page") for task in task_names() if has_task_module(task, "serving.page")}
    ordered = sorted(tasks.items(), key=lambda item: item[1].ORDER)
    with ui.tabs().props("no-caps align=justify inline-label outside-arrows").classes("tabs") as tabs:
        for task, page in ordered:
            ui.tab(task, label=page.TITLE, icon=page.ICON)
        ui.tab("models", label="Models", icon="inventory_2")
    with ui.tab_panels(tabs, value=ordered[0][0], animated=False).classes("panels"):
        for task, page in ordered:
            with ui.tab_panel(task), ui.column().classes("panel"):
                fill_task_tab(Tab(task, champions, executor), page)
        with ui.tab_panel("models"), ui.column().classes("panel"):
            models_tab.build_tab(champions, executor.settings)


def add_header() -> None:
    """Add the header of the page: the title, the link to the API documentation and the button for dark mode."""
    dark = ui.dark_mode(value=None)
    with ui.row().classes("header"):
        with ui.column().classes("gap-0"):
            ui.label("Lectern").classes("site-name")
            ui.label("Try the models from the lectures").classes("tagline")
        ui.space()
        ui.link("API", "/docs").classes("plain-link")
        ui.button(icon="contrast", on_click=lambda: toggle_dark_mode(dark)).props(
            'flat round dense color=grey aria-label="Light or dark"'
        )


async def toggle_dark_mode(dark: ui.dark_mode) -> None:
    """Switch between light and dark mode.

    The current mode is read from the browser, because the initial mode depends on the settings of the browser.
    """
    dark.set_value(not await ui.run_javascript("document.body.classList.contains('body--dark')"))


def fill_task_tab(tab: Tab, page: ModuleType) -> None:
    """Build the page tab of a task. If the task has no champion, show commands that promote a version."""
    ui.label(page.DESCRIPTION).classes("description")
    if tab.champions.for_task(tab.task):
        page.build_tab(tab)
        return
    with ui.column().classes("card"):
        ui.label("No champion yet").classes("title")
        ui.label("To train and promote a model, run one of these commands. Then reload this page.")
        ui.code("\n".join(promotion_commands(tab.task)), language="bash").classes("w-full")


def promotion_commands(task: str) -> list[str]:
    """Return commands that train and promote a model of the task, the fastest command first."""
    for experiment in read_experiments().values():
        if experiment.task == task:
            return ["make demo", f"dvc repro register@{experiment.name} && lectern promote {experiment.dataset}"]
    return ["make demo"]
