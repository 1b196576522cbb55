"""Record a decision before it is carried out, so that a later command can complete or discard this decision.

The file is deleted when the decision is complete. The file is not committed, because it describes one store.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lectern.artifacts.digests import content_digest
from lectern.artifacts.paths import INTENTS
from lectern.atomic import write_json
from lectern.registry.registered_model import Aliases, RegisteredModel

Request = dict[str, str | None]  # the action of a user's command, and the arguments of this action


@dataclass(frozen=True)
class Intent:
    """A decision that has been started.

    The fields are the new line of the audit log, the old and new aliases, and the request.
    """

    decision: dict[str, Any]
    before: Aliases
    after: Aliases
    tagged: int  # number of the version whose tags contain the decision
    request: Request


def write_intent(model: RegisteredModel, intent: Intent) -> None:
    """Write the intent and flush it to disk."""
    path = intent_file(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, asdict(intent))


def read_intent(model: RegisteredModel) -> Intent | None:
    """Return the decision of an interrupted command, or None if no command was interrupted."""
    path = intent_file(model)
    return Intent(**json.loads(path.read_text())) if path.is_file() else None


def delete_intent(model: RegisteredModel) -> None:
    intent_file(model).unlink(missing_ok=True)


def intent_file(model: RegisteredModel) -> Path:
    """Return a path that depends on the store, because version numbers differ between stores."""
    store = content_digest([model.client.tracking_uri])[:8]
    return INTENTS / f"{model.name}-{store}.json"
