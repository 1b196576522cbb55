"""Promote a version that passes the promotion gate, roll back to an earlier champion, or retire the champion."""

from dataclasses import asdict
from typing import TypeGuard

from lectern.artifacts.model_metadata import read_metadata
from lectern.errors import CheckFailed, UserError
from lectern.registry import audit_log
from lectern.registry.decision import change_champion, finish_interrupted
from lectern.registry.gate import evaluate_gate
from lectern.registry.gate_rules import Rule, format_rules
from lectern.registry.journal import Intent, Request
from lectern.registry.lock import promotion_lock
from lectern.registry.registered_model import CHALLENGER, CHAMPION, RegisteredModel
from lectern.registry.version_record import ModelVersionRecord
from lectern.registry.versions import download_model_folder


def promote(
    model: RegisteredModel, which: str | None = None, force: str | None = None
) -> tuple[ModelVersionRecord, list[Rule]]:
    """Make a version the champion if the version passes the promotion gate. Return the champion and the rules' results.

    `which` is the number or the alias of the version. The default is the challenger. If `force` is given, the version
    is promoted even if a rule fails, and the audit log contains `force` as the reason. If the version is already the
    champion, no rule is evaluated. Raises CheckFailed if a rule fails. Raises ConcurrentPromotion if another process
    changed the champion. Raises UserError if there is no version to promote.
    """
    request: Request = {"action": "promote", "version": which, "force": force}
    with promotion_lock(model):
        if is_completed(catch_up(model), request) and model.champion:
            return model.champion, []
        candidate = model.get(which or default_candidate(model))
        if candidate.number == model.champion_number:
            return candidate, []
        rules = evaluate_gate(model, candidate)
        if not force and not all(rule.passed for rule in rules):
            raise CheckFailed(
                "\n".join([
                    f"{candidate} does not pass the gate:",
                    *format_rules(rules),
                    'The champion has not changed. To promote the version anyway, add the option --force "reason".',
                ]),
                rules,
            )  # fmt: skip
        details = {"forced": force} if force else {}
        change_champion(model, candidate, request, rules=[asdict(rule) for rule in rules], **details)
        return candidate, rules


def default_candidate(model: RegisteredModel) -> str:
    """Return the alias `challenger` if it exists, and otherwise the alias `champion`."""
    for alias in (CHALLENGER, CHAMPION):
        if alias in model.aliases:
            return alias
    if model.unreadable and not model.versions:
        raise UserError(model.unreadable[0].reason)
    raise UserError(
        f"{model.name} has no version above its baseline, so no version can be promoted. Train a better model."
    )


def rollback(model: RegisteredModel, which: str | None = None) -> ModelVersionRecord:
    """Make the previous champion, or the earlier champion `which`, the champion again. Return the new champion.

    A second rollback goes back to the champion before the previous champion. Raises UserError if the version has never
    been champion, or if the tracking store lacks the version or its files.
    """
    request: Request = {"action": "rollback", "version": which}
    with promotion_lock(model):
        completed = catch_up(model)
        if model.champion is None:
            raise UserError(f"{model.name} has no champion, so there is nothing to roll back.")
        if is_completed(completed, request):
            return model.champion
        version = find_former_champion(model, which) if which else find_previous_champion(model)
        if version.number == model.champion_number:
            raise UserError(f"{version} is already the champion.")
        # raises UserError if the files of the version are missing or damaged
        read_metadata(download_model_folder(model.client, version))
        change_champion(model, version, request)
        return version


def retire(model: RegisteredModel) -> ModelVersionRecord:
    """Stop serving a model by removing the alias `champion`. Return the version that was champion.

    Raises UserError if there is no champion.
    """
    request: Request = {"action": "retire"}
    with promotion_lock(model):
        completed = catch_up(model)
        if is_completed(completed, request):
            return model.get(str(completed.tagged))
        champion = model.champion
        if champion is None:
            raise UserError(f"{model.name} has no champion, so there is nothing to retire.")
        change_champion(model, None, request)
        return champion


def find_previous_champion(model: RegisteredModel) -> ModelVersionRecord:
    """Return the version that was champion before the present champion."""
    earlier = audit_log.champion_history(audit_log.read_decisions(model))[:-1]
    if not earlier:
        raise UserError(f"{model.name} has no earlier champion; see `lectern registry history {model.name}`.")
    decided = audit_log.identity(earlier[-1])
    version, unreadable = model.find(decided), model.find_unreadable(decided)
    if unreadable:
        raise UserError(unreadable.reason)
    if version is None:
        raise UserError(
            f"{model.name}: the previous champion, {audit_log.label(earlier[-1])}, is not in the tracking store. "
            "To restore this version, check out the commit of its training and run `dvc checkout` and "
            "`lectern reconcile`. "
            f"To choose another version, run `lectern rollback {model.name} --version N`."
        )
    return version


def find_former_champion(model: RegisteredModel, which: str) -> ModelVersionRecord:
    """Return the version `which`. Raises UserError if the version has never been champion.

    A version that has never been champion must first pass the promotion gate.
    """
    version = model.get(which)
    champions = {audit_log.identity(decision["to"]) for decision in audit_log.read_decisions(model) if decision["to"]}
    if version.identity not in champions:
        raise UserError(
            f"{version} has never been champion, so a rollback to this version is not possible. "
            f"Run `lectern promote {model.name} --version {version.number}` instead."
        )
    return version


def is_completed(completed: Intent | None, request: Request) -> TypeGuard[Intent]:
    """Return whether `completed` is a decision that an earlier, interrupted call of the same command has started."""
    return completed is not None and completed.request == request


def catch_up(model: RegisteredModel) -> Intent | None:
    """Complete an interrupted decision, apply the decisions of other checkouts, and return the completed decision."""
    model.refresh()
    completed = finish_interrupted(model)
    audit_log.sync(model)
    audit_log.apply_pending(model)
    return completed
