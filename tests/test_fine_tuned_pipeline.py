"""Test a fine-tuned experiment through DVC, from the pre-training to the lineage of its registered version."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from checkout import Checkout
from lectern.artifacts.digests import file_digest

pytestmark = pytest.mark.slow
PAGE = Path(__file__).parents[1] / "docs" / "warm-start.md"
STAGES = ["download@sample_digits", "preprocess@sample_digits", "train@demo-digits"]
STAGES += [f"{stage}@tuned-digits" for stage in ("fine_tune", "evaluate", "register")]
MODEL = "conf/model/digits_tuned.yaml"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Checkout:
    """Return a checkout in which the commands of docs/warm-start.md have fine-tuned and registered a model."""
    write_config, add_experiment, run = re.findall(r"^```bash\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    checkout = Checkout(tmp_path_factory.mktemp("fine_tuned") / "lectern")
    checkout.do("bash", "-e", "-c", write_config + add_experiment)
    checkout.git("add", ".")
    checkout.git("commit", "--quiet", "--message=Add a fine-tuned experiment")
    checkout.output = checkout.do("bash", "-e", "-c", run)
    checkout.git("add", ".")
    checkout.git("commit", "--quiet", "--message=Add results")
    return checkout


def running_stages(output: str) -> list[str]:
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]


def lineage(checkout: Checkout) -> dict[str, dict]:
    _, output = checkout.run("lectern", "lineage", "sample_digits@1", "--json")
    links = json.loads(next(line for line in output.splitlines() if line.startswith("[{")))
    return {link["link"]: link for link in links}


def test_dvc_trains_the_source_before_the_fine_tuning(checkout):
    assert running_stages(checkout.output) == STAGES
    assert checkout.output.count("the training starts from the weights of models/demo-digits") == 2
    assert "debug=smoke: trained 4 steps" in checkout.output
    assert "Running" not in checkout.do("dvc", "repro", "register@tuned-digits")


def test_every_record_names_the_source_and_its_digest(checkout):
    digest = file_digest(checkout / "models/demo-digits/weights.safetensors")
    record = {"experiment": "demo-digits", "weights": digest}
    assert json.loads((checkout / "models/tuned-digits/module.json").read_text())["init_from"] == record
    (manifest,) = (checkout / "mlartifacts").rglob("manifest.json")
    assert json.loads(manifest.read_text())["init_from"] == record
    card = (checkout / "cards/tuned-digits.md").read_text()
    assert f"Started from the weights of `demo-digits` (SHA-256 `{digest}`)." in card
    links = lineage(checkout)
    assert links["init_from"]["value"] == f"models/demo-digits weights {digest}"
    assert {"demo-digits: dvc train@demo-digits", "dvc fine_tune@tuned-digits"} <= links.keys()
    assert not [link for link in links.values() if link["intact"] is False]


def test_a_change_of_the_source_makes_the_fine_tuning_stale_and_breaks_its_lineage(checkout):
    with checkout.changed("conf/model/digits_cnn.yaml", lambda text: text.replace("dropout: 0.5", "dropout: 0.4")):
        checkout.do("dvc", "repro", "train@demo-digits")
        stale = json.loads(checkout.do("dvc", "status", "--json", "fine_tune@tuned-digits"))
        assert stale["fine_tune@tuned-digits"] == [{"changed deps": {"models/demo-digits": "modified"}}]
        assert lineage(checkout)["init_from"]["reason"] == "trained again since"
        output = checkout.do("dvc", "repro", "fine_tune@tuned-digits")
        assert running_stages(output) == ["fine_tune@tuned-digits"]
    output = checkout.do("dvc", "repro", "register@tuned-digits")
    assert "Running" not in output  # DVC restores the outputs from its cache


def test_another_source_in_the_config_is_refused_until_experiments_yaml_names_it(checkout):
    refused = "experiments.yaml says that tuned-digits starts from demo-digits"
    with checkout.changed(MODEL, lambda text: text.replace("models/demo-digits", "models/other-digits")):
        (checkout / "models/other-digits").mkdir()
        for name in ("module.json", "weights.safetensors"):
            shutil.copy(checkout / "models/demo-digits" / name, checkout / "models/other-digits")
        code, output = checkout.run("dvc", "repro", "--single-item", "fine_tune@tuned-digits")
        assert code and refused in output and "init_from: other-digits}`" in output, output
        shutil.rmtree(checkout / "models/other-digits")
        code, output = checkout.run("dvc", "repro", "--single-item", "fine_tune@tuned-digits")
        assert code and "Run `dvc repro train@other-digits`" in output, output
    checkout.do("dvc", "checkout", "--force", "fine_tune@tuned-digits")


@pytest.mark.nightly
def test_dvc_exp_run_changes_a_fine_tuned_experiment(checkout):
    parameter = f"{MODEL}:module.learning_rate=0.002"
    output = checkout.do("dvc", "exp", "run", "--set-param", parameter, "evaluate@tuned-digits")
    assert running_stages(output) == ["fine_tune@tuned-digits", "evaluate@tuned-digits"], output
    rows = checkout.do("lectern", "runs", COLUMNS="300")
    assert "digits_tuned: module.learning_rate=0.002" in rows
    checkout.git("checkout", "--quiet", ".")
    checkout.do("dvc", "checkout", "--force", "--quiet", "fine_tune@tuned-digits", "evaluate@tuned-digits")


def test_the_commands_include_a_fine_tuned_experiment(checkout):
    assert "tuned-digits" in checkout.do("lectern", "experiments", "--names").split()
    (checkout / "mlflow.db").unlink()
    output = checkout.do("lectern", "reconcile")
    assert "tuned-digits: run with its history, config, commit" in output, output
    assert "tuned-digits: sample_digits version 1" in output
    run = lineage(checkout)["config"]
    assert run["intact"] is not False and "values, from dvc.lock" in run["value"], run


@pytest.mark.nightly
def test_a_search_starts_its_trials_from_the_source(checkout):
    space = {"module.learning_rate": {"low": 0.001, "high": 0.002}}
    (checkout / "conf/sweep/digits_tuned.yaml").write_text(yaml.safe_dump(space))
    checkout.do("lectern", "sweep", "tuned-digits", "--trials", "1", "--seeds", "2")
    (log,) = (checkout / "runs/sweeps").glob("tuned-digits-*/*.log")
    assert "starts from the weights of models/demo-digits" in log.read_text()
