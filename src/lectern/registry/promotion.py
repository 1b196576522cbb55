"""A candidate and the champion to a decision, and the decision to the alias `champion`."""

from dataclasses import asdict

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from lectern.artifacts.model_metadata import read_metadata
from lectern.errors import CheckFailed, ConcurrentPromotion, UserError
from lectern.registry import audit_log, versions
from lectern.registry.gate import evaluate_gate, format_rules
from lectern.registry.gate_rules import Rule
from lectern.registry.lock import promotion_lock
from lectern.registry.scoring_process import RunFunction, run_inline
from lectern.registry.versions import CHALLENGER, CHAMPION


def promote(
    client: MlflowClient,
    name: str,
    which: str | None,
    force: str | None = None,
    ask: RunFunction = run_inline,
) -> tuple[ModelVersion, list[Rule]]:
    """Move `champion` to a version that passes the gate; without a number the challenger is asked for.

    `force` is why it is promoted whatever the gate says, and stands in the trail. Where the champion stays, as no
    other version is named or able, no rule was asked. Raises Refused where the gate says no, with its figures,
    Overtaken where another got in between, and UserError where there is nobody to promote.
    """
    versions.aliases(client, name)
    with promotion_lock(client, name):
        catch_up(client, name)
        old = versions.find_champion(client, name)
        candidate = versions.get_version(client, name, which or candidate_of(client, name))
        if old is not None and candidate.version == old.version:
            return old, []
        rules = evaluate_gate(client, candidate, old, ask=ask)
        if not force and not all(rule.passed for rule in rules):
            told = "\n".join(format_rules(rules))
            raise CheckFailed(
                f"{name} version {candidate.version} does not pass the gate:\n{told}\n"
                'The champion stays. To promote it all the same: --force "why"',
                rules,
            )
        why = {"forced": force} if force else {}
        move(client, name, "promote", old, candidate, rules=[asdict(rule) for rule in rules], **why)
        return candidate, rules


def candidate_of(client: MlflowClient, name: str) -> str:
    """The challenger, or the champion itself where nobody challenges it."""
    known = versions.aliases(client, name)
    for alias in (CHALLENGER, CHAMPION):
        if alias in known:
            return known[alias]
    raise UserError(f"{name} has no version above its baseline, so there is nobody to promote. Train another.")


def rollback(client: MlflowClient, name: str, which: str | None = None) -> ModelVersion:
    """Back to the champion before this one, or to a version that has been champion, through the same trail.

    Again without a version, and it goes one further back. Raises UserError where the trail knows no such champion, or
    this store does not have it or its files.
    """
    versions.aliases(client, name)
    with promotion_lock(client, name):
        catch_up(client, name)
        old = versions.get_version(client, name, CHAMPION)
        new = named_champion(client, name, which) if which else last_champion(client, name)
        if new.version == old.version:
            raise UserError(f"{name}: version {new.version} is the champion already.")
        read_metadata(versions.model_folder(client, new))
        move(client, name, "rollback", old, new)
        return new


def last_champion(client: MlflowClient, name: str) -> ModelVersion:
    """The one before the present one."""
    earlier = audit_log.champion_history(audit_log.read_decisions(client, name))[:-1]
    if not earlier:
        raise UserError(f"{name} has had no earlier champion to go back to; see lectern registry history {name}.")
    found = audit_log.find_decided_version(client, name, earlier[-1])
    if found is None:
        lost = f"{earlier[-1]['experiment']} {earlier[-1]['weights'][:12]}"
        raise UserError(
            f"{name}: the champion before, {lost}, is not in this store. Where its outs are at hand (dvc checkout of "
            f"its commit), lectern reconcile brings it back; or name another: lectern rollback {name} --version N"
        )
    return found


def named_champion(client: MlflowClient, name: str, which: str) -> ModelVersion:
    """A version that has been champion before: any other has to go through the gate."""
    version = versions.get_version(client, name, which)
    been = {audit_log.identity(decision["to"]) for decision in audit_log.read_decisions(client, name)}
    if audit_log.identity(audit_log.describe(version)) not in been:
        raise UserError(
            f"{name} version {version.version} has never been champion, so there is no going back to it. "
            f"Through the gate: lectern promote {name} --version {version.version}"
        )
    return version


def catch_up(client: MlflowClient, name: str) -> None:
    """Learn what was decided elsewhere, and finish what a killed promotion began."""
    audit_log.sync(client, name)
    audit_log.apply_pending(client, name)


def move(client: MlflowClient, name: str, action: str, old: ModelVersion | None, new: ModelVersion, **why) -> None:
    """The trail first, then the alias: a crash between leaves a decision that `trail.settle` carries out.

    The alias is read before and after. Under a lock it cannot have moved; a server known by HTTP alone has none.
    """
    check_champion(client, name, old, f"while version {new.version} was looked at. Nothing was changed; ask again.")
    audit_log.append_decision(client, name, action, old, new, **why)
    versions.point_champion(client, name, new)
    check_champion(client, name, new, f"just after version {new.version} had.")


def check_champion(client: MlflowClient, name: str, expected: ModelVersion | None, when: str) -> None:
    """Raises Overtaken where the champion is another than the one that this decision rests on."""
    found = versions.find_champion(client, name)
    if (found and found.version) != (expected and expected.version):
        other = f"version {found.version} ({found.tags['lectern.experiment']})" if found else "nobody"
        raise ConcurrentPromotion(f"{name}: {other} became the champion {when} See lectern registry history {name}.")
