"""Test the pipeline through DVC: five stages from an empty checkout to a registered version."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from mlflow import MlflowClient

from checkout import COPIED, STAGES, Checkout
from lectern.artifacts.digests import file_digest

pytestmark = pytest.mark.slow
RESULTS = {"cards", "data", "metrics", "models", "reports", "dvc.lock"}
STORE = {"mlflow.db", "mlartifacts"}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Checkout:
    """Return a checkout in which `dvc repro register@demo-digits` has run."""
    checkout = Checkout(tmp_path_factory.mktemp("pipeline") / "lectern")
    checkout.output = checkout.do("dvc", "repro", "register@demo-digits")
    return checkout


def test_five_stages_run_from_an_empty_checkout_to_a_registered_version(checkout):
    assert [line.split("'")[1] for line in checkout.output.splitlines() if line.startswith("Running stage")] == STAGES
    assert set(STAGES) == set(checkout.lock())
    client = MlflowClient(checkout.store, checkout.store)
    (version,) = client.search_model_versions("name = 'sample_digits'")
    run = client.get_run(version.run_id)
    weights = file_digest(checkout / "models/demo-digits/weights.safetensors")
    assert version.tags["lectern.weights"] == run.data.tags["lectern.weights"] == weights
    metrics = json.loads((checkout / "metrics/demo-digits.json").read_text())
    assert float(version.tags["lectern.score"]) == run.data.metrics["test/score"] == metrics["score"]
    assert metrics["score"] > metrics["baseline"]
    assert run.data.params["epochs"] == "2"
    reports = {file.path.rpartition("/")[2] for file in client.list_artifacts(version.run_id, "reports")}
    assert {"confusion.png", "mistakes.png", "curves.png", "items.parquet"} <= reports


def test_no_stage_prints_a_library_warning(checkout):
    assert "Warning" not in checkout.output and "warn(" not in checkout.output


def test_stages_write_the_documented_files(checkout):
    metrics = json.loads((checkout / "metrics/demo-digits.json").read_text())
    assert {"score", "baseline"} < set(metrics) and len(metrics) <= 7
    assert all(isinstance(value, int | float) for value in metrics.values())
    evaluation = json.loads((checkout / "reports/demo-digits/evaluation.json").read_text())
    assert {"higher_is_better", "test_items", "test_digest", "weights_digest", "code_digest"} == set(evaluation)
    models = {path.name for path in (checkout / "models/demo-digits").iterdir()}
    assert models == {"weights.safetensors", "module.json", "history.csv"}
    assert len(list((checkout / "data/processed/sample_digits").iterdir())) == 7
    card = (checkout / "cards/demo-digits.md").read_text()
    assert f"{metrics['score']:.4f}" in card and evaluation["test_digest"] in card


def test_no_output_contains_a_run_id_a_path_or_a_commit(checkout):
    client = MlflowClient(checkout.store, checkout.store)
    (version,) = client.search_model_versions("name = 'sample_digits'")
    commit = client.get_run(version.run_id).data.tags["lectern.commit"]
    forbidden = [word.encode() for word in (version.run_id, str(checkout.folder), commit)]
    for name in RESULTS - {"dvc.lock", "data"}:
        for path in (checkout / name).rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                assert not [word for word in forbidden if word in content], path


def test_stages_leave_no_stray_files(checkout):
    extra = checkout.top_level_names() - set(COPIED) - RESULTS - STORE - {".git", ".dvc"}
    assert extra <= {"runs", "mlflow.db.lock"}, extra
    assert not (checkout / "runs").exists() or list((checkout / "runs").iterdir()) == []
    status = checkout.git("status", "--porcelain", "--untracked-files=all").split()
    assert status == ["??", "dvc.lock", "??", "metrics/demo-digits.json"]


def test_second_repro_runs_no_stage(checkout):
    before = (checkout / "dvc.lock").read_bytes()
    output = checkout.do("dvc", "repro", "register@demo-digits")
    assert "Running" not in output and output.count("didn't change, skipping") == 5
    assert (checkout / "dvc.lock").read_bytes() == before


@pytest.fixture(scope="module")
def restored(checkout, tmp_path_factory) -> Checkout:
    """Return a second checkout with the commit and the DVC cache of the first checkout, and an empty MLflow store."""
    folder = tmp_path_factory.mktemp("restored") / "lectern"
    outputs = {"models", "reports", "cards", "data", "mlflow.db", "mlartifacts"}
    shutil.copytree(checkout.folder, folder, ignore=lambda path, _: outputs if Path(path) == checkout.folder else set())
    restored = Checkout.__new__(Checkout)
    restored.folder = folder
    restored.output = restored.do("dvc", "repro", "register@demo-digits")
    return restored


def test_dvc_restores_the_outputs_from_its_cache_without_running_a_stage(restored, checkout):
    assert "Running" not in restored.output
    weights = "models/demo-digits/weights.safetensors"
    assert (restored / weights).read_bytes() == (checkout / weights).read_bytes()
    assert not (restored / "mlflow.db").exists()


def test_reconcile_restores_run_version_and_champion(restored, checkout):
    checkout.do("lectern", "promote", "sample_digits")
    shutil.copytree(checkout / "registry", restored / "registry", dirs_exist_ok=True)
    code, output = restored.run("lectern", "registry", "list", "--json")
    assert code == 0 and "demo-digits" in output and "lectern reconcile" in output
    output = restored.do("lectern", "reconcile")
    assert "demo-digits" in output and "champion" in output
    clients = [MlflowClient(each.store, each.store) for each in (restored, checkout)]
    champions = [client.get_model_version_by_alias("sample_digits", "champion") for client in clients]
    assert champions[0].tags["lectern.weights"] == champions[1].tags["lectern.weights"]
    histories = [
        sorted((point.step, point.value) for point in client.get_metric_history(champion.run_id, "train/loss"))
        for client, champion in zip(clients, champions, strict=True)
    ]
    assert histories[0] == histories[1] and histories[0]
    assert "lectern reconcile" not in restored.do("lectern", "registry", "list")


@pytest.mark.nightly
def test_a_lost_store_is_restored_with_every_link(restored):
    """The original run of the training is in the lost store. The config and the commit of the training are in git."""
    restored.git("add", "dvc.lock", "metrics")
    restored.git("commit", "--quiet", "--message=Add results")
    for name in ("mlflow.db", "registry"):
        path = restored / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    assert "demo-digits: run with its history, config, commit; lost: machine" in restored.do("lectern", "reconcile")
    assert broken_links(restored) == set()


@contextmanager
def altered_bytes(path: Path) -> Iterator[None]:
    before = path.read_bytes()
    path.write_bytes(before + b"x")
    try:
        yield
    finally:
        path.write_bytes(before)


def broken_links(checkout: Checkout) -> set[str]:
    """Return the links that `lectern lineage` reports as broken, each with a reason."""
    code, output = checkout.run("lectern", "lineage", "sample_digits@1", "--json")
    links = json.loads(next(line for line in output.splitlines() if line.startswith("[{")))
    broken = {link["link"] for link in links if link["intact"] is False}
    assert code == (3 if broken else 0) and all(link["reason"] for link in links if link["link"] in broken), output
    return broken


@pytest.mark.nightly
def test_lineage_reports_exactly_the_links_that_are_broken(checkout):
    assert broken_links(checkout) == set()
    with altered_bytes(next((checkout / "data/raw/sample_digits").iterdir())):
        assert broken_links(checkout) == {"raw files", "processed data"}
    with altered_bytes(checkout / "data/processed/sample_digits/test_images.npy"):
        assert broken_links(checkout) == {"processed data", "dvc train@demo-digits", "dvc evaluate@demo-digits"}
    with altered_bytes(checkout / "models/demo-digits/weights.safetensors"):
        assert broken_links(checkout) == {"model folder", *(f"dvc {stage}" for stage in STAGES[2:])}
    with checkout.changed(
        "conf/model/digits_cnn.yaml", lambda text: text.replace("learning_rate: ", "learning_rate: 1")
    ):
        assert broken_links(checkout) == {"dvc train@demo-digits"}
    (registered,) = (checkout / "mlartifacts").rglob("models/m-*/artifacts/artifacts/demo-digits/weights.safetensors")
    with altered_bytes(registered):
        assert broken_links(checkout) == {"version"}


@pytest.mark.nightly
def test_deleted_run_and_unknown_commit_break_the_lineage(checkout):
    client = MlflowClient(checkout.store, checkout.store)
    run = client.get_run(client.get_model_version("sample_digits", "1").run_id)
    for tag, wrong, link in (("commit", "f" * 40, "git commit"), ("weights", "0" * 64, "run")):
        client.set_tag(run.info.run_id, f"lectern.{tag}", wrong)
        assert broken_links(checkout) == {link}
        client.set_tag(run.info.run_id, f"lectern.{tag}", run.data.tags[f"lectern.{tag}"])
    client.delete_run(run.info.run_id)
    assert broken_links(checkout) == {"config", "git commit", "run"}
    client.restore_run(run.info.run_id)


def test_two_processes_compute_the_same_as_one(checkout):
    """Train with DDP over gloo, with a last batch that cannot be divided by two.

    Dropout is off, because its random masks differ between processes.
    """
    import numpy as np
    import pandas as pd
    from safetensors.numpy import load_file

    command = [
        "python", "pipelines/train.py", "dataset=sample_digits", "model=digits_cnn",
        "model.module.network.dropout=0.0", "model.batches.batch_size=102", "model.fit.laptop.epochs=2",
        "trainer.threads=1",
    ]  # fmt: skip
    before = checkout.top_level_names()
    checkout.do(*command, "out=runs/one")
    checkout.do(*command, "trainer=two_processes", "out=runs/two")
    one, two = (load_file(checkout / f"runs/{name}/weights.safetensors") for name in ("one", "two"))
    largest_difference = max(np.abs(one[name] - two[name]).max() for name in one if one[name].dtype == np.float32)
    # The differences come from rounding, which Adam amplifies. A step of Adam is 1e-3.
    assert largest_difference < 1e-4
    histories = [pd.read_csv(checkout / f"runs/{name}/history.csv") for name in ("one", "two")]
    assert histories[0][["step", "epoch", "name"]].equals(histories[1][["step", "epoch", "name"]])
    np.testing.assert_allclose(histories[0]["value"], histories[1]["value"], rtol=1e-3, atol=1e-4)
    client = MlflowClient(checkout.store, checkout.store)
    (run,) = [run for run in client.search_runs(["1"]) if run.info.run_name == "two"]
    assert len(client.get_metric_history(run.info.run_id, "validation/loss")) == 2  # Only rank 0 logs the metric.
    assert checkout.top_level_names() - before <= {"runs"}
    shutil.rmtree(checkout / "runs")


def test_dvc_exp_run_sets_a_parameter_and_keeps_the_comments(checkout):
    commented_line = "  learning_rate: 0.003  # the peak of one cycle"
    modeline = "# yaml-language-server: $schema=../schema/model.json\n"
    with checkout.changed(
        "conf/model/digits_cnn.yaml", lambda text: modeline + replace_learning_rate(text, commented_line)
    ):
        checkout.git("add", "conf", "dvc.lock", "metrics")
        checkout.git("commit", "--quiet", "--message=Add a comment")
        parameter = "conf/model/digits_cnn.yaml:module.learning_rate=0.001"
        try:
            output = checkout.do("dvc", "exp", "run", "--set-param", parameter, "train@demo-digits")
            text = (checkout / "conf/model/digits_cnn.yaml").read_text()
            assert "learning_rate: 0.001  # the peak of one cycle" in text, output
            assert text.startswith(modeline)
            metadata = json.loads((checkout / "models/demo-digits/module.json").read_text())
            assert metadata["hyperparameters"]["learning_rate"] == 0.001
        finally:
            checkout.git("checkout", "--quiet", "--", ".")
            checkout.do("dvc", "checkout", "--force", "--quiet", "train@demo-digits")


def replace_learning_rate(text: str, line: str) -> str:
    return "\n".join(line if part.strip().startswith("learning_rate:") else part for part in text.split("\n"))


@pytest.fixture(autouse=True, scope="module")
def no_zombies():
    """Collect the exit status of every child process that a test has not waited for."""
    yield
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
