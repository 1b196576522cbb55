"""A drive to a film that plays in the browser, its wheels turning with it."""

from nicegui.element import Element

from lectern.tasks.steering.serving.drives import Drive


class Player(Element, component="player.js"):
    """The film at an address, and what was done at each of its frames."""

    def __init__(self, film: str, drive: Drive):
        super().__init__()
        self._props["film"] = film
        self._props["rate"] = drive.rate
        self._props["network"] = [round(angle, 5) for angle in drive.network]
        self._props["driver"] = drive.driver and [round(angle, 5) for angle in drive.driver]
        self._props["degrees"] = drive.unit["right"] * drive.unit["degrees"]
