"""Test the demo folder, a DVC project that uses the stages, configs and code of the main project."""

import shutil

import pytest
import yaml

from checkout import ROOT, Checkout
from lectern.task_modules import task_names

DEMO = yaml.safe_load((ROOT / "demo/experiments.yaml").read_text())
REAL = yaml.safe_load((ROOT / "experiments.yaml").read_text())
SHARED = ("conf", "pipelines", "src", "dvc.yaml", "params.yaml", ".dvcignore")


def test_demo_uses_the_stages_configs_and_code_of_the_project():
    for name in SHARED:
        assert (ROOT / "demo" / name).resolve() == ROOT / name, name


def test_demo_has_one_experiment_per_task():
    assert sorted(values["task"] for values in DEMO["experiments"].values()) == [*task_names()]


def test_demo_and_project_share_no_name():
    for group in ("origins", "datasets", "experiments"):
        assert not set(DEMO[group]) & set(REAL[group]), group


@pytest.mark.slow
def test_stage_of_the_demo_leaves_git_clean(tmp_path):
    checkout = Checkout(tmp_path / "lectern")
    shutil.copytree(ROOT / "demo/.dvc", checkout / "demo/.dvc", ignore=shutil.ignore_patterns("cache", "tmp"))
    shutil.copy(ROOT / "demo/experiments.yaml", checkout / "demo")
    for name in SHARED:
        (checkout / "demo" / name).symlink_to(f"../{name}")
    checkout.git("add", ".")
    checkout.git("commit", "--quiet", "--message=Add the demo")
    output = checkout.do("dvc", "--cd", "demo", "repro", "download@sample_digits")
    assert "Running stage 'download@sample_digits'" in output
    assert (checkout / "demo/data/raw/sample_digits").is_dir() and (checkout / "demo/dvc.lock").is_file()
    assert checkout.git("status", "--porcelain") == ""
    assert "up to date" in checkout.do("dvc", "--cd", "demo", "status", "download@sample_digits")
