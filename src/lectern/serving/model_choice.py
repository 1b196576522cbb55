"""Add a menu of a task's models, with facts about the chosen model and a choice to compare its challenger."""

import asyncio
from collections.abc import Callable

from nicegui import ui

from lectern.serving.challengers import Challengers
from lectern.serving.champions import Champion, Champions
from lectern.serving.score_text import describe_baseline, describe_direction, describe_score, describe_training_data

REFRESH_SECONDS = 3


class ModelChoice:
    """A menu of the champions of a task. The menu is updated after a promotion."""

    def __init__(self, task: str, champions: Champions, challengers: Challengers, name: str):
        self.task, self.champions, self.challengers = task, champions, challengers
        options = self.labels()
        chosen = name if name in options else next(iter(options))
        self.menu = ui.select(options, value=chosen, label="Model").props("outlined dense").classes("model-select")
        self.facts = ui.label().classes("note model-facts")
        self.compare = ui.checkbox("Compare with the challenger").props("dense")
        self.menu.on_value_change(self.show_facts)
        self.show_facts()
        ui.timer(REFRESH_SECONDS, self.refresh)

    @property
    def name(self) -> str:
        """The name of the chosen model."""
        return str(self.menu.value)

    @property
    def compares(self) -> bool:
        """True if the visitor compares the champion with the challenger."""
        return bool(self.compare.value) and self.challengers.find_number(self.name) is not None

    def labels(self) -> dict[str, str]:
        """Return the entries of the menu, with the number and the score of each champion."""
        return {
            champion.name: f"{champion.name.replace('_', ' ')}, version {champion.version.number}, "
            f"{describe_score(champion).partition(' (')[0]}"
            for champion in self.champions.for_task(self.task)
        }

    def refresh(self) -> None:
        """Update the entries of the menu and the facts if a champion or a challenger has changed."""
        labels = self.labels()
        if labels and labels != self.menu.options:
            self.menu.set_options(labels, value=self.name if self.name in labels else next(iter(labels)))
        self.show_facts()

    def show_facts(self) -> None:
        """Show the score, the baseline and the training data of the chosen model."""
        champion = self.champions.served.get(self.name)
        self.facts.set_text(describe_model(champion) if champion else "")
        self.compare.set_visibility(self.challengers.find_number(self.name) is not None)

    def on_change(self, callback: Callable[[], object]) -> None:
        """Call `callback` when the visitor chooses another model."""
        self.menu.on_value_change(lambda: callback())

    async def load_champion(self) -> Champion:
        """Return the champion of the chosen model. Raises NotServed if no champion of the model is loaded."""
        return self.champions.get(self.name)

    async def load_challenger(self) -> Champion:
        """Return the challenger of the chosen model. The first call loads the challenger."""
        return await asyncio.to_thread(self.challengers.load, self.name)


def describe_model(champion: Champion) -> str:
    """Return two sentences with the training data, the score and the baseline of a champion."""
    training, baseline = describe_training_data(champion), describe_baseline(champion)
    score = f"{describe_score(champion)}, {describe_direction(champion)}"
    return f"Model {training}. Test score: {score}; {baseline}."
