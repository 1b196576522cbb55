"""Promotion: the better one is served, whoever comes at the same moment, and what was decided stays written."""

import json
from functools import partial
from pathlib import Path

import pytest
import yaml

from children import KILLED, at_call, die, in_child
from lectern.errors import ConcurrentPromotion, UserError
from lectern.registry import audit_log, gate, promotion, reconcile, versions
from lectern.registry.lock import promotion_lock
from registered import BEST, BETTER, NAME, WEAK, challenger, champion, decisions, register


def test_the_challenger_is_the_best_beside_the_champion_whatever_came_last(client):
    register(client, "weak", "best", "better")
    assert challenger(client) == "best" and champion(client) is None
    promotion.promote(client, NAME, None)
    assert champion(client) == "best" and challenger(client) == "better"


def test_a_version_that_was_scored_on_other_test_data_challenges_nobody(stocked):
    stocked.set_model_version_tag(NAME, BEST, "lectern.test_digest", "0" * 64)
    promotion.promote(stocked, NAME, WEAK)
    assert challenger(stocked) == "better"


def test_a_better_version_becomes_the_champion(stocked):
    promotion.promote(stocked, NAME, BETTER)
    assert champion(stocked) == "better"
    new, rules = promotion.promote(stocked, NAME, None)
    assert champion(stocked) == "best" == new.tags["lectern.experiment"]
    assert rules and all(rule.passed for rule in rules)


def test_a_worse_version_is_refused_with_figures_and_the_champion_stays(stocked):
    promotion.promote(stocked, NAME, BEST)
    before = decisions()
    scores = [json.loads(Path(f"metrics/{name}.json").read_text())["score"] for name in ("weak", "best")]
    with pytest.raises(UserError) as refused:
        promotion.promote(stocked, NAME, WEAK)
    assert "does not pass the gate" in str(refused.value)
    assert f"{scores[0]:.4f}" in str(refused.value) and f"{scores[1]:.4f}" in str(refused.value)
    assert champion(stocked) == "best" and decisions() == before


def test_a_version_below_its_floor_is_nobodys_champion(client):
    metrics = Path("metrics/weak.json")
    metrics.write_text(json.dumps({**json.loads(metrics.read_text()), "baseline": 0.99}))
    (version,) = register(client, "weak")
    assert challenger(client) is None
    with pytest.raises(UserError, match=r"NO +above the baseline: score 0\.\d+, baseline 0\.9900"):
        promotion.promote(client, NAME, str(version.version))
    assert champion(client) is None and not Path("registry", f"{NAME}.jsonl").exists()


def test_a_version_whose_files_do_not_give_its_score_is_refused(client):
    (version,) = register(client, "best")
    other = versions.model_folder(client, version) / "weights.safetensors"
    other.write_bytes(Path("models/weak/weights.safetensors").read_bytes())
    with pytest.raises(UserError, match=r"NO +reproduces its score"):
        promotion.promote(client, NAME, str(version.version))
    assert champion(client) is None


def guard(**guards) -> None:
    """Write guards into the data set's config of this checkout."""
    path = Path(f"conf/dataset/{NAME}.yaml")
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "guards": guards}))


def test_a_guard_of_the_data_set_refuses_a_better_score(stocked):
    guard(calibration_error={"tolerance": -1.0, "better": "lower", "reason": "for the test"})
    promotion.promote(stocked, NAME, BETTER)
    said = r"NO +calibration_error no worse by more than -1: 0\.\d+, champion 0\.\d+; for the"
    with pytest.raises(UserError, match=said):
        promotion.promote(stocked, NAME, BEST)
    guard(calibration_error={"tolerance": 1.0, "better": "lower", "reason": "for the test"})
    _, rules = promotion.promote(stocked, NAME, BEST)
    assert "calibration_error" in rules[-1].name and champion(stocked) == "best"


def test_a_data_set_may_ask_more_of_a_cost_than_every_other(stocked):
    guard(size={"factor": 0.5, "unfelt": -1.0, "reason": "it must fit a watch"})
    promotion.promote(stocked, NAME, BETTER)
    with pytest.raises(UserError, match="NO +size within 0.5 times: .*; it must fit a watch"):
        promotion.promote(stocked, NAME, BEST)


def test_guarded_metrics_that_were_not_recorded_are_measured_again(stocked):
    promotion.promote(stocked, NAME, BETTER)
    version = stocked.get_model_version(NAME, BETTER)
    recorded = float(version.tags["lectern.metric.worst_class_recall"])
    for key in [key for key in version.tags if key.startswith("lectern.metric.")]:
        stocked.delete_model_version_tag(NAME, BETTER, key)
    _, rules = promotion.promote(stocked, NAME, BEST)
    (told,) = [rule.reason for rule in rules if rule.name.startswith("worst_class_recall")]
    assert f"champion {recorded:.4f}" in told


@pytest.mark.parametrize(
    ("guards", "said"),
    [
        ({"worst_recall": {"tolerance": 0.1, "better": "higher", "reason": "x"}}, "which the evaluation does not give"),
        ({"macro_f1": {"tolerence": 0.1, "better": "higher", "reason": "x"}}, "did you mean 'tolerance'"),
    ],
    ids=["metric", "key"],
)
def test_a_guard_that_is_misspelt_is_said_and_promotes_nobody(stocked, guards, said):
    promotion.promote(stocked, NAME, BETTER)
    guard(**guards)
    with pytest.raises(UserError, match=said):
        promotion.promote(stocked, NAME, BEST)
    assert champion(stocked) == "better"


def test_a_version_of_other_test_data_is_told_apart_from_a_wrong_score(stocked):
    facts = Path(f"data/processed/{NAME}/facts.json")
    facts.write_text(json.dumps({**json.loads(facts.read_text()), "test_digest": "0" * 64}))
    with pytest.raises(UserError, match="was scored on test data .*, and .* holds 000000000000"):
        promotion.promote(stocked, NAME, BEST)


def test_a_champion_that_was_scored_on_other_test_data_is_scored_again_on_the_candidates(stocked, monkeypatch):
    promotion.promote(stocked, NAME, BETTER)
    for key, other in {"test_digest": "0" * 64, "score": "0.999"}.items():
        stocked.set_model_version_tag(NAME, BETTER, f"lectern.{key}", other)
    monkeypatch.setattr(gate, "download_artifacts", lambda **_: pytest.fail("items of the other data were asked for"))
    _, rules = promotion.promote(stocked, NAME, BEST)
    (told,) = [rule.reason for rule in rules if rule.name.startswith("better than")]
    assert f"champion {json.loads(Path('metrics/better.json').read_text())['score']:.4f}" in told


def test_whoever_is_overtaken_between_is_told_and_changes_nothing(stocked, monkeypatch):
    """As through a server known by HTTP alone, where no lock keeps another machine away."""

    def overtaken(*_, **__):
        stocked.set_registered_model_alias(NAME, "champion", WEAK)
        return []

    monkeypatch.setattr(promotion, "judge", overtaken)
    with pytest.raises(
        ConcurrentPromotion, match=r"version 1 \(weak\) became the champion while version 3 was looked at"
    ):
        promotion.promote(stocked, NAME, BEST)
    assert champion(stocked) == "weak" and not Path("registry", f"{NAME}.jsonl").exists()


def test_whoever_is_overtaken_at_once_is_told(stocked, monkeypatch):
    moved = versions.point_champion

    def overtaken(client, name, version):
        moved(client, name, version)
        moved(client, name, client.get_model_version(NAME, WEAK))

    monkeypatch.setattr(versions, "point_champion", overtaken)
    with pytest.raises(ConcurrentPromotion, match=r"version 1 \(weak\) became the champion just after version 3 had"):
        promotion.promote(stocked, NAME, BEST)
    assert champion(stocked) == "weak" and len(audit_log.read_decisions(stocked, NAME)) == 1


def test_rollback_goes_to_a_named_champion_and_to_no_version_that_never_was_one(stocked):
    for number in (WEAK, BETTER, BEST):
        promotion.promote(stocked, NAME, number)
    promotion.rollback(stocked, NAME, WEAK)
    assert champion(stocked) == "weak"
    with pytest.raises(UserError, match="no earlier champion"):  # it went all the way back
        promotion.rollback(stocked, NAME)
    promotion.rollback(stocked, NAME, BEST)
    promotion.rollback(stocked, NAME)
    assert champion(stocked) == "weak"


def test_rollback_to_a_version_that_never_was_champion_is_refused(stocked):
    promotion.promote(stocked, NAME, BEST)
    with pytest.raises(UserError, match="version 2 has never been champion.*lectern promote sample_digits --version 2"):
        promotion.rollback(stocked, NAME, BETTER)
    with pytest.raises(UserError, match="version 3 is the champion already"):
        promotion.rollback(stocked, NAME, BEST)
    assert champion(stocked) == "best"


def test_a_killed_promotion_is_finished_before_the_next(stocked):
    promotion.promote(stocked, NAME, WEAK)

    def promote() -> None:
        at_call(versions, "point_champion", 1, die)
        promotion.promote(stocked, NAME, BETTER)

    assert in_child(promote).code == KILLED and champion(stocked) == "weak"
    promotion.promote(stocked, NAME, BEST)
    assert [line["from"] and line["from"]["experiment"] for line in audit_log.read_decisions(stocked, NAME)] == [
        None,
        "weak",
        "better",
    ]
    assert promotion.rollback(stocked, NAME).tags["lectern.experiment"] == "better"


def test_an_alias_moved_by_hand_is_said_and_left(stocked):
    promotion.promote(stocked, NAME, BETTER)
    promotion.promote(stocked, NAME, BEST)
    stocked.set_registered_model_alias(NAME, "champion", WEAK)
    assert "no decision says so: it was moved by other hands" in "\n".join(reconcile.reconcile(stocked))
    assert champion(stocked) == "weak"


def test_a_line_that_a_full_disk_cut_short_is_passed_over(stocked):
    promotion.promote(stocked, NAME, BETTER)
    with open(f"registry/{NAME}.jsonl", "a") as file:
        file.write('{"action": "promo')
    promotion.promote(stocked, NAME, BEST)
    assert [line["to"]["experiment"] for line in audit_log.read_decisions(stocked, NAME)] == ["better", "best"]
    assert decisions().endswith(b"}\n") and len(audit_log.in_file(NAME)) == 2


def test_rollback_goes_back_to_the_champion_before_and_no_further(stocked):
    for number in (BETTER, BEST):
        promotion.promote(stocked, NAME, number)
    assert promotion.rollback(stocked, NAME).tags["lectern.experiment"] == "better" == champion(stocked)
    assert challenger(stocked) == "best"
    with pytest.raises(UserError, match="no earlier champion"):
        promotion.rollback(stocked, NAME)
    assert champion(stocked) == "better"


def test_decisions_are_appended_and_never_rewritten(stocked, monkeypatch):
    monkeypatch.setenv("LECTERN_USER", "ada")
    seen = b""
    for decide in (
        partial(promotion.promote, stocked, NAME, BETTER),
        partial(promotion.promote, stocked, NAME, BEST),
        partial(promotion.rollback, stocked, NAME),
    ):
        decide()
        assert decisions().startswith(seen) and decisions().count(b"\n") == seen.count(b"\n") + 1
        seen = decisions()
    lines = audit_log.read_decisions(stocked, NAME)
    assert [line["action"] for line in lines] == ["promote", "promote", "rollback"]
    assert [line["who"]["user"] for line in lines] == ["ada"] * 3
    ends = [(line["from"] and line["from"]["experiment"], line["to"]["experiment"]) for line in lines]
    assert ends == [(None, "better"), ("better", "best"), ("best", "better")]
    assert all(line["rules"] for line in lines[:2]) and all(line["when"] for line in lines)


def test_a_version_carries_the_decision_that_was_taken_on_it(stocked):
    promotion.promote(stocked, NAME, None)
    tags = stocked.get_model_version(NAME, BEST).tags
    (told,) = [value for key, value in tags.items() if key.startswith("lectern.decision.")]
    assert json.loads(told) == audit_log.read_decisions(stocked, NAME)[-1] == json.loads(decisions())


def test_one_promotion_at_a_time(stocked, monkeypatch):
    monkeypatch.setattr("lectern.alone.PATIENCE", 0.05)
    with promotion_lock(stocked, NAME), pytest.raises(UserError, match="Another decision on sample_digits has taken"):
        in_another_thread(partial(promotion.promote, stocked, NAME, None))
    assert champion(stocked) is None


def in_another_thread(work):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def test_a_promotion_killed_before_the_alias_moved_is_carried_out_by_reconcile(stocked):
    def promote() -> None:
        at_call(versions, "point_champion", 1, die)
        promotion.promote(stocked, NAME, None)

    assert in_child(promote).code == KILLED
    assert champion(stocked) is None and audit_log.read_decisions(stocked, NAME)[-1]["to"]["experiment"] == "best"
    reconcile.reconcile(stocked)
    assert champion(stocked) == "best"
