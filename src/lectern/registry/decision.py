"""Carry out a promotion, rollback or retirement by moving the aliases and writing the audit log.

The aliases are moved first, so that a change that the tracking store refuses does not appear in the audit log. The
journal records each decision that has been started. If a command is interrupted, the next command completes the
recorded decision.
"""

from typing import Any

from mlflow.exceptions import MlflowException

from lectern.errors import ConcurrentPromotion, UserError, print_message
from lectern.registry import audit_log
from lectern.registry.journal import Intent, Request, delete_intent, read_intent, write_intent
from lectern.registry.registered_model import CHALLENGER, CHAMPION, Aliases, RegisteredModel, read_aliases
from lectern.registry.version_record import ModelVersionRecord
from lectern.tracking.store import first_line


class DecisionRefused(UserError):
    """Raised if the tracking store refuses a decision before any alias has moved.

    A refused decision changes nothing.
    """


def change_champion(model: RegisteredModel, new: ModelVersionRecord | None, request: Request, **details: Any) -> None:
    """Make `new` the champion, or remove the alias `champion` if `new` is None, and record the decision.

    A tracking server has no lock against other machines, so the alias `champion` is read before and after the change.
    Raises ConcurrentPromotion if another process changed the alias `champion` at the same time. Raises DecisionRefused
    if the tracking store refuses the change. Raises UserError if the tracking store fails after the change has started.
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
    """Complete the decision of an interrupted command, and return the decision.

    The decision is discarded if the tracking store refuses the decision, or if another command has changed the
    champion. Raises UserError if the tracking store fails. If the tracking store has failed, a later command can still
    complete the decision.
    """
    intent = read_intent(model)
    if intent is None:
        return None
    action = intent.decision["action"]
    if read_aliases(model.client, model.name).get(CHAMPION) not in (intent.before[CHAMPION], intent.after[CHAMPION]):
        delete_intent(model)
        report(f"{model.name}: discarded an interrupted {action}, because the champion has changed since then")
        return None
    try:
        complete(model, intent)
    except DecisionRefused as error:
        report(f"{model.name}: discarded an interrupted {action}: {error}")
        return None
    report(f"{model.name}: completed an interrupted {action}: {describe(intent.after)}")
    return intent


def complete(model: RegisteredModel, intent: Intent) -> None:
    """Move the aliases, and write the decision to the tracking store and to the audit log.

    All steps can be repeated after an interruption.
    """
    try:
        model.move_aliases(intent.after)
    except MlflowException as error:
        discard_if_refused(model, intent, error)
        raise UserError(
            f"{model.name}: the tracking store failed during a decision: {first_line(error)}. "
            "Run the same command again to complete the decision."
        ) from error
    audit_log.append_decision(model, intent.tagged, intent.decision)
    delete_intent(model)


def discard_if_refused(model: RegisteredModel, intent: Intent, error: MlflowException) -> None:
    """If no alias has moved, delete the intent file and raise DecisionRefused."""
    try:
        unchanged = read_aliases(model.client, model.name).get(CHAMPION) == intent.before[CHAMPION]
    except MlflowException:
        return
    if unchanged:
        delete_intent(model)
        raise DecisionRefused(
            f"{model.name}: the tracking store refused the change: {first_line(error)}. Nothing has changed."
        ) from error


def check_champion(model: RegisteredModel, expected: int | None, moment: str) -> None:
    """Read the alias `champion` again, and raise ConcurrentPromotion if it does not point to the expected version."""
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
    print_message(message)
