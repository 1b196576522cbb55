"""Test promotion and rollback: the gate decides, and Lectern logs each decision."""

import json
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import pytest
import yaml

from lectern.atomic import write_json
from lectern.errors import CheckFailed, UserError
from lectern.registry import audit_log, evaluation_data, gate_rules
from lectern.registry.reconcile import reconcile
from lectern.registry.registered_model import RegisteredModel
from lectern.registry.version_manifest import MANIFEST
from lectern.registry.versions import download_model_folder
from other_code import register_other_code
from registered import (
    BEST,
    BETTER,
    NAME,
    WEAK,
    audit_log_file,
    challenger,
    champion,
    logged_decisions,
    promote,
    register,
    rollback,
    use_former_tags,
)

LOG = Path("registry", f"{NAME}.jsonl")


def read_metrics(experiment: str) -> dict:
    return json.loads(Path(f"metrics/{experiment}.json").read_text())


def set_guards(**guards) -> None:
    """Write guards to the config file of the dataset."""
    path = Path(f"conf/dataset/{NAME}.yaml")
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "guards": guards}))


# The gate


@pytest.mark.slow
def test_the_challenger_is_the_best_version_that_is_not_champion(client):
    register(client, "weak", "best", "better")
    assert challenger(client) == "best" and champion(client) is None
    promote(client)
    assert champion(client) == "best" and challenger(client) == "better"


def test_a_version_scored_on_other_test_data_is_no_challenger(registered_client):
    registered_client.set_model_version_tag(NAME, BEST, "lectern.test_digest", "0" * 64)
    promote(registered_client, WEAK)
    assert challenger(registered_client) == "better"


def test_a_better_version_becomes_champion(registered_client):
    promote(registered_client, BETTER)
    assert champion(registered_client) == "better"
    version, rules = promote(registered_client)
    assert champion(registered_client) == "best" == version.experiment
    assert rules and all(rule.passed for rule in rules)


def test_the_same_model_with_other_code_replaces_the_champion(registered_client, tmp_path):
    promote(registered_client, BEST)
    other = register_other_code(registered_client, NAME, tmp_path, "errors.py", lambda code: f"{code}\nMORE = 1\n")
    manifest = replace(other.manifest, metrics="0" * 64)  # as after a change of the code of the evaluation
    write_json(tmp_path / "files" / MANIFEST, asdict(manifest))
    tag = ("lectern.identity", manifest.identity.digest)
    registered_client.set_model_version_tag(NAME, str(other.number), *tag)
    version, rules = promote(registered_client, str(other.number))
    assert version.number == RegisteredModel(registered_client, NAME).champion_number == other.number
    names = [rule.name for rule in rules]
    assert gate_rules.SAME in names and gate_rules.BETTER not in names and gate_rules.REPRODUCES in names


def test_promoting_the_champion_again_evaluates_no_rule(registered_client):
    promote(registered_client, BEST)
    log = audit_log_file()
    version, rules = promote(registered_client, BEST)
    assert version.experiment == "best" and rules == [] and audit_log_file() == log


def test_a_worse_version_is_refused_with_both_scores(registered_client):
    promote(registered_client, BEST)
    log = audit_log_file()
    scores = [read_metrics(name)["score"] for name in ("weak", "best")]
    with pytest.raises(CheckFailed) as refused:
        promote(registered_client, WEAK)
    assert "sample_digits version 1 does not pass the gate" in str(refused.value)
    assert f"score {scores[0]:.4f}, champion {scores[1]:.4f} (accuracy, share of images)" in str(refused.value)
    assert champion(registered_client) == "best" and audit_log_file() == log


def test_a_forced_promotion_ignores_the_gate_and_logs_the_reason(registered_client):
    promote(registered_client, BEST)
    version, rules = promote(registered_client, WEAK, force="for the test")
    assert version.experiment == "weak" == champion(registered_client) and not all(rule.passed for rule in rules)
    assert logged_decisions(registered_client)[-1]["forced"] == "for the test"


@pytest.mark.slow
def test_a_version_below_its_baseline_cannot_become_champion(client):
    metrics = Path("metrics/weak.json")
    metrics.write_text(json.dumps({**read_metrics("weak"), "baseline": 0.99}))
    (version,) = register(client, "weak")
    assert challenger(client) is None
    with pytest.raises(UserError, match="has no version above its baseline"):
        promote(client)
    with pytest.raises(CheckFailed, match=r"FAIL  above the baseline: score 0\.\d{4}, baseline 0\.9900"):
        promote(client, str(version.number))
    assert champion(client) is None and not LOG.exists()


@pytest.mark.slow
def test_a_version_whose_files_do_not_reproduce_its_score_is_refused(client):
    (version,) = register(client, "best")
    weights = download_model_folder(client, version) / "weights.safetensors"
    weights.write_bytes(Path("models/weak/weights.safetensors").read_bytes())
    with pytest.raises(CheckFailed, match="FAIL  reproduces its score"):
        promote(client, str(version.number))
    assert champion(client) is None


def test_a_guard_of_the_dataset_refuses_a_better_score(registered_client):
    set_guards(calibration_error={"tolerance": -1.0, "better": "lower", "reason": "for the test"})
    promote(registered_client, BETTER)
    message = r"FAIL  calibration_error within its tolerance: 0\.\d{4}, champion 0\.\d{4}; it must be lower by"
    with pytest.raises(CheckFailed, match=message):
        promote(registered_client, BEST)
    set_guards(calibration_error={"tolerance": 1.0, "better": "lower", "reason": "for the test"})
    _, rules = promote(registered_client, BEST)
    assert "calibration_error" in rules[-1].name and champion(registered_client) == "best"


def test_a_dataset_can_replace_the_guard_of_a_cost(registered_client):
    set_guards(size={"factor": 0.5, "absolute_slack": -1.0, "reason": "it must fit a watch"})
    promote(registered_client, BETTER)
    with pytest.raises(
        CheckFailed, match="FAIL  size within its limit: .* bytes, champion .* 0.5 times .* reason: it must fit a wat"
    ):
        promote(registered_client, BEST)


def test_guarded_metrics_that_were_not_recorded_are_measured_again(registered_client):
    promote(registered_client, BETTER)
    recorded = RegisteredModel(registered_client, NAME).get(BETTER).metrics["worst_class_recall"]
    use_former_tags(registered_client, BETTER)
    for key in registered_client.get_model_version(NAME, BETTER).tags:
        if key.startswith("lectern.metric."):
            registered_client.delete_model_version_tag(NAME, BETTER, key)
    _, rules = promote(registered_client, BEST)
    (reason,) = [rule.reason for rule in rules if rule.name.startswith("worst_class_recall")]
    assert f"champion {recorded:.4f}" in reason


@pytest.mark.parametrize(
    ("guards", "message"),
    [
        (
            {"worst_recall": {"tolerance": 0.1, "better": "higher", "reason": "x"}},
            "guards, worst_recall: the evaluation has no metric of this name. Available metrics: .*worst_class_recall",
        ),
        ({"macro_f1": {"tolerence": 0.1, "better": "higher", "reason": "x"}}, "did you mean 'tolerance'"),
        ({"size": {"faktor": 0.1, "absolute_slack": 1.0, "reason": "x"}}, "did you mean 'factor'"),
    ],
    ids=["metric", "key of a metric", "key of a cost"],
)
def test_a_misspelt_guard_is_reported_and_nothing_is_promoted(registered_client, guards, message):
    promote(registered_client, BETTER)
    set_guards(**guards)
    with pytest.raises(UserError, match=message):
        promote(registered_client, BEST)
    assert champion(registered_client) == "better"


def test_a_candidate_scored_on_other_test_data_is_refused(registered_client):
    facts = Path(f"data/processed/{NAME}/facts.json")
    facts.write_text(json.dumps({**json.loads(facts.read_text()), "test_digest": "0" * 64}))
    message = "not checked  reproduces its score: .* was scored on test data .*, but .* has test data 000000000000"
    with pytest.raises(CheckFailed, match=message):
        promote(registered_client, BEST)
    assert champion(registered_client) is None


def test_a_champion_scored_on_other_test_data_is_scored_again(registered_client, monkeypatch):
    promote(registered_client, BETTER)
    for key, other in {"test_digest": "0" * 64, "score": "0.999"}.items():
        registered_client.set_model_version_tag(NAME, BETTER, f"lectern.{key}", other)
    monkeypatch.setattr(evaluation_data, "download", lambda *_: pytest.fail("read items of other test data"))
    _, rules = promote(registered_client, BEST)
    (reason,) = [rule.reason for rule in rules if rule.name.startswith("better than")]
    assert f"champion {read_metrics('better')['score']:.4f}" in reason


# The audit log


def test_every_decision_appends_one_line_to_the_log(registered_client, monkeypatch):
    monkeypatch.setenv("LECTERN_USER", "ada")
    log = b""
    for decide in (
        partial(promote, registered_client, BETTER),
        partial(promote, registered_client, BEST),
        partial(rollback, registered_client),
    ):
        decide()
        assert audit_log_file().startswith(log) and audit_log_file().count(b"\n") == log.count(b"\n") + 1
        log = audit_log_file()
    decisions = logged_decisions(registered_client)
    assert [decision["action"] for decision in decisions] == ["promote", "promote", "rollback"]
    assert [decision["who"]["user"] for decision in decisions] == ["ada"] * 3
    moves = [(entry["from"] and entry["from"]["experiment"], entry["to"]["experiment"]) for entry in decisions]
    assert moves == [(None, "better"), ("better", "best"), ("best", "better")]
    assert all(decision["rules"] for decision in decisions[:2]) and all(decision["when"] for decision in decisions)


def test_a_version_has_its_decision_as_a_tag(registered_client):
    promote(registered_client)
    tags = registered_client.get_model_version(NAME, BEST).tags
    (decision,) = [value for key, value in tags.items() if key.startswith("lectern.decision.")]
    assert json.loads(decision) == logged_decisions(registered_client)[-1] == json.loads(audit_log_file())


def test_a_line_that_was_cut_short_is_ignored(registered_client):
    promote(registered_client, BETTER)
    with open(LOG, "a") as file:
        file.write('{"action": "promo')
    promote(registered_client, BEST)
    assert [decision["to"]["experiment"] for decision in logged_decisions(registered_client)] == ["better", "best"]
    assert audit_log_file().endswith(b"}\n") and len(audit_log.read_lines(NAME)) == 2


@pytest.mark.slow
def test_an_alias_moved_outside_lectern_is_reported_and_kept(registered_client):
    promote(registered_client, BETTER)
    promote(registered_client, BEST)
    registered_client.set_registered_model_alias(NAME, "champion", WEAK)
    assert "does not contain this promotion; the alias was changed outside Lectern" in "\n".join(
        reconcile(registered_client)
    )
    assert champion(registered_client) == "weak"


# Rollback


def test_rollback_returns_to_the_previous_champion(registered_client):
    for version in (BETTER, BEST):
        promote(registered_client, version)
    assert rollback(registered_client).experiment == "better" == champion(registered_client)
    assert challenger(registered_client) == "best"
    with pytest.raises(UserError, match="no earlier champion"):
        rollback(registered_client)
    assert champion(registered_client) == "better"


def test_rollback_accepts_the_number_of_an_earlier_champion(registered_client):
    for version in (WEAK, BETTER, BEST):
        promote(registered_client, version)
    rollback(registered_client, WEAK)
    assert champion(registered_client) == "weak"
    with pytest.raises(UserError, match="no earlier champion"):
        rollback(registered_client)
    rollback(registered_client, BEST)
    rollback(registered_client)
    assert champion(registered_client) == "weak"


def test_rollback_to_a_version_that_was_never_champion_is_refused(registered_client):
    promote(registered_client, BEST)
    with pytest.raises(UserError, match="version 2 has never been champion.*lectern promote sample_digits --version 2"):
        rollback(registered_client, BETTER)
    with pytest.raises(UserError, match="version 3 is already the champion"):
        rollback(registered_client, BEST)
    assert champion(registered_client) == "best"
