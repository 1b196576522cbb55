"""Write and read the audit log of a registered model.

The audit log contains every promotion, rollback and retirement. Each decision is stored as one line of the file
`registry/<name>.jsonl` and as one tag of a version in the tracking store. The file keeps the decisions if the tracking
store is lost. The tags also contain the decisions of other checkouts. `read_decisions` combines the file and the tags.
"""

import json
import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from lectern.artifacts.paths import AUDIT_LOGS
from lectern.errors import UserError
from lectern.registry.decision_lines import Decision, parse_decisions, select_valid_lines
from lectern.registry.registered_model import RegisteredModel
from lectern.registry.version_identity import VersionIdentity
from lectern.registry.version_record import DECISION_PREFIX, ModelVersionRecord
from lectern.tracking.account import actor


def read_decisions(model: RegisteredModel) -> list[Decision]:
    """Return all decisions on a model from the file of this checkout and from the tracking store, the oldest first."""
    return parse_decisions(read_lines(model.name) | model.decisions)


def read_local_decisions(name: str) -> list[Decision]:
    """Return the decisions on a model from the file of this checkout, even if the model is not registered."""
    return parse_decisions(read_lines(name))


def new_decision(
    model: RegisteredModel, action: str, old: ModelVersionRecord | None, new: ModelVersionRecord | None, **details: Any
) -> Decision:
    """Return a new decision with the current time and the user who made the decision."""
    return {
        "when": next_timestamp(read_decisions(model)),
        "who": actor(model.client.tracking_uri),
        "action": action,
        "from": describe_former_champion(old) if old else None,
        "to": describe_version(new) if new else None,
        **details,
    }


def append_decision(model: RegisteredModel, number: int, decision: Decision) -> None:
    """Add a decision to the file and to the tags of a version in the tracking store.

    A second call with the same decision changes nothing.
    """
    tag_version(model, number, decision)
    if format_line(decision) not in read_lines(model.name):
        write_decisions([decision], model.name)


def sync(model: RegisteredModel) -> list[str]:
    """Add missing decisions to the file and to the tracking store, so that file and store contain all decisions.

    Return messages about the added decisions.
    """
    lines = read_lines(model.name)
    if model.decisions - lines:
        write_decisions(parse_decisions(model.decisions - lines), model.name)
    restored, lost = 0, set()
    for decision in parse_decisions(lines - model.decisions):
        subject = decision["to"] or decision["from"]
        version = model.find(identity(subject))
        if version is None:
            lost.add(label(subject))
        else:
            tag_version(model, version.number, decision)
            restored += 1
    messages = [f"{model.name}: wrote {restored} decisions back to the tracking store"] if restored else []
    return messages + [
        f"{model.name}: cannot restore {each}: the audit log names this version, "
        "but no matching outputs exist in this checkout"
        for each in sorted(lost)
    ]


def apply_pending(model: RegisteredModel) -> list[str]:
    """Move the alias `champion` to the version of the last decision if the alias still points to the previous version.

    The alias can be out of date in a new tracking store, and after a promotion that was killed. Return messages about
    the changed alias.
    """
    decisions, champion = read_decisions(model), model.readable_champion
    if not decisions:
        return []
    last = decisions[-1]
    if last["to"] is None:
        return apply_retirement(model, champion, last)
    decided = identity(last["to"])
    if (champion and champion.identity == decided) or model.find_unreadable(decided):
        return []
    version = model.find(decided)
    if version is None:
        return [f"{model.name}: cannot restore the champion {label(last['to'])}: no matching outputs exist here"]
    if champion and (last["from"] is None or champion.identity != identity(last["from"])):
        return [
            f"{model.name}: alias 'champion' points to version {champion.number}, "
            "but the audit log does not contain this promotion; the alias was changed outside Lectern"
        ]
    model.point_champion(version)
    return [f"{model.name}: champion is version {version.number}"]


def apply_retirement(model: RegisteredModel, champion: ModelVersionRecord | None, last: Decision) -> list[str]:
    """Remove the alias `champion` if the alias still points to the retired version."""
    if champion is None or champion.identity != identity(last["from"]):
        return []
    model.move_aliases(model.aliases_with(None))
    return [f"{model.name}: the model was retired and has no champion"]


def champion_history(decisions: Iterable[Decision]) -> list[Decision]:
    """Return the present champion and the earlier champions to which a rollback can return.

    The last item is the present champion. A rollback returns to the item before the last item.
    """
    champions: list[Decision] = []
    for decision in decisions:
        new = decision["to"]
        if new is None:
            continue
        earlier = [index for index, old in enumerate(champions[:-1]) if identity(old) == identity(new)]
        if decision["action"] == "rollback" and earlier:
            champions = champions[: earlier[-1]]
        champions.append(new)
    return champions


def describe_version(version: ModelVersionRecord) -> Decision:
    """Describe a version by digests of its content, because its number can differ between stores."""
    return {
        "version": version.number,
        **version.manifest.identity._asdict(),
        "score": version.score,
        "test_digest": version.test_digest,
    }


def describe_former_champion(version: ModelVersionRecord) -> Decision:
    """Describe the champion that is replaced or retired, even if its manifest is missing."""
    try:
        return describe_version(version)
    except UserError:
        identity = {"experiment": version.experiment, "weights": version.weights, "identity": version.identity}
        return {"version": version.number, **identity, "score": version.score, "test_digest": version.test_digest}


def identity(described: Decision) -> str:
    """Return the identity of a version in the audit log."""
    digest = VersionIdentity(*(described.get(name, "") for name in VersionIdentity._fields)).digest
    return str(described.get("identity", digest))


def label(described: Decision) -> str:
    return f"{described['experiment']} {described['weights'][:12]}"


def read_lines(name: str) -> set[str]:
    """Return the valid lines of the audit log's file. If the disk was full, the last line can be incomplete."""
    path = AUDIT_LOGS / f"{name}.jsonl"
    return select_valid_lines(path.read_text("utf-8", "backslashreplace"), str(path)) if path.is_file() else set()


def write_decisions(decisions: Iterable[Decision], name: str) -> None:
    """Append decisions to the audit log's file, and wait until the file is stored on the disk (fsync)."""
    AUDIT_LOGS.mkdir(exist_ok=True)
    path = AUDIT_LOGS / f"{name}.jsonl"
    is_cut_short = path.is_file() and not path.read_bytes().endswith(b"\n")
    with open(path, "a") as file:
        file.write("\n" * is_cut_short + "".join(format_line(decision) + "\n" for decision in decisions))
        file.flush()
        os.fsync(file.fileno())


def tag_version(model: RegisteredModel, number: int, decision: Decision) -> None:
    """Add a decision to the tags of a version. The name of the tag contains the time of the decision."""
    timestamp = "".join(character for character in decision["when"] if character.isalnum())
    model.client.set_model_version_tag(model.name, str(number), DECISION_PREFIX + timestamp, format_line(decision))


def format_line(decision: Decision) -> str:
    return json.dumps(decision, sort_keys=True)


def next_timestamp(decisions: list[Decision]) -> str:
    """Return the current time, or a time just after the last decision if the clock was moved back."""
    now = datetime.now(UTC)
    if decisions:
        now = max(now, datetime.fromisoformat(decisions[-1]["when"]) + timedelta(microseconds=1))
    return now.isoformat(timespec="microseconds")
