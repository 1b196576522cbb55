"""Test which change makes which stage stale, with `dvc status` for two experiments of every task."""

import json
from pathlib import Path

import pytest
import yaml

from checkout import EXPERIMENT_STAGES, ROOT, Checkout
from lectern.task_modules import task_names

DEMO = yaml.safe_load((ROOT / "demo/experiments.yaml").read_text())
OTHER_MODELS = {
    "digits": "digits_resnet", "language_model": "char_gru", "translation": "seq2seq", "steering": "pilotnet",
    "sentences": "sentence_lstm",
}  # fmt: skip
OTHERS = {  # a task without an entry in OTHER_MODELS has two experiments with the same model
    f"other-{name.removeprefix('demo-')}": {**values, "model": OTHER_MODELS.get(values["task"], values["model"])}
    for name, values in DEMO["experiments"].items()
}
EXPERIMENTS = DEMO["experiments"] | OTHERS
TASKS = task_names()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Checkout:
    """Return a checkout in which every output exists as a placeholder and is recorded as up to date."""
    checkout = Checkout(tmp_path_factory.mktemp("staleness") / "lectern", DEMO | {"experiments": EXPERIMENTS})
    folders = [f"data/raw/{origin}" for origin in DEMO["origins"]]
    folders += [f"data/processed/{dataset}" for dataset in DEMO["datasets"]]
    folders += [f"{kind}/{name}" for kind in ("models", "reports") for name in EXPERIMENTS]
    for folder in folders:
        (checkout / folder).mkdir(parents=True)
        (checkout / folder / "placeholder").write_text(folder)
    for name in EXPERIMENTS:
        for file in (f"metrics/{name}.json", f"cards/{name}.md"):
            (checkout / file).parent.mkdir(exist_ok=True)
            (checkout / file).write_text(json.dumps({"experiment": name}))
    checkout.do("dvc", "commit", "--force", "--quiet")
    assert checkout.stale() == set()
    return checkout


def stages(names: list[str], first: str = "train") -> set[str]:
    later = EXPERIMENT_STAGES[EXPERIMENT_STAGES.index(first) :]
    return {f"{stage}@{name}" for stage in later for name in names}


def experiments_of(task: str) -> list[str]:
    return [name for name, values in EXPERIMENTS.items() if values["task"] == task]


def change_docstrings(checkout: Checkout, folder: str) -> dict[Path, str]:
    """Change the docstring of every module in a folder. Return the original texts."""
    texts = {path: path.read_text() for path in (checkout / folder).rglob("*.py")}
    assert texts
    for path, text in texts.items():
        path.write_text(text.replace('"""', '"""Changed. ', 1))
    return texts


def stale_after_docstrings(checkout: Checkout, *folders: str) -> set[str]:
    """Return the stages that become stale if the docstrings in the given folders change."""
    texts = {path: text for folder in folders for path, text in change_docstrings(checkout, folder).items()}
    try:
        return checkout.stale()
    finally:
        for path, text in texts.items():
            path.write_text(text)


@pytest.mark.parametrize("task", TASKS)
def test_docstring_in_model_makes_exactly_the_trainings_of_its_task_stale(checkout, task):
    stale = stale_after_docstrings(checkout, f"src/lectern/tasks/{task}/model")
    assert stale == stages(experiments_of(task))


def test_docstring_in_report_makes_no_training_stale(checkout):
    stale = stale_after_docstrings(checkout, *(f"src/lectern/tasks/{task}/report" for task in TASKS))
    assert stale == stages(list(EXPERIMENTS), first="evaluate")


def test_docstring_in_serving_makes_only_register_stale(checkout):
    stale = stale_after_docstrings(checkout, *(f"src/lectern/tasks/{task}/serving" for task in TASKS))
    assert stale == stages(list(EXPERIMENTS), first="register")


def test_docstring_in_other_packages_makes_nothing_stale(checkout):
    packages = ("serving", "cli", "cluster", "sweeps", "tracking")
    assert stale_after_docstrings(checkout, *(f"src/lectern/{package}" for package in packages)) == set()


def test_docstring_in_training_makes_every_training_stale(checkout):
    assert stale_after_docstrings(checkout, "src/lectern/training") == stages(list(EXPERIMENTS))


@pytest.mark.parametrize("name", ["demo-digits", "other-road"])
def test_changed_learning_rate_makes_exactly_the_trainings_of_that_model_stale(checkout, name):
    model = EXPERIMENTS[name]["model"]
    sharing = [other for other, values in EXPERIMENTS.items() if values["model"] == model]
    with checkout.changed(f"conf/model/{model}.yaml", lambda text: text.replace("learning_rate: ", "learning_rate: 1")):
        assert checkout.stale() == stages(sharing)


def test_another_trainer_makes_nothing_stale(checkout):
    assert checkout.stale(TRAINER="gpus", LAUNCH="srun") == set()
    with checkout.changed("conf/trainer/laptop.yaml", lambda text: text.replace("threads: 1", "threads: 4")):
        assert checkout.stale() == set()


def test_the_full_budget_matters_only_once_it_is_selected(checkout):
    def more_epochs(text: str) -> str:
        model = yaml.safe_load(text)
        model["fit"]["full"]["epochs"] += 1
        return yaml.safe_dump(model, sort_keys=False)

    with checkout.changed("conf/model/digits_resnet.yaml", more_epochs):
        assert checkout.stale() == set()
    with checkout.changed("params.yaml", lambda text: text.replace("laptop", "full")):
        assert checkout.stale() == stages(list(EXPERIMENTS))


def test_another_validation_split_makes_every_later_stage_of_the_dataset_stale(checkout):
    with checkout.changed(
        "conf/dataset/sample_digits.yaml", lambda text: text.replace("validation: 240", "validation: 241")
    ):
        assert checkout.stale() == {"preprocess@sample_digits"} | stages(["demo-digits", "other-digits"])


def test_bytecode_makes_nothing_stale(checkout):
    with checkout.changed("src/lectern/download/__pycache__/new.cpython-311.pyc"):
        assert checkout.stale() == set()
