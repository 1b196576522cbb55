"""Promote a version that passes the gate, or roll back to an earlier champion."""

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
    """Make a version the champion if it passes the gate. Return the champion and the results of the rules.

    `which` is the number or the alias of a version, and the default is the challenger. If `force` is given, the version
    is promoted even if a rule fails, and `force` is the reason in the audit log. If the version is already the
    champion, no rule is evaluated. Raises CheckFailed if a rule fails, ConcurrentPromotion if another process changed
    the champion, and UserError if there is no version to promote.
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
                    'The champion stays. To promote the version anyway, add the option --force "reason".',
                ]),
                rules,
            )  # fmt: skip
        details = {"forced": force} if force else {}
        change_champion(model, candidate, request, rules=[asdict(rule) for rule in rules], **details)
        return candidate, rules


def default_candidate(model: RegisteredModel) -> str:
    """Return the challenger, or the champion if there is no challenger."""
    for alias in (CHALLENGER, CHAMPION):
        if alias in model.aliases:
            return alias
    if model.unreadable and not model.versions:
        raise UserError(model.unreadable[0].reason)
    raise UserError(
        f"{model.name} has no version above its baseline, so no version can be promoted. Train another model."
    )


def rollback(model: RegisteredModel, which: str | None = None) -> ModelVersionRecord:
    """Make the previous champion, or the earlier champion `which`, the champion again. Return this version.

    A second rollback goes one champion further back. Raises UserError if the version has never been champion, or if the
    store lacks the version or its files.
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
            raise UserError(f"{version} is the champion already.")
        # The files of the version must be present and readable.
        read_metadata(download_model_folder(model.client, version))
        change_champion(model, version, request)
        return version


def retire(model: RegisteredModel) -> ModelVersionRecord:
    """Remove the alias `champion`, so that the model is not served any more. Return the retired version.

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
    """Return the champion before the present one."""
    earlier = audit_log.champion_history(audit_log.read_decisions(model))[:-1]
    if not earlier:
        raise UserError(f"{model.name} has no earlier champion; see `lectern registry history {model.name}`.")
    decided = audit_log.identity(earlier[-1])
    version, unreadable = model.find(decided), model.find_unreadable(decided)
    if unreadable:
        raise UserError(unreadable.reason)
    if version is None:
        raise UserError(
            f"{model.name}: the previous champion, {audit_log.label(earlier[-1])}, is not in this store. To restore "
            "this version, check out the commit of its training and run `dvc checkout` and `lectern reconcile`. "
            f"To choose another version, run `lectern rollback {model.name} --version N`."
        )
    return version


def find_former_champion(model: RegisteredModel, which: str) -> ModelVersionRecord:
    """Return a version that has been champion. Every other version must pass the gate before it can be promoted."""
    version = model.get(which)
    champions = {audit_log.identity(decision["to"]) for decision in audit_log.read_decisions(model) if decision["to"]}
    if version.identity not in champions:
        raise UserError(
            f"{version} has never been champion, so a rollback to it is not possible. "
            f"Run `lectern promote {model.name} --version {version.number}` instead."
        )
    return version


def is_completed(completed: Intent | None, request: Request) -> TypeGuard[Intent]:
    """Return whether the completed decision was started by an earlier call of the same command."""
    return completed is not None and completed.request == request


def catch_up(model: RegisteredModel) -> Intent | None:
    """Complete an interrupted decision, and read the decisions that were made in other checkouts."""
    model.refresh()
    completed = finish_interrupted(model)
    audit_log.sync(model)
    audit_log.apply_pending(model)
    return completed
