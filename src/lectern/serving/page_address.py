"""Keep the chosen tab and the chosen models in the address of the page, so that a reload and a link restore them."""

import json
from collections.abc import Mapping
from urllib.parse import urlencode

from nicegui import ui

MODELS_TAB = "models"


class PageAddress:
    """The tab and the models that a visitor has chosen."""

    def __init__(self, tabs: list[str], tab: str, model: str):
        """Select the tab and the model in the address of the page. Select the first tab if `tab` is unknown."""
        self.tab = tab if tab in tabs else tabs[0]
        self.models = {self.tab: model} if model else {}

    def show_tab(self, tab: str) -> None:
        self.tab = tab
        self.update_browser()

    def show_model(self, tab: str, model: str) -> None:
        self.models[tab] = model
        self.update_browser()

    def update_browser(self) -> None:
        """Replace the address in the browser without loading the page again."""
        ui.run_javascript(
            f"history.replaceState(history.state, '', {json.dumps(format_address(self.tab, self.models))})"
        )


def format_address(tab: str, models: Mapping[str, str]) -> str:
    """Return the address of a tab, such as `/?tab=translation&model=multi30k_en_de`."""
    model = models.get(tab)
    return f"/?{urlencode({'tab': tab} | ({'model': model} if model else {}))}"
