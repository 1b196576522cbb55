"""Carry out a promotion, rollback or retirement: move the aliases, and then write the audit log.

The order matters. If the store refuses the change, the log gets no line. If a command is interrupted, the next command
completes the decision from the journal.
"""

import sys
from typing import Any

from mlflow.exceptions import MlflowException

from lectern.errors import ConcurrentPromotion, UserError
from lectern.registry import audit_log
from lectern.registry.journal import Intent, Request, delete_intent, read_intent, write_intent
from lectern.registry.registered_model import CHALLENGER, CHAMPION, Aliases, RegisteredModel, read_aliases
from lectern.registry.version_record import ModelVersionRecord
from lectern.tracking.store import first_line


class DecisionRefused(UserError):
    """Raised if the store refuses a decision before any alias has moved, so nothing has changed."""


def change_champion(model: RegisteredModel, new: ModelVersionRecord | None, request: Request, **details: Any) -> None:
    """Make `new` the champion, or remove the champion if `new` is None. Write the decision to the audit log.

    The alias is read before and after the change, because a tracking server has no lock against other machines. Raises
    ConcurrentPromotion if another process changed the alias. Raises DecisionRefused if the store refuses the change,
    and UserError if the store fails later.
    """
    before = current_aliases(model)
    decision = audit_log.new_decision(model, str(request["action"]), model.readable_champion, new, **details)
    subject = new or model.champion
    assert subject is not None  # a retirement needs a champion
    check_champion(
        model, before[CHAMPION], f"while version {subject.number} was checked. Nothing was changed; try again."
    )
    intent = Intent(decision, before, model.aliases_with(new), subject.number, request)
    write_intent(model, intent)
    complete(model, intent)
    check_champion(model, intent.after[CHAMPION], f"just after version {subject.number}.")


def finish_interrupted(model: RegisteredModel) -> Intent | None:
    """Complete the decision of an interrupted command, and return this decision.

    The decision is discarded if the store refuses it for this account, or if another command has changed the champion.
    Raises UserError if the store fails. In this case, a later command can still complete the decision.
    """
    intent = read_intent(model)
    if intent is None:
        return None
    action = intent.decision["action"]
    if read_aliases(model.client, model.name).get(CHAMPION) not in (intent.before[CHAMPION], intent.after[CHAMPION]):
        delete_intent(model)
        report(f"{model.name}: discarded an interrupted {action}, because the champion has changed since")
        return None
    try:
        complete(model, intent)
    except DecisionRefused as error:
        report(f"{model.name}: discarded an interrupted {action}: {error}")
        return None
    report(f"{model.name}: completed an interrupted {action}: {describe(intent.after)}")
    return intent


def complete(model: RegisteredModel, intent: Intent) -> None:
    """Move the aliases, and write the decision to the store and to the audit log. Every step can be repeated."""
    try:
        model.move_aliases(intent.after)
    except MlflowException as error:
        discard_if_refused(model, intent, error)
        raise UserError(
            f"{model.name}: the store failed during a decision: {first_line(error)}. Run the same command again to "
            "complete it."
        ) from error
    audit_log.append_decision(model, intent.tagged, intent.decision)
    delete_intent(model)


def discard_if_refused(model: RegisteredModel, intent: Intent, error: MlflowException) -> None:
    """Delete the intent and raise DecisionRefused if no alias has moved."""
    try:
        unchanged = read_aliases(model.client, model.name).get(CHAMPION) == intent.before[CHAMPION]
    except MlflowException:
        return
    if unchanged:
        delete_intent(model)
        raise DecisionRefused(
            f"{model.name}: the store refused the change: {first_line(error)}. Nothing has happened."
        ) from error


def check_champion(model: RegisteredModel, expected: int | None, moment: str) -> None:
    """Read the alias `champion` again.

    Raises ConcurrentPromotion if the alias does not point to the expected version.
    """
    model.refresh()
    if model.champion_number == expected:
        return
    champion = model.readable_champion
    experiment = f" ({champion.experiment})" if champion else ""
    found = "no version" if model.champion_number is None else f"version {model.champion_number}{experiment}"
    raise ConcurrentPromotion(
        f"{model.name}: {found} became the champion {moment} See `lectern registry history {model.name}`."
    )


def current_aliases(model: RegisteredModel) -> Aliases:
    return {alias: model.aliases.get(alias) for alias in (CHAMPION, CHALLENGER)}


def describe(aliases: Aliases) -> str:
    number = aliases[CHAMPION]
    return "no version is champion" if number is None else f"version {number} is the champion"


def report(message: str) -> None:
    print(f"lectern: {message}", file=sys.stderr)
