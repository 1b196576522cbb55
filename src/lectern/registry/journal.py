"""Record a promotion, rollback or retirement in an intent file before it is carried out.

If the command is interrupted, a later command reads the intent file and completes or discards the decision. The intent
file is deleted when the decision is complete. Intent files are not committed, because each file describes one tracking
store.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lectern.artifacts.digests import content_digest
from lectern.artifacts.paths import INTENTS
from lectern.atomic import write_json
from lectern.registry.registered_model import Aliases, RegisteredModel

Request = dict[str, str | None]  # the action and the arguments of a user's command, such as a promotion of version 3


@dataclass(frozen=True)
class Intent:
    """A promotion, rollback or retirement that has been started.

    `decision` is the new line of the audit log. `before` and `after` are the old and the new aliases.
    """

    decision: dict[str, Any]
    before: Aliases
    after: Aliases
    tagged: int  # number of the version that gets the decision as a tag
    request: Request


def write_intent(model: RegisteredModel, intent: Intent) -> None:
    """Write the intent file, and wait until the file is stored on the disk."""
    path = intent_file(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, asdict(intent))


def read_intent(model: RegisteredModel) -> Intent | None:
    """Return the intent of an interrupted command, or None if no command was interrupted."""
    path = intent_file(model)
    return Intent(**json.loads(path.read_text())) if path.is_file() else None


def delete_intent(model: RegisteredModel) -> None:
    intent_file(model).unlink(missing_ok=True)


def intent_file(model: RegisteredModel) -> Path:
    """Return the path of the intent file of a model in its tracking store.

    The path depends on the tracking store, because version numbers differ between stores.
    """
    store = content_digest([model.client.tracking_uri])[:8]
    return INTENTS / f"{model.name}-{store}.json"
