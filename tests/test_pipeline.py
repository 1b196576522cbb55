"""The pipeline through DVC itself: five stages from nothing to a registered version, and only what is stale again."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

from checkout import CODE, ROOT, STAGES, STAND_INS, Checkout
from lectern.artifacts.digests import file_digest

RESULTS = {"cards", "data", "metrics", "models", "reports", "dvc.lock"}
STORE = {"mlflow.db", "mlartifacts"}


def stand_in(checkout: Checkout) -> None:
    """Outs of the second experiment, as if it had been run: to see that it stays up to date."""
    for name in ("models", "reports"):
        shutil.copytree(checkout / name / "demo-digits", checkout / name / "other-digits")
    for name in ("metrics/{}.json", "cards/{}.md"):
        shutil.copy(checkout / name.format("demo-digits"), checkout / name.format("other-digits"))
    checkout.do("dvc", "commit", "--force", "--quiet", *STAND_INS)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Checkout:
    """A checkout in which `dvc repro register@demo-digits` has run."""
    checkout = Checkout(tmp_path_factory.mktemp("pipeline") / "lectern")
    checkout.told = checkout.do("dvc", "repro", "register@demo-digits")
    return checkout


@pytest.fixture(scope="module")
def pair(checkout) -> Checkout:
    stand_in(checkout)
    return checkout


def test_five_stages_run_from_nothing_to_a_registered_version(checkout):
    assert [line.split("'")[1] for line in checkout.told.splitlines() if line.startswith("Running stage")] == STAGES
    assert set(STAGES) == set(checkout.lock())
    client = MlflowClient(checkout.store, checkout.store)
    (version,) = client.search_model_versions("name = 'sample_digits'")
    run = client.get_run(version.run_id)
    weights = file_digest(checkout / "models/demo-digits/weights.safetensors")
    assert version.tags["lectern.weights"] == run.data.tags["lectern.weights"] == weights
    metrics = json.loads((checkout / "metrics/demo-digits.json").read_text())
    assert float(version.tags["lectern.score"]) == run.data.metrics["test_score"] == metrics["score"]
    assert metrics["score"] > metrics["baseline"]
    assert run.data.params["model.fit.laptop.epochs"] == "2"
    reports = {file.path.rpartition("/")[2] for file in client.list_artifacts(version.run_id, "reports")}
    assert {"confusion.png", "mistakes.png", "curves.png", "items.parquet"} <= reports


def test_what_the_stages_leave_is_what_the_design_says(checkout):
    metrics = json.loads((checkout / "metrics/demo-digits.json").read_text())
    assert {"score", "baseline", "higher_is_better", "test_items", "test_digest"} < set(metrics) and len(metrics) <= 10
    assert not any(isinstance(value, dict | list) for value in metrics.values())
    models = {path.name for path in (checkout / "models/demo-digits").iterdir()}
    assert models == {"weights.safetensors", "module.json", "history.csv"}
    assert len(list((checkout / "data/processed/sample_digits").iterdir())) == 7
    card = (checkout / "cards/demo-digits.md").read_text()
    assert f"{metrics['score']:.6g}" in card and metrics["test_digest"] in card


def test_no_out_tells_of_the_store_the_machine_or_the_time(checkout):
    client = MlflowClient(checkout.store, checkout.store)
    (version,) = client.search_model_versions("name = 'sample_digits'")
    telling = [version.run_id, str(checkout.folder), client.get_run(version.run_id).data.tags["lectern.commit"]]
    for name in RESULTS - {"dvc.lock", "data"}:
        for path in (checkout / name).rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                assert not [word for word in telling if word.encode() in content], path


def test_no_stray_folders_are_left(checkout):
    extra = checkout.top() - set(CODE) - RESULTS - STORE - {".git", ".dvc"}
    assert extra <= {"runs"}, extra
    assert not (checkout / "runs").exists() or list((checkout / "runs").iterdir()) == []
    assert checkout.git("status", "--porcelain", "--untracked-files=all").split() in (
        ["??", "dvc.lock", "??", "metrics/demo-digits.json"],
        ["??", "dvc.lock", "??", "metrics/demo-digits.json", "??", "metrics/other-digits.json"],
    )


def test_nothing_to_do_the_second_time(checkout):
    before = (checkout / "dvc.lock").read_bytes()
    said = checkout.do("dvc", "repro", "register@demo-digits")
    assert "Running" not in said and said.count("didn't change, skipping") == 5
    assert (checkout / "dvc.lock").read_bytes() == before


def test_a_changed_learning_rate_makes_stale_that_models_stages_and_no_other(pair):
    assert pair.stale() == set()
    with pair.changed("conf/model/digits_cnn.yaml", lambda text: text.replace("learning_rate: ", "learning_rate: 1")):
        assert pair.stale() == {"train@demo-digits", "evaluate@demo-digits", "register@demo-digits"}
    with pair.changed(
        "conf/model/digits_resnet.yaml", lambda text: text.replace("learning_rate: ", "learning_rate: 1")
    ):
        assert pair.stale() == set(STAND_INS)


def test_another_trainer_makes_nothing_stale(pair):
    assert pair.stale(TRAINER="gpus", LAUNCH="srun") == set()
    with pair.changed("conf/trainer/laptop.yaml", lambda text: text.replace("threads: 1", "threads: 4")):
        assert pair.stale() == set()


def test_a_changed_docstring_in_another_room_makes_nothing_stale(pair):
    others = [path for path in (pair / "src/lectern").rglob("*.py") if path.parents[0].name in OTHER_ROOMS]
    before = {path: path.read_bytes() for path in others}
    for path, content in before.items():
        path.write_bytes(content + b'\n"""Another word."""\n')
    try:
        with pair.changed("src/lectern/cellar/module.py"):
            assert pair.stale() == set()
    finally:
        for path, content in before.items():
            path.write_bytes(content)


OTHER_ROOMS = {path.parent.name for path in (ROOT / "src/lectern").glob("*/preprocess.py")} - {"digits"}


def test_a_changed_docstring_in_the_rooms_own_network_is_seen(pair):
    with pair.changed("src/lectern/digits/networks.py"):
        assert {f"{stage}@{name}" for stage in ("train",) for name in ("demo-digits", "other-digits")} <= pair.stale()


def test_the_other_budget_makes_nothing_stale_until_it_is_chosen(pair):
    def longer(text: str) -> str:
        model = yaml.safe_load(text)
        model["fit"]["full"]["epochs"] += 1
        return yaml.safe_dump(model, sort_keys=False)

    with pair.changed("conf/model/digits_cnn.yaml", longer):
        assert pair.stale() == set()
    with pair.changed("params.yaml", lambda text: text.replace("laptop", "full")):
        assert pair.stale() == set(STAGES[2:]) | set(STAND_INS)


def test_another_validation_split_makes_stale_all_that_comes_after_it(pair):
    with pair.changed(
        "conf/dataset/sample_digits.yaml", lambda text: text.replace("validation: 240", "validation: 241")
    ):
        assert pair.stale() == {"preprocess@sample_digits", *STAGES[2:], *STAND_INS}


def test_bytecode_makes_nothing_stale(pair):
    assert list((pair / "src/lectern/sources/__pycache__").iterdir())  # the stages have left it
    assert pair.stale() == set()


@pytest.fixture(scope="module")
def restored(checkout, tmp_path_factory) -> Checkout:
    """A second checkout of the first one's commit and cache, before a store with nothing in it."""
    folder = tmp_path_factory.mktemp("restored") / "lectern"
    shutil.copytree(checkout.folder, folder, ignore=shutil.ignore_patterns("models", "reports", "cards", "data", "ml*"))
    restored = Checkout.__new__(Checkout)
    restored.folder = folder
    restored.told = restored.do("dvc", "repro", "register@demo-digits")
    return restored


def test_dvc_restores_the_outs_from_its_cache_without_running_a_stage(restored, checkout):
    assert "Running" not in restored.told
    weights = "models/demo-digits/weights.safetensors"
    assert (restored / weights).read_bytes() == (checkout / weights).read_bytes()
    assert not (restored / "mlflow.db").exists()


@pytest.mark.slow
def test_reconcile_brings_back_run_version_and_champion(restored, checkout):
    checkout.do("lectern", "promote", "sample_digits")
    shutil.copytree(checkout / "registry", restored / "registry", dirs_exist_ok=True)
    code, said = restored.run("lectern", "registry", "list", "--json")
    assert code == 0 and "this store has no version of demo-digits" in said and "lectern reconcile" in said
    said = restored.do("lectern", "reconcile")
    assert "demo-digits: run with its history" in said and "champion is version" in said
    clients = [MlflowClient(one.store, one.store) for one in (restored, checkout)]
    champions = [client.get_model_version_by_alias("sample_digits", "champion") for client in clients]
    assert champions[0].tags["lectern.weights"] == champions[1].tags["lectern.weights"]
    histories = [
        sorted((point.step, point.value) for point in client.get_metric_history(champion.run_id, "train_loss"))
        for client, champion in zip(clients, champions, strict=True)
    ]
    assert histories[0] == histories[1] and histories[0]
    assert "no version of" not in restored.do("lectern", "registry", "list")


@contextmanager
def other_bytes(path: Path) -> Iterator[None]:
    before = path.read_bytes()
    path.write_bytes(before + b"x")
    try:
        yield
    finally:
        path.write_bytes(before)


def broken_links(checkout: Checkout) -> set[str]:
    """The links of which `lectern lineage` says that they do not hold, each with a why."""
    code, said = checkout.run("lectern", "lineage", "sample_digits@1", "--json")
    links = json.loads(next(line for line in said.splitlines() if line.startswith("[{")))
    broken = {link["link"] for link in links if link["holds"] is False}
    assert code == (3 if broken else 0) and all(link["why"] for link in links if link["link"] in broken), said
    return broken


@pytest.mark.slow
def test_whatever_link_of_the_lineage_is_broken_is_told_and_no_other(checkout):
    assert broken_links(checkout) == set()
    with other_bytes(next((checkout / "data/raw/sample_digits").iterdir())):
        assert broken_links(checkout) == {"raw files", "processed data"}
    with other_bytes(checkout / "data/processed/sample_digits/test_images.npy"):
        assert broken_links(checkout) == {"processed data", "dvc train@demo-digits", "dvc evaluate@demo-digits"}
    with other_bytes(checkout / "models/demo-digits/weights.safetensors"):
        assert broken_links(checkout) == {"model folder", *(f"dvc {stage}" for stage in STAGES[2:])}
    with checkout.changed(
        "conf/model/digits_cnn.yaml", lambda text: text.replace("learning_rate: ", "learning_rate: 1")
    ):
        assert broken_links(checkout) == {"dvc train@demo-digits"}
    (own,) = (checkout / "mlartifacts").rglob("pyfunc/artifacts/demo-digits/weights.safetensors")
    with other_bytes(own):
        assert broken_links(checkout) == {"version"}


@pytest.mark.slow
def test_a_run_that_is_gone_or_tells_of_no_known_commit_breaks_the_lineage(checkout):
    client = MlflowClient(checkout.store, checkout.store)
    run = client.get_run(client.get_model_version("sample_digits", "1").run_id)
    for tag, other, link in (("commit", "f" * 40, "git commit"), ("weights", "0" * 64, "run")):
        client.set_tag(run.info.run_id, f"lectern.{tag}", other)
        assert broken_links(checkout) == {link}
        client.set_tag(run.info.run_id, f"lectern.{tag}", run.data.tags[f"lectern.{tag}"])
    client.delete_run(run.info.run_id)
    assert broken_links(checkout) == {"config", "git commit", "run"}
    client.restore_run(run.info.run_id)


# Minutes


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory) -> Checkout:
    """A clean checkout whose training is met by a second one, killed, and run again."""
    checkout = Checkout(tmp_path_factory.mktemp("disturbed") / "somewhere else")
    first = checkout.start("dvc", "repro", "register@demo-digits")
    checkout.checkpoint = wait_for(checkout, "runs/*/last.ckpt", first)
    os.killpg(first.pid, signal.SIGSTOP)  # it may take as long as it likes
    checkout.second = checkout.run("dvc", "repro", "train@demo-digits")
    checkout.by_hand = checkout.run(*TRAIN, "budget=laptop", "seed=7", "out=models/by-hand")
    checkout.left = (
        {path.name for path in (checkout / "models").rglob("*")} if (checkout / "models").exists() else set()
    )
    os.killpg(first.pid, signal.SIGKILL)
    checkout.first = first.wait()
    checkout.again = checkout.run("dvc", "repro", "register@demo-digits")
    return checkout


TRAIN = ("python", "pipelines/train.py", "dataset=sample_digits", "model=digits_cnn")


def wait_for(checkout: Checkout, pattern: str, process: subprocess.Popen) -> Path:
    while not (found := list(checkout.folder.glob(pattern))):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    return found[0]


@pytest.mark.slow
def test_a_second_repro_of_the_same_stage_is_refused_and_loses_nothing(disturbed):
    code, said = disturbed.second
    assert code != 0 and "is busy, it is being blocked by" in said and "Traceback" not in said
    code, said = disturbed.by_hand
    assert code == 1 and "is in use: this very training is running in another process" in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_a_killed_stage_leaves_no_model_and_goes_on_when_run_again(disturbed):
    assert disturbed.first == -signal.SIGKILL
    assert not disturbed.left & {"weights.safetensors", "module.json"}
    code, said = disturbed.again
    assert code == 0, said
    assert not list((disturbed / "runs").glob("*")) if (disturbed / "runs").exists() else True


@pytest.mark.slow
def test_two_clean_checkouts_give_the_same_lock_stage_by_stage(disturbed, checkout):
    """And a kill on the way makes no difference."""
    here, there = disturbed.lock(), checkout.lock()
    for stage in STAGES:
        assert here[stage] == there[stage], stage


@pytest.mark.slow
def test_two_processes_compute_what_one_does(checkout, tmp_path):
    """DDP over gloo, with a last batch that does not divide; no dropout, whose draws are each process's own."""
    import numpy as np
    import pandas as pd
    from safetensors.numpy import load_file

    command = [
        *TRAIN, "model.module.network.dropout=0.0", "model.batches.batch_size=102",
        "model.fit.laptop.epochs=2", "trainer.threads=1",
    ]  # fmt: skip
    before = checkout.top()
    checkout.do(*command, "out=runs/one")
    checkout.do(*command, "trainer=two_processes", "out=runs/two")
    one, two = (load_file(checkout / f"runs/{name}/weights.safetensors") for name in ("one", "two"))
    furthest = max(np.abs(one[name] - two[name]).max() for name in one if one[name].dtype == np.float32)
    assert furthest < 1e-4  # rounding, which Adam makes larger; a step is 1e-3
    histories = [pd.read_csv(checkout / f"runs/{name}/history.csv") for name in ("one", "two")]
    assert histories[0][["step", "epoch", "name"]].equals(histories[1][["step", "epoch", "name"]])
    np.testing.assert_allclose(histories[0]["value"], histories[1]["value"], rtol=1e-3, atol=1e-4)
    client = MlflowClient(checkout.store, checkout.store)
    (run,) = [run for run in client.search_runs(["1"]) if run.info.run_name == "two"]
    assert len(client.get_metric_history(run.info.run_id, "validation_loss")) == 2  # of one process only
    assert checkout.top() - before <= {"runs"}
    shutil.rmtree(checkout / "runs")


@pytest.mark.slow
def test_an_experiment_of_dvcs_runs_with_another_value_and_keeps_the_comments(checkout):
    note = "  learning_rate: 0.003  # the peak of one cycle"
    with checkout.changed("conf/model/digits_cnn.yaml", lambda text: commented(text, note)):
        checkout.git("add", "conf", "dvc.lock", "metrics")
        checkout.git("commit", "--quiet", "--message=a comment")
        where = "conf/model/digits_cnn.yaml:module.learning_rate=0.001"
        try:
            said = checkout.do("dvc", "exp", "run", "--set-param", where, "train@demo-digits")
            text = (checkout / "conf/model/digits_cnn.yaml").read_text()
            assert "learning_rate: 0.001  # the peak of one cycle" in text, said
            described = json.loads((checkout / "models/demo-digits/module.json").read_text())
            assert described["hyperparameters"]["learning_rate"] == 0.001
        finally:
            checkout.git("checkout", "--quiet", "--", ".")
            checkout.do("dvc", "checkout", "--force", "--quiet", "train@demo-digits")


def commented(text: str, line: str) -> str:
    return "\n".join(line if part.strip().startswith("learning_rate:") else part for part in text.split("\n"))


@pytest.fixture(autouse=True, scope="module")
def tidy():
    """Nothing that a test here started outlives it."""
    yield
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
