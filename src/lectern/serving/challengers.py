"""Load the challenger of a model when a visitor compares it with the champion."""

from threading import Lock

from lectern.registry.registered_model import RegisteredModel
from lectern.serving.champions import Champion, Champions, NotServed, load_version


class Challengers:
    """The loaded challengers. A challenger is loaded on the first request, so that the server starts without it."""

    def __init__(self, champions: Champions):
        self.champions = champions
        self.loaded: dict[str, Champion] = {}
        self.lock = Lock()

    def find_number(self, name: str) -> int | None:
        """Return the number of the version with the alias `challenger`, or None if there is no challenger."""
        return self.champions.challengers.get(name)

    def load(self, name: str) -> Champion:
        """Return the loaded challenger of a model. Raises UserError if there is no challenger that can be loaded."""
        number = self.find_number(name)
        if number is None:
            raise NotServed(f"{name} has no challenger. Register a second version of the model.")
        with self.lock:
            if name not in self.loaded or self.loaded[name].version.number != number:
                version = RegisteredModel(self.champions.client, name).get(str(number))
                self.loaded[name] = load_version(self.champions.client, version, self.champions.threads)
            return self.loaded[name]
