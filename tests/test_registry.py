"""The registry: a version answers as its model does, the better one is served, and what was decided stays written."""

import json
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml
from mlflow import MlflowClient

from children import KILLED, at_call, die, in_child
from lectern import models, promotion, reconcile, registry, tracking, trail
from lectern.alone import alone
from lectern.errors import Overtaken, UserError
from registered import BEST, BETTER, NAME, TAUGHT, WEAK, outs, register


def champion(client: MlflowClient) -> str | None:
    known = registry.aliases(client, NAME)
    return registry.get_version(client, NAME, "champion").tags["lectern.experiment"] if "champion" in known else None


def challenger(client: MlflowClient) -> str | None:
    known = registry.aliases(client, NAME)
    return (
        registry.get_version(client, NAME, "challenger").tags["lectern.experiment"] if "challenger" in known else None
    )


def decisions() -> bytes:
    return Path("registry", f"{NAME}.jsonl").read_bytes()


def images() -> np.ndarray:
    return np.load(f"data/processed/{NAME}/test_images.npy")[:40]


def test_the_taught_experiments_are_as_good_as_they_are_called(written):
    scores = [json.loads((written / "metrics" / f"{name}.json").read_text())["score"] for name in TAUGHT]
    assert 0.3 < scores[0] < scores[1] - 0.05 and scores[1] < scores[2] - 0.03


def test_a_version_says_what_it_is_and_nothing_of_store_or_machine(client, shop):
    (version,) = register(client, "better")
    tags = {key.removeprefix("lectern."): value for key, value in version.tags.items()}
    metrics = json.loads(Path("metrics/better.json").read_text())
    assert tags["experiment"] == "better" and tags["task"] == "digits" and tags["weights"] == outs("better").weights
    assert float(tags["score"]) == metrics["score"] and tags["test_digest"] == metrics["test_digest"]
    assert version.description == Path("cards/better.md").read_text()
    assert str(shop) not in json.dumps(version.tags) + version.description


def test_a_version_has_signature_example_and_exact_requirements(client):
    import mlflow

    (version,) = register(client, "better")
    folder = Path(mlflow.artifacts.download_artifacts(version.source, tracking_uri=client.tracking_uri))
    described = mlflow.models.Model.load(folder)
    assert described.signature.inputs.inputs[0].shape == (-1, 28, 28)
    assert described.signature.outputs.inputs[0].shape == (-1, 10)
    assert np.asarray(described.load_input_example(str(folder))).shape == (2, 28, 28)
    required = (folder / "requirements.txt").read_text().split()
    assert {line.split("==")[0] for line in required} >= {"torch", "mlflow", "pytorch-lightning", "safetensors"}
    assert all(re.fullmatch(r"[\w-]+==[\w.]+", line) for line in required)  # no `+cpu`, no range, no path
    code = {path.name for path in (folder / "code" / "lectern").iterdir() if path.is_dir()}
    assert code == {"digits", "serving"} and (folder / "code" / "lectern" / "digits" / "module.py").is_file()
    assert not [path for path in folder.rglob("*") if path.suffix in (".pkl", ".pickle", ".pt", ".pth")]
    report = {path.name for path in (folder / "report").iterdir()}
    assert {"metrics.json", "items.parquet", "details.json"} <= report
    assert (folder / "card.md").read_text() == Path("cards/better.md").read_text()
    kept = {path.name: path.read_bytes() for path in (folder / "artifacts" / "better").iterdir()}
    assert kept == {path.name: path.read_bytes() for path in Path("models/better").iterdir()}


def test_a_card_too_long_for_the_store_is_cut_there_and_whole_among_the_files(client):
    card = Path("cards/better.md")
    card.write_text("\n\n".join([card.read_text(), *("a paragraph of the card" * 4,) * 100]))
    (version,) = register(client, "better")
    assert len(version.description) <= 5000 and version.description.endswith("`card.md` among the version's files.\n")
    import mlflow

    folder = Path(mlflow.artifacts.download_artifacts(version.source, tracking_uri=client.tracking_uri))
    assert (folder / "card.md").read_text() == card.read_text()


def test_the_same_outs_are_one_version_however_often_they_are_registered(client):
    assert len({version.version for version in register(client, "better", "better", "best", "better")}) == 2


def test_the_champion_answers_by_mlflow_as_the_module_does(stocked, store):
    import mlflow

    promotion.promote(stocked, NAME, None)
    mlflow.set_tracking_uri(store)
    answered = mlflow.pyfunc.load_model(f"models:/{NAME}@champion").predict(images())
    expected = models.load(Path("models/best")).predict(images())
    assert answered.dtype == np.float32 and np.array_equal(answered, expected)
    assert np.array_equal(registry.load_champion(NAME, stocked).predict(images()), expected)


@pytest.mark.parametrize(
    "wrong", [np.zeros((2, 28, 28), np.float32), np.zeros((2, 27, 28), np.uint8)], ids=["type", "shape"]
)
def test_mlflow_refuses_inputs_that_the_signature_does_not_take(client, store, wrong):
    import mlflow

    (version,) = register(client, "better")
    mlflow.set_tracking_uri(store)
    with pytest.raises(mlflow.exceptions.MlflowException, match="schema"):
        mlflow.pyfunc.load_model(f"models:/{NAME}/{version.version}").predict(wrong)


# Who is served


def test_the_challenger_is_the_best_beside_the_champion_whatever_came_last(client):
    register(client, "weak", "best", "better")
    assert challenger(client) == "best" and champion(client) is None
    promotion.promote(client, NAME, None)
    assert champion(client) == "best" and challenger(client) == "better"


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
    metrics.write_text(json.dumps({**json.loads(metrics.read_text()), "floor": 0.99}))
    (version,) = register(client, "weak")
    assert challenger(client) is None
    with pytest.raises(UserError, match=r"NO +above the floor: score 0\.\d+, floor 0\.9900"):
        promotion.promote(client, NAME, str(version.version))
    assert champion(client) is None and not Path("registry", f"{NAME}.jsonl").exists()


def test_a_version_whose_files_do_not_give_its_score_is_refused(client):
    (version,) = register(client, "best")
    other = registry.model_folder(client, version) / "weights.safetensors"
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


def test_whoever_is_overtaken_between_is_told_and_changes_nothing(stocked, monkeypatch):
    """As through a server known by HTTP alone, where no lock keeps another machine away."""
    monkeypatch.setattr(promotion, "judge", lambda *_: stocked.set_registered_model_alias(NAME, "champion", WEAK) or [])
    with pytest.raises(Overtaken, match=r"version 1 \(weak\) became the champion while version 3 was looked at"):
        promotion.promote(stocked, NAME, BEST)
    assert champion(stocked) == "weak" and not Path("registry", f"{NAME}.jsonl").exists()


def test_whoever_is_overtaken_at_once_is_told(stocked, monkeypatch):
    moved = registry.point_champion

    def overtaken(client, name, version):
        moved(client, name, version)
        moved(client, name, client.get_model_version(NAME, WEAK))

    monkeypatch.setattr(registry, "point_champion", overtaken)
    with pytest.raises(Overtaken, match=r"version 1 \(weak\) became the champion just after version 3 had"):
        promotion.promote(stocked, NAME, BEST)
    assert champion(stocked) == "weak" and len(trail.read(stocked, NAME)) == 1


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
        at_call(registry, "point_champion", 1, die)
        promotion.promote(stocked, NAME, BETTER)

    assert in_child(promote).code == KILLED and champion(stocked) == "weak"
    promotion.promote(stocked, NAME, BEST)
    assert [line["from"] and line["from"]["experiment"] for line in trail.read(stocked, NAME)] == [
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
    assert [line["to"]["experiment"] for line in trail.read(stocked, NAME)] == ["better", "best"]
    assert decisions().endswith(b"}\n") and len(trail.in_file(NAME)) == 2


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
    lines = trail.read(stocked, NAME)
    assert [line["action"] for line in lines] == ["promote", "promote", "rollback"]
    assert [line["who"]["user"] for line in lines] == ["ada"] * 3
    ends = [(line["from"] and line["from"]["experiment"], line["to"]["experiment"]) for line in lines]
    assert ends == [(None, "better"), ("better", "best"), ("best", "better")]
    assert all(line["rules"] for line in lines[:2]) and all(line["when"] for line in lines)


def test_a_version_carries_the_decision_that_was_taken_on_it(stocked):
    promotion.promote(stocked, NAME, None)
    tags = stocked.get_model_version(NAME, BEST).tags
    (told,) = [value for key, value in tags.items() if key.startswith("lectern.decision.")]
    assert json.loads(told) == trail.read(stocked, NAME)[-1] == json.loads(decisions())


def test_one_promotion_at_a_time(stocked, monkeypatch):
    monkeypatch.setattr("lectern.alone.PATIENCE", 0.05)
    with alone(stocked, NAME), pytest.raises(UserError, match="Another decision on sample_digits has taken"):
        in_another_thread(partial(promotion.promote, stocked, NAME, None))
    assert champion(stocked) is None


def in_another_thread(work):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def test_a_promotion_killed_before_the_alias_moved_is_carried_out_by_reconcile(stocked):
    def promote() -> None:
        at_call(registry, "point_champion", 1, die)
        promotion.promote(stocked, NAME, None)

    assert in_child(promote).code == KILLED
    assert champion(stocked) is None and trail.read(stocked, NAME)[-1]["to"]["experiment"] == "best"
    reconcile.reconcile(stocked)
    assert champion(stocked) == "best"


# Names that are not there


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda client: promotion.promote(client, "sample_digit", None), r"did you mean 'sample_digits'\?"),
        (lambda client: promotion.rollback(client, "mnist"), "No model 'mnist' is registered"),
        (
            lambda client: promotion.promote(client, NAME, "7"),
            r"no version or alias '7'. Versions: 1, 2, 3; aliases: challenger",
        ),
        (lambda client: registry.find_named(client, f"{NAME}@champoin"), "no version or alias 'champoin'"),
        (lambda client: registry.load_champion(NAME, client), "no champion yet. Promote one: lectern promote"),
        (lambda client: promotion.rollback(client, NAME), "champion"),
    ],
    ids=["promote", "rollback", "version", "alias", "champion", "no champion"],
)
def test_a_name_that_is_not_there_is_answered_with_what_is(stocked, ask, said):
    with pytest.raises(UserError, match=said):
        ask(stocked)


def test_an_empty_store_is_answered_with_what_to_run(client):
    with pytest.raises(UserError, match="Nothing is registered yet: dvc repro, or make demo"):
        promotion.promote(client, NAME, None)


def test_a_version_whose_files_are_gone_is_said(client):
    (version,) = register(client, "best")
    shutil.rmtree(Path(registry.model_folder(client, version)))
    with pytest.raises(UserError, match="its files are gone .*Bring them back with `lectern reconcile`"):
        promotion.promote(client, NAME, None)
    assert f"best: the files of {NAME} version {version.version}" in reconcile.reconcile(client)
    assert promotion.promote(client, NAME, None)[0].version == version.version


# A store that has never heard of it


@pytest.fixture
def another_store(empty_store, tmp_path, monkeypatch) -> MlflowClient:
    """A second store, with nothing in it."""
    (tmp_path / "another").mkdir()
    shutil.copyfile(empty_store, tmp_path / "another" / "mlflow.db")
    address = f"sqlite:///{tmp_path / 'another' / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    return MlflowClient(address, address)


def test_reconcile_brings_back_runs_versions_and_the_champion(stocked, another_store):
    promotion.promote(stocked, NAME, BETTER)
    promotion.promote(stocked, NAME, BEST)
    assert registry.names(another_store) == [] and set(reconcile.missing(another_store)) == set(TAUGHT)
    done = "\n".join(reconcile.reconcile(another_store))
    assert all(f"{name}: run with its history" in done for name in TAUGHT) and "champion is version" in done
    assert champion(another_store) == "best" and challenger(another_store) == "better"
    assert reconcile.missing(another_store) == []
    for name in TAUGHT:
        run = tracking.find_run(another_store, "digits", outs(name).weights)
        assert run.data.tags[tracking.RESTORED] == "true" and run.info.status == "FINISHED"
        points = another_store.get_metric_history(run.info.run_id, "train_loss")
        assert [(point.step, point.value) for point in points] == [(1, 1.0), (2, 0.5)]
        assert run.data.metrics["test_score"] == outs(name).metrics["score"]
        assert run.data.params["model.module.learning_rate"] == "0.003"
    assert np.array_equal(
        registry.load_champion(NAME, another_store).predict(images()),
        models.load(Path("models/best")).predict(images()),
    )


def test_reconcile_with_nothing_to_do_does_nothing(stocked):
    promotion.promote(stocked, NAME, None)
    before = [version.version for version in registry.versions(stocked, NAME)]
    assert reconcile.reconcile(stocked) == []
    assert [version.version for version in registry.versions(stocked, NAME)] == before
    assert len(stocked.search_runs([tracking.experiment_id(stocked, "digits")])) == len(TAUGHT)


def test_a_champion_whose_outs_are_lost_is_said_and_nobody_takes_its_place(stocked, another_store):
    promotion.promote(stocked, NAME, BEST)
    for path in ("models/best", "reports/best"):
        shutil.rmtree(path)
    assert "the champion is lost: no outs here are best" in "\n".join(reconcile.reconcile(another_store))
    assert champion(another_store) is None


@pytest.mark.index
def test_a_version_answers_in_an_environment_that_has_only_what_it_lists(client, store, tmp_path, monkeypatch):
    """A fresh one, without this repository; torch first and by itself, as the README says."""
    import mlflow

    (version,) = register(client, "best")
    folder = Path(mlflow.artifacts.download_artifacts(version.source, tracking_uri=store))
    shutil.copytree(folder, tmp_path / "version")
    np.save(tmp_path / "images.npy", images())
    expected = models.load(Path("models/best")).predict(images())
    monkeypatch.delenv("PYTHONPATH", raising=False)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    torch = next(line for line in (folder / "requirements.txt").read_text().split() if line.startswith("torch=="))
    subprocess.run([*pip, torch], check=True)
    subprocess.run([*pip, "-r", tmp_path / "version" / "requirements.txt"], check=True)
    ask = (
        "import mlflow, numpy as np; model = mlflow.pyfunc.load_model('version');"
        "np.save('answers.npy', model.predict(np.load('images.npy')));"
        "import lectern; print(lectern.__file__)"
    )
    done = subprocess.run([python, "-c", ask], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert str(tmp_path / "version" / "code") in done.stdout  # its own code, not this repository's
    assert np.allclose(np.load(tmp_path / "answers.npy"), expected, atol=1e-6)
