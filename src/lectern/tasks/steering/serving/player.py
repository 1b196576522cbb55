"""Define the video player of the web page. The player also shows moving steering wheels."""

from nicegui.element import Element

from lectern.tasks.steering.serving.playback import Playback


class Player(Element, component="player.js"):
    """A video player that shows the network's angle at each frame, and the driver's angle if it is known."""

    def __init__(self, url: str, playback: Playback):
        super().__init__()
        self._props["video"] = url
        self._props["rate"] = playback.rate
        self._props["network"] = [round(angle, 5) for angle in playback.network]
        self._props["driver"] = playback.driver and [round(angle, 5) for angle in playback.driver]
        self._props["degrees"] = playback.unit["right"] * playback.unit["degrees"]
        self._props["unit"] = playback.unit["name"]
