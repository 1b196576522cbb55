"""Test what DVC users see: plots and tables of several experiments and commits, and experiments that they share."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from checkout import ROOT, Checkout
from lectern import plotting
from lectern.artifacts.history_file import Record
from lectern.stages.dvc_plots import format_plots
from lectern.stages.experiments import read_experiments
from two_commits import NAME, create_two_commits, use_outputs

DOCS = ROOT / "docs"
TITLES = {f"Loss over training: {NAME}", f"Calibration: {NAME}", "Confusion matrix: best"}


@pytest.fixture(scope="module")
def checkout(raw_digits, written_outputs, tmp_path_factory) -> Checkout:
    return create_two_commits(tmp_path_factory.mktemp("commits") / "project", raw_digits, written_outputs)


def read_plots(checkout: Checkout, *command: str) -> dict[str, dict]:
    """Return the Vega-Lite specification of each plot, which includes its data."""
    printed = json.loads(checkout.do("dvc", "plots", *command, "--json"))
    return {title: plots[0]["content"] for title, plots in printed["data"].items() if plots}


@pytest.mark.parametrize("folder", [".", "demo"])
def test_the_committed_list_of_plots_contains_every_experiment(folder, monkeypatch):
    monkeypatch.chdir(ROOT / folder)
    assert Path("plots/dvc.yaml").read_text() == format_plots(), "run `lectern plots`"
    drawn = {
        file.split("/")[2]
        for plot in yaml.safe_load(format_plots())["plots"]
        for file in next(iter(plot.values()))["y"]
    }
    assert drawn == set(read_experiments())


def test_experiments_of_one_dataset_share_a_plot(monkeypatch):
    monkeypatch.chdir(ROOT)
    plots = {title: plot for entry in yaml.safe_load(format_plots())["plots"] for title, plot in entry.items()}
    assert len(plots["Loss over training: mnist"]["y"]) == 2
    angles = list(plots["Angle over time: udacity_sim"]["y"].values())
    assert angles == [["driver", "network"], "network", "network", "network"]  # the angle of the driver is drawn once


def test_the_table_of_curves_has_the_mean_training_loss_before_each_validation():
    losses = [(1, 4.0), (2, 2.0), (3, 1.0)]
    records = [Record(step, 0, "train_loss", value) for step, value in losses]
    records += [Record(step, 0, "validation_loss", 0.5) for step in (2, 3)] + [Record(3, 0, "validation_accuracy", 1.0)]
    table = plotting.tabulate_curves(pd.DataFrame(records))
    assert table.to_dict("list") == {"step": [2, 3], "train": [3.0, 1.0], "validation": [0.5, 0.5]}


@pytest.mark.slow
def test_dvc_plots_show_and_diff_draw_titles_axes_and_the_data_of_both_commits(checkout):
    page = Path(checkout.do("dvc", "plots", "show").strip().splitlines()[-1].removeprefix("file://")).read_text()
    assert all(title in page for title in TITLES)
    plots = read_plots(checkout, "diff", "old", "new")
    assert set(plots) == TITLES
    for title, plot in plots.items():
        text = json.dumps(plot)
        assert f'"text": "{title}"' in text and '"rev": "old"' in text and '"rev": "new"' in text
    curves = plots[f"Loss over training: {NAME}"]["data"]["values"]
    files = {"reports/best/curves.csv"}
    assert {row["field"] for row in curves} == {"train", "validation"} and {row["filename"] for row in curves} == files
    calibration = json.dumps(plots[f"Calibration: {NAME}"])
    assert '"title": "confidence"' in calibration and '"title": "accuracy"' in calibration
    assert checkout.git("status", "--porcelain") == ""  # git ignores the page


@pytest.mark.slow
def test_metrics_of_dvc_fit_into_120_columns(checkout):
    shown = checkout.do("dvc", "metrics", "diff", "old", "new", COLUMNS="120")
    assert "score" in shown and "baseline" not in shown and max(map(len, shown.splitlines())) <= 120
    shown = checkout.do("dvc", "metrics", "show", COLUMNS="120")
    assert {"score", "baseline", "worst_class_recall"} <= set(shown.split())
    assert max(map(len, shown.splitlines())) <= 120


@pytest.mark.slow
def test_lectern_runs_shows_score_baseline_and_changes_of_each_run(checkout, written_outputs):
    assert "no runs" in checkout.do("lectern", "runs")
    use_outputs(checkout, written_outputs, "better", 0.02)
    with checkout.changed("src/lectern/training/fit.py"):
        checkout.do("dvc", "commit", "--force", "--quiet")
        checkout.do("dvc", "exp", "save", "--name", "tried")
    checkout.git("checkout", "--quiet", "--", ".")
    checkout.do("dvc", "checkout", "--force", "--quiet")
    (row,) = json.loads(checkout.do("lectern", "runs", "--json"))
    score = json.loads((written_outputs / "metrics/better.json").read_text())["score"]
    assert (row["run"], row["experiment"], row["score"]) == ("tried", "best", score) and 0 < row["baseline"] < score
    assert row["changed"] == "digits_cnn: module.learning_rate=0.02, src/lectern/training"
    shown = checkout.do("lectern", "runs", COLUMNS="120").splitlines()
    assert re.split(r"\s{1,}", shown[0].strip()) == ["run", "experiment", "score", "baseline", "changed"]
    assert f"{score:.4f}" in shown[1] and max(map(len, shown)) <= 120


def commands_of(page: str, heading: str, **replaced: str) -> str:
    """Return the commands of the first code block below a heading of the documentation, with replaced words."""
    block = (DOCS / page).read_text().partition(f"\n## {heading}\n")[2].partition("```bash\n")[2].partition("```")[0]
    assert block
    words = {"mnist-cnn": "best", "processed/mnist": f"processed/{NAME}", "promote mnist": f"promote {NAME}"}
    words |= {"predict mnist": f"predict {NAME}", "make setup": "", "source .venv/bin/activate": ""} | replaced
    for word, replacement in words.items():
        block = block.replace(word, replacement)
    return block


@pytest.fixture(scope="module")
def published(checkout, tmp_path_factory) -> tuple[Checkout, Path]:
    """Return a project whose experiment was published with the documented commands, and the address of its git."""
    bare = tmp_path_factory.mktemp("published") / "lectern.git"
    checkout.git("init", "--quiet", "--bare", "--initial-branch=main", str(bare))
    checkout.git("remote", "add", "origin", str(bare))
    checkout.git("config", "push.autoSetupRemote", "true")
    remote = str(bare.with_name("remote"))
    script = commands_of("sharing.md", "Publish an experiment", **{"/srv/lectern": remote})
    checkout.do("bash", "-ec", script)
    return checkout, bare


@pytest.mark.slow
def test_a_published_experiment_is_registered_promoted_and_used_in_a_fresh_clone_without_training(published, tmp_path):
    checkout, bare = published
    clone = Checkout.__new__(Checkout)
    clone.folder = tmp_path
    words = {"https://example.org/lectern.git": str(bare)}
    output = clone.do(
        "bash", "-ec", commands_of("sharing.md", "Use a published experiment", **words), MLFLOW_TRACKING_URI=""
    )
    clone.folder = tmp_path / "copy"
    assert "best: run with its history" in output and "is the champion" in output
    assert not (clone / "data/raw").exists()
    answers = [line.split(",")[:11] for line in (clone / "answers.csv").read_text().splitlines()]
    assert len(answers) > 200
    for name in ("models/best/weights.safetensors", "cards/best.md", "reports/best/items.parquet"):
        assert (clone / name).read_bytes() == (checkout / name).read_bytes()
    assert (clone / "mlflow.db").is_file() and not (checkout / "mlflow.db").exists()


@pytest.mark.slow
def test_missing_processed_data_is_named_with_the_command_that_prepares_it(published, tmp_path):
    _, bare = published
    clone = Checkout.__new__(Checkout)
    clone.folder = tmp_path / "copy"
    published[0].git("clone", "--quiet", str(bare), str(clone.folder))
    clone.edit("dvc.lock", lambda lock: lock["stages"][f"preprocess@{NAME}"]["outs"][0].update(md5=f"{'0' * 32}.dir"))
    output = clone.do("lectern", "pull", "best")
    assert f"dvc repro preprocess@{NAME}" in output and (clone / "models/best/weights.safetensors").is_file()
    code, output = clone.run("lectern", "pull", "bset")
    assert code == 1 and "did you mean 'best'?" in output and "Traceback" not in output
    shutil.rmtree(clone / ".dvc/cache")
    code, output = clone.run("lectern", "pull", "best", "--remote", "nowhere")
    assert code == 1 and "nowhere" in output and "Traceback" not in output


@pytest.mark.slow
def test_raw_data_is_not_pushed(published):
    checkout, bare = published
    digest = checkout.lock()[f"download@{NAME}"]["outs"][0]["md5"]
    stored = {path.name for path in (bare.with_name("remote") / "files/md5" / digest[:2]).glob("*")}
    assert digest[2:] not in stored
    checkout.do("dvc", "push")
    stored = {path.name for path in (bare.with_name("remote") / "files/md5" / digest[:2]).glob("*")}
    assert digest[2:] not in stored


@pytest.mark.slow
def test_another_project_gets_and_imports_a_model(published, tmp_path):
    checkout, bare = published
    other = Checkout.__new__(Checkout)
    other.folder = tmp_path
    other.git("init", "--quiet")
    other.do("dvc", "init", "--quiet")
    words = {"https://example.org/lectern.git": str(bare)}
    other.do("bash", "-ec", commands_of("sharing.md", "Use a model in another project", **words))
    for folder in ("downloaded-model", "imported-model"):
        weights = (tmp_path / folder / "weights.safetensors").read_bytes()
        assert weights == (checkout / "models/best/weights.safetensors").read_bytes()
    assert (tmp_path / "imported-model.dvc").is_file()


@pytest.mark.slow
def test_a_report_contains_scores_interval_changes_gate_and_curves_of_two_commits(checkout, tmp_path):
    with checkout.changed("src/lectern/training/fit.py"):
        checkout.git("commit", "--quiet", "--all", "--message=Change the code")
        checkout.git("tag", "code")
    words = {"main my-branch": "old code", "--output report": f"--output {tmp_path / 'report'}"}
    checkout.do("bash", "-ec", commands_of("comparing.md", "Report of a pull request", **words))
    report = (tmp_path / "report/report.md").read_text()
    old, new = (json.loads(checkout.git("show", f"{commit}:metrics/best.json")) for commit in ("old", "new"))
    difference = new["score"] - old["score"]
    assert (
        f"| score (accuracy, share of images) | {old['score']:.4f} | {new['score']:.4f} | {difference:+.4f} |" in report
    )
    assert (
        f"| baseline (accuracy, share of images) | {new['baseline']:.4f} | {new['baseline']:.4f} | +0.0000 |" in report
    )
    low, high = map(float, re.search(r"by (-?[\d.]+) to (-?[\d.]+) ", report).groups())
    assert 0 < low < difference < high and "**Better by more than noise**" in report
    assert "- param `conf/model/digits_cnn.yaml: module.learning_rate`: 0.003 to 0.01" in report
    assert "- code `src/lectern/training/fit.py`" in report and "- data" not in report
    assert "has no champion of `sample_digits`" in report
    assert "![Loss over training of best](best.png)" in report
    assert (tmp_path / "report/best.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.nightly
def test_a_report_compares_with_the_champion_and_refuses_unknown_commits(checkout, tmp_path):
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}"}
    for command in (["reconcile"], ["promote", NAME], ["report", "old", "new", "--output", str(tmp_path)]):
        checkout.do("lectern", *command, **store)
    assert (
        "Compared with the champion (sample_digits version 1): it is the champion."
        in (tmp_path / "report.md").read_text()
    )
    checkout.do("lectern", "report", "new", "new", "--output", str(tmp_path))
    assert "The metrics of no experiment differ" in (tmp_path / "report.md").read_text()
    code, output = checkout.run("lectern", "report", "old", "no-such-commit", "--output", str(tmp_path))
    assert code == 1 and "git has no commit 'no-such-commit'" in output and "Traceback" not in output


@pytest.mark.nightly
def test_the_documented_runs_train_and_are_listed(raw_digits, written_outputs, tmp_path):
    """The queued run trains in a temporary checkout, and is registered in the store of this checkout."""
    checkout = create_two_commits(tmp_path / "project", raw_digits, written_outputs)
    script = commands_of("comparing.md", "Runs of dvc exp run", **{"make runs": "lectern runs --json > runs.json"})
    checkout.do("bash", "-ec", script, MLFLOW_TRACKING_URI="")
    rows = json.loads((checkout / "runs.json").read_text())
    tried = {row["changed"]: row for row in rows if row["run"] != "workspace"}
    learning_rate = "digits_cnn: module.learning_rate=0.02"  # the queued run starts from the changed workspace
    assert set(tried) == {learning_rate, f"{learning_rate}, digits_cnn: module.network.dropout=0.3"}
    scores = {round(row["score"], 4) for row in tried.values()}
    assert len(scores) == 2 and all(row["experiment"] == "best" for row in tried.values())
    versions = json.loads(checkout.do("lectern", "registry", "show", NAME, "--json", MLFLOW_TRACKING_URI=""))
    assert {round(version["score"], 4) for version in versions} == scores


@pytest.mark.slow
def test_the_documented_comparisons_of_metrics_work(checkout):
    output = checkout.do("bash", "-ec", commands_of("comparing.md", "Metrics", **{"HEAD~1": "old"}))
    assert "worst_class_recall" in output and "module.learning_rate" in output
