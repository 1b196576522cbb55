"""Build the tab of the web page that lists all champions.

Each row of the list contains the score, the baseline, the model card and a link to the MLflow run of one champion.
"""

import html
import re

from mlflow import MlflowClient
from nicegui import ui

from lectern.registry.version_runs import find_version_run
from lectern.serving.champions import Champion, Champions
from lectern.serving.settings import Settings

REFRESH_SECONDS = 3


def build_tab(champions: Champions, settings: Settings) -> None:
    """Build the list of champions, and build it again whenever a champion has changed."""
    ui.label("The list contains all champions in the registry. The API serves the listed versions.").classes(
        "description"
    )

    @ui.refreshable
    def champion_list() -> None:
        for champion in champions.all():
            add_champion(champion, run_url(champions.client, champion, settings))
        for name, problem in champions.problems.items():
            ui.label(f"{name}: {problem}").classes("problem")
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


def add_champion(champion: Champion, run: str) -> None:
    """Add a row for a champion. A click on the row opens the model card of the champion."""
    version, task = champion.version, champion.task.replace("_", " ")
    with ui.expansion().classes("card champion").props("dense") as row:
        with row.add_slot("header"), ui.row().classes("champion-header"):
            with ui.column().classes("gap-0 champion-name"):
                ui.label(champion.name).classes("title")
                ui.label(f"{task} · version {version.number} · {version.experiment}").classes("note")
                ui.label(code_label(champion)).classes("note")
            with ui.column().classes("gap-0 champion-scores"):
                ui.label(f"{version.score:.4g}").classes("score")
                ui.label(metric_label(champion)).classes("note")
                ui.label(f"baseline {version.baseline:.4g}").classes("note")
        ui.link("Run in MLflow", run, new_tab=True).classes("plain-link")
        card = plain_text_card(version.card or "This version has no model card.")
        # the option "code-friendly" keeps the underscores in names such as a_b_c
        ui.markdown(card, extras=["fenced-code-blocks", "tables", "code-friendly"]).classes("markdown")


def code_label(champion: Champion) -> str:
    """Return the start of the code's digest, with a note if packaged code in a separate process predicts."""
    return f"code {champion.version.code[:12]}{', in its own process' if champion.runs_packaged_code else ''}"


def metric_label(champion: Champion) -> str:
    """Return the name of the metric, with a note if a lower score is better."""
    return f"{champion.metric or 'score'}{'' if champion.version.higher_is_better else ', lower is better'}"


def plain_text_card(card: str) -> str:
    """Return the Markdown of a model card without images and with escaped HTML tags.

    The images are left out, because they are stored with the run and not on the server.
    """
    return html.escape(re.sub(r"!\[[^\]]*\]\([^)]*\)\n*", "", card), quote=False)


def without_credentials(address: str) -> str:
    """Return an address without its user name and password, because a link must not contain them."""
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def run_url(client: MlflowClient, champion: Champion, settings: Settings) -> str:
    """Return the address of a version's run in MLflow's web interface, or of the version itself if its run was deleted.

    The web interface runs on the tracking server. For a local store, `make ui` starts the web interface.
    """
    uri = client.tracking_uri
    base = without_credentials(uri).rstrip("/") if uri.startswith("http") else settings.mlflow_ui
    run = find_version_run(client, champion.version)
    if run is None:
        return f"{base}/#/models/{champion.name}/versions/{champion.version.number}"
    return f"{base}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
