"""Build the web page with one tab per task, and a tab that lists all champions."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType

from fastapi import Depends, FastAPI
from nicegui import ui
from starlette.requests import Request

from lectern.serving import models_tab
from lectern.serving.challengers import Challengers
from lectern.serving.champions import Champions
from lectern.serving.executor import Executor
from lectern.serving.page_address import MODELS_TAB, PageAddress
from lectern.serving.page_errors import set_page_errors
from lectern.serving.page_events import check_messages
from lectern.serving.page_middleware import replace_middleware
from lectern.serving.page_tab import Tab
from lectern.serving.page_theme import add_theme_button
from lectern.serving.page_turns import PageTurns
from lectern.stages.experiments import read_experiments
from lectern.task_modules import has_task_module, task_module, task_names

PACKAGE = Path(__file__).parents[1]
STYLE_SHEET = Path(__file__).with_name("style.css")


@dataclass(frozen=True)
class Site:
    """The models and the tabs that the page of each visitor shows, and the thread pools that compute predictions."""

    champions: Champions
    challengers: Challengers
    executor: Executor
    pages: dict[str, ModuleType]  # the modules `serving.page` of the tasks


def mount_page(app: FastAPI, champions: Champions, executor: Executor) -> None:
    """Add the web page to the API server at the path `/`."""
    # the modules are imported before the server starts, because an import takes seconds and occupies the event loop
    site = Site(champions, Challengers(champions), executor, read_task_pages())
    turns = PageTurns(executor.settings.max_pages)

    @ui.page("/", title="Lectern", language="en-US", dependencies=[Depends(turns.wait_for_turn)])
    def index(request: Request, tab: str = "", model: str = "") -> None:
        build_page(site, request, tab, model)

    set_page_errors()
    check_messages()
    ui.run_with(app, title="Lectern", favicon="🎓", dark=None, show_welcome_message=False, reconnect_timeout=10)
    replace_middleware()


def build_page(site: Site, request: Request, tab: str, model: str) -> None:
    """Build the web page for one visitor. `tab` and `model` are the tab and the model in the address of the page."""
    for style_sheet in (STYLE_SHEET, *PACKAGE.glob("tasks/*/serving/page.css")):
        ui.add_css(style_sheet)
    ui.colors(primary="#14657a")
    address = PageAddress([*site.pages, MODELS_TAB], tab, model)
    add_header(request)
    with ui.element("nav").props('aria-label="Tabs"').classes("w-full"):
        tabs = add_tabs(site.pages, address)
    functions: dict[str, Callable[[], None]] = {
        task: partial(fill_task_tab, site, address, task, page) for task, page in site.pages.items()
    }
    functions[MODELS_TAB] = partial(models_tab.build_tab, site.champions, site.executor.settings, address)
    add_panels(tabs, address, functions)


def read_task_pages() -> dict[str, ModuleType]:
    """Return the modules `serving.page` of the tasks in the order of their tabs."""
    tasks = [task for task in task_names() if has_task_module(task, "serving.page")]
    pages = {task: task_module(task, "serving.page") for task in tasks}
    return dict(sorted(pages.items(), key=lambda item: item[1].ORDER))


def add_tabs(pages: dict[str, ModuleType], address: PageAddress) -> ui.tabs:
    """Add the tabs. The address of the page contains the selected tab."""
    with ui.tabs().props("no-caps align=justify inline-label outside-arrows").classes("tabs") as tabs:
        for task, page in pages.items():
            ui.tab(task, label=page.TITLE, icon=page.ICON)
        ui.tab(MODELS_TAB, label="Models", icon="inventory_2")
    tabs.on_value_change(lambda event: address.show_tab(event.value))
    return tabs


def add_panels(tabs: ui.tabs, address: PageAddress, fill_functions: dict[str, Callable[[], None]]) -> None:
    """Add the panels of the tabs, and show the panel of the selected tab.

    The content of a panel is built when the visitor opens its tab for the first time, because the elements of all
    panels together take five times as long as the elements of one panel.
    """
    panels = {}
    with ui.tab_panels(tabs, value=address.tab, animated=False).classes("panels"):
        for name in fill_functions:
            with ui.tab_panel(name):
                panels[name] = ui.column().classes("panel")

    def fill_panel(name: str) -> None:
        if not panels[name].default_slot.children:
            with panels[name]:
                fill_functions[name]()

    fill_panel(address.tab)
    tabs.on_value_change(lambda event: fill_panel(event.value))


def add_header(request: Request) -> None:
    """Add the header of the page: the title, the link to the API documentation and the button for dark mode."""
    with ui.element("header").classes("header"):
        with ui.column().classes("gap-0"):
            with ui.element("h1").classes("site-name"):
                ui.label("Lectern")
            ui.label("Try the models from the lectures").classes("tagline")
        ui.space()
        ui.link("API", "/docs").classes("plain-link")
        add_theme_button(request)


def fill_task_tab(site: Site, address: PageAddress, task: str, page: ModuleType) -> None:
    """Build the page tab of a task. If the task has no champion, show commands that promote a version."""
    ui.label(page.DESCRIPTION).classes("description")
    if site.champions.for_task(task):
        page.build_tab(Tab(task, site.champions, site.challengers, site.executor, address))
        return
    with ui.column().classes("card"):
        ui.label("No champion yet").classes("title")
        ui.label("To train and promote a model, run one of these commands. Then reload this page.")
        ui.code("\n".join(promotion_commands(task)), language="bash").classes("w-full")


def promotion_commands(task: str) -> list[str]:
    """Return commands that train and promote a model of the task, the fastest command first."""
    for experiment in read_experiments().values():
        if experiment.task == task:
            return ["make demo", f"dvc repro register@{experiment.name} && lectern promote {experiment.dataset}"]
    return ["make demo"]
