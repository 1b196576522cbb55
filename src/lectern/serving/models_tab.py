"""Build the tab of the web page that lists all champions.

Each row of the list contains the score, the baseline, the model card and a link to the MLflow run of one champion.
"""

import asyncio

from mlflow import MlflowClient
from nicegui import events, ui

from lectern.registry.version_runs import find_version_run
from lectern.serving.card_pictures import list_pictures, picture_address
from lectern.serving.card_text import card_for_page, make_focusable, picture_title
from lectern.serving.champions import Champion, Champions
from lectern.serving.client_message import SEE_LOG
from lectern.serving.page_address import MODELS_TAB, PageAddress
from lectern.serving.score_text import (
    describe_baseline,
    describe_direction,
    describe_training_data,
    format_score,
)
from lectern.serving.settings import Settings
from lectern.tracking.ui_settings import MODE, run_page, without_credentials

REFRESH_SECONDS = 3


def build_tab(champions: Champions, settings: Settings, address: PageAddress) -> None:
    """Build the list of champions, and build it again whenever a champion has changed."""
    ui.label("The list contains all champions in the registry. The API serves the listed versions.").classes(
        "description"
    )

    @ui.refreshable
    def champion_list() -> None:
        for champion in champions.all():
            add_champion(champion, champions, settings, address)
        for name in champions.problems:
            ui.label(f"{name}: The champion cannot be loaded. {SEE_LOG}").classes("problem")
        without = [name for name, number in champions.registered.items() if number is None]
        if without:
            ui.label(f"Without a champion: {', '.join(without)}. Run `lectern promote NAME`.").classes("note")

    def current_state() -> list[object]:
        return [(champion.name, champion.version.number) for champion in champions.all()] + [*champions.problems]

    shown_state = current_state()

    def refresh_if_changed() -> None:
        nonlocal shown_state
        if current_state() != shown_state:
            shown_state = current_state()
            champion_list.refresh()

    champion_list()
    ui.timer(REFRESH_SECONDS, refresh_if_changed)


def add_champion(champion: Champion, champions: Champions, settings: Settings, address: PageAddress) -> None:
    """Add a row for a champion. A click on the row opens the model card of the champion."""
    is_open = address.models.get(MODELS_TAB) == champion.name
    with ui.expansion(value=is_open).classes("card champion").props("dense") as row:
        row.props["aria-label"] = champion.name  # props() would misread a name with quotes
        with row.add_slot("header"), ui.row().classes("champion-header"):
            add_summary(champion)
        content = ui.column().classes("card-content")

    async def open_card() -> None:
        if not content.default_slot.children:
            await fill_card(content, champion, champions, settings)

    async def show_or_hide(event: events.ValueChangeEventArguments[bool]) -> None:
        if event.value:
            address.show_model(MODELS_TAB, champion.name)
            await open_card()

    row.on_value_change(show_or_hide)
    if is_open:
        ui.timer(0, open_card, once=True)


def add_summary(champion: Champion) -> None:
    """Add the name, the training data, the score and the baseline of a champion."""
    version, unit = champion.version, champion.score_unit
    name, task = unit.name.replace("_", " "), champion.task.replace("_", " ")
    with ui.column().classes("gap-0 champion-name"):
        ui.label(champion.name).classes("title")
        ui.label(f"{task} · version {version.number} · {version.experiment}").classes("note")
        ui.label(describe_training_data(champion)).classes("note")
        ui.label(code_label(champion)).classes("note code")
    with ui.column().classes("gap-0 champion-scores"):
        ui.label(format_score(version.score)).classes("score")
        ui.label(f"{name}, {describe_direction(champion)}").classes("note")
        if unit.unit not in ("", name):
            ui.label(unit.unit).classes("note")
        ui.label(describe_baseline(champion)).classes("note")


async def fill_card(content: ui.column, champion: Champion, champions: Champions, settings: Settings) -> None:
    """Show the model card and the pictures of a champion. The pictures of a remote store are downloaded first."""
    pictures = await asyncio.to_thread(list_pictures, champions, champion)
    run = await asyncio.to_thread(run_url, champions.client, champion, settings)
    card = card_for_page(champion.version, pictures)
    with content:
        ui.link("Run in MLflow", run, new_tab=True).classes("plain-link")
        # the option "code-friendly" keeps the underscores in names such as a_b_c
        text = ui.markdown(card, extras=["fenced-code-blocks", "tables", "code-friendly"]).classes("markdown")
        text.props["innerHTML"] = make_focusable(text.props["innerHTML"])
        with ui.element("div").classes("card-pictures"):
            for file in pictures:
                if f"/{file})" not in card:
                    add_picture(picture_address(champion.version, file), picture_title(file))


def add_picture(address: str, title: str) -> None:
    """Add a picture with its title. A click opens the picture in full size."""
    with ui.element("figure"):
        with ui.link(target=address, new_tab=True):
            picture = ui.element("img").props("loading=lazy")
            picture.props["src"], picture.props["alt"] = address, title
        with ui.element("figcaption").classes("note"):
            ui.label(title)


def code_label(champion: Champion) -> str:
    """Return the start of the code's digest, with a note if packaged code in a separate process predicts."""
    return f"code {champion.version.code[:12]}{', in its own process' if champion.runs_packaged_code else ''}"


def run_url(client: MlflowClient, champion: Champion, settings: Settings) -> str:
    """Return the address of a version's run in MLflow's web interface, or of the version itself if its run was deleted.

    The web interface runs on the tracking server. For a local store, `make ui` starts the web interface.
    """
    uri = client.tracking_uri
    server = uri if uri.startswith("http") else settings.mlflow_ui
    run = find_version_run(client, champion.version)
    if run:
        return run_page(server, run)
    base = without_credentials(server).rstrip("/")
    return f"{base}/#/models/{champion.name}/versions/{champion.version.number}?{MODE}"
