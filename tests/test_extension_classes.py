"""Test networks, modules and callbacks of other packages that a config names as `package.module:Class`."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from children import Ended, in_child
from lectern.artifacts import model_folder
from lectern.artifacts.dataset import read_facts
from lectern.errors import UserError
from lectern.registry import model_card
from lectern.registry.version_code import has_checkout_code
from lectern.stages import evaluation
from lectern.training import plan
from registered import DATASET, load_test_images, paths_of, register, skip_plots
from test_config_mistakes import compose_config

NETWORK = "shapes.networks:SmallCNN"
FILES = {
    "__init__.py": "",
    "sizes.py": "CHANNELS = 4\n",
    "networks.py": '''"""Define networks."""
from torch import nn

from lectern.config import DropoutRate
from shapes.sizes import CHANNELS


class SmallCNN(nn.Sequential):
    def __init__(self, dropout: DropoutRate = 0.0):
        layers = [nn.Conv2d(1, CHANNELS, 5, stride=4), nn.ReLU(), nn.Flatten(), nn.Dropout(dropout)]
        super().__init__(*layers, nn.Linear(36 * CHANNELS, 10))
''',
    "modules.py": '''"""Define modules."""
from torch import nn

from lectern.tasks.digits.model.module import DigitClassifier
from lectern.training.module import TrainableModule


class Classifier(DigitClassifier):
    pass


class Unrelated(TrainableModule):
    pass
''',
    "broken.py": "1 / 0\n",
    "lacks_library.py": "import a_library_that_does_not_exist\n",
}


@pytest.fixture
def shapes(project, monkeypatch) -> Path:
    """Write the package `shapes` to the folder `src` of the project, and allow it. Return the folder of the package."""
    folder = project / "src" / "shapes"
    folder.mkdir(parents=True)
    for name, text in FILES.items():
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(folder.parent)
    allow("lectern", "shapes")
    return folder


def allow(*packages: str) -> None:
    path = Path("conf/config.yaml")
    path.write_text(path.read_text().replace("[lectern]", f"[{', '.join(packages)}]"))


def config_with(module: dict[str, Any] | None = None, **fit: Any) -> dict[str, Any]:
    config = compose_config()
    config["model"]["module"] |= module or {"network": {"class": NETWORK}}
    config["model"]["fit"]["laptop"] |= fit
    return config


def check(config: dict[str, Any]) -> str:
    """Return the checkpoint key of a training, after all checks of the train stage."""
    made = plan.read_plan(config)
    plan.check_module(made, read_facts(made.processed))
    return made.key


def run(function: Any, *arguments: Any) -> Ended:
    """Call a function in a child process, so that the tests do not share imported modules."""
    return in_child(function, *arguments)


MISTAKES = {
    "numpy.random:Generator": "the package numpy is not allowed. Allowed: lectern, shapes. If you trust",
    "shapes.missing:SmallCNN": "Python found no module shapes.missing. Install the package shapes in this environment",
    "shapes.networks:SmalCNN": "shapes.networks has no class 'SmalCNN'; did you mean 'SmallCNN'?",
    "shapes.sizes:CHANNELS": "shapes.sizes:CHANNELS is 4; expected a subclass of torch.nn.modules.module.Module.",
    "shapes.networks:nn": "expected a subclass of torch.nn.modules.module.Module.",
    "shapes.modules:DropoutRate": "shapes.modules has no class 'DropoutRate'",
    "shapes.broken:Net": "the module shapes.broken cannot be imported: ZeroDivisionError: division by zero",
    "shapes.lacks_library:Net": "the module shapes.lacks_library cannot be imported: No module named",
    "shapes networks:Net": "class is 'shapes networks:Net'; expected package.module:Class",
}


def test_a_class_that_cannot_be_used_is_reported_with_the_reason(shapes):
    def check_all() -> None:
        for reference, message in MISTAKES.items():
            with pytest.raises(UserError) as error:
                check(config_with({"network": {"class": reference}}))
            assert message in str(error.value), str(error.value)
        with pytest.raises(UserError, match="unknown key 'dropuot'; did you mean 'dropout'"):
            check(config_with({"network": {"class": NETWORK, "dropuot": 0.1}}))
        with pytest.raises(UserError, match=r"dropout is 2; expected a number less than 1"):
            check(config_with({"network": {"class": NETWORK, "dropout": 2}}))
        with pytest.raises(UserError, match=r"a subclass of lectern.tasks.digits.model.module.DigitClassifier"):
            check(config_with({"class": "shapes.modules:Unrelated"}))
        with pytest.raises(UserError, match=r"allowed_packages cannot be set on the command line. Change conf/config"):
            check({**config_with(), "allowed_packages": ["lectern", "numpy"]})

    ended = run(check_all)
    assert ended.code == 0, ended.said


def test_a_class_that_an_allowed_module_only_imports_is_rejected(shapes):
    def check_imported_class() -> None:
        (shapes / "networks.py").write_text("from torch.nn import Flatten\n")
        with pytest.raises(UserError, match=r"is defined in torch.nn.modules.flatten, and the package torch is"):
            check(config_with({"network": {"class": "shapes.networks:Flatten"}}))

    ended = run(check_imported_class)
    assert ended.code == 0, ended.said


@pytest.mark.slow
def test_the_checkpoint_key_depends_on_the_files_that_the_class_imports(shapes):
    def key() -> str:
        ended = run(lambda: print(check(config_with())))
        assert ended.code == 0, ended.said
        return ended.said.split()[-1]

    first = key()
    (shapes / "broken.py").write_text("1 / 1\n")  # SmallCNN does not import this file
    (shapes / "networks.py").write_text("# a comment\n" + FILES["networks.py"])
    assert key() == first
    (shapes / "sizes.py").write_text("CHANNELS = 2 + 2\n")
    assert key() != first


# Callbacks

CALLBACK_MISTAKES = {
    "numpy:ndarray": "the package numpy is not allowed. Allowed: lectern, shapes, pytorch_lightning.callbacks.",
    "pytorch_lightning.callbacks:EarlyStoping": "no class 'EarlyStoping'; did you mean 'EarlyStopping'?",
    "pytorch_lightning.trainer:Trainer": "the package pytorch_lightning is not allowed",
    NETWORK: "expected a subclass of pytorch_lightning.callbacks.callback.Callback",
}
TIMER = {"class": "pytorch_lightning.callbacks:Timer", "duration": "00:12:00:00"}


@pytest.mark.slow
def test_a_callback_that_cannot_be_used_is_reported_with_the_reason(shapes):
    def check_all() -> None:
        for reference, message in CALLBACK_MISTAKES.items():
            with pytest.raises(UserError) as error:
                check(config_with(callbacks=[{"class": reference}]))
            assert message in str(error.value) and "fit.laptop.callbacks[0]" in str(error.value), str(error.value)
        with pytest.raises(UserError, match=r"unknown key 'durations'; did you mean 'duration'"):
            check(config_with(callbacks=[{"class": TIMER["class"], "durations": 3}]))
        with pytest.raises(UserError, match=r"callbacks.0 is 'Timer'; expected a mapping"):
            check(config_with(callbacks=["Timer"]))
        plain, other = check(config_with()), check(config_with(callbacks=[TIMER]))
        assert plain != other != check(config_with(callbacks=[{**TIMER, "duration": "00:13:00:00"}]))

    ended = run(check_all)
    assert ended.code == 0, ended.said


# Model folders and registered versions


def write_outputs(experiment: str) -> None:
    """Write the outputs of an experiment with the network of the package `shapes`, without training it."""
    skip_plots()
    paths = paths_of(experiment)
    made = plan.read_plan(config_with({"class": "shapes.modules:Classifier", "network": {"class": NETWORK}}))
    chosen = model_folder.find_class("digits", "shapes.modules:Classifier")
    module = chosen(facts=read_facts(paths.processed), network={"class": NETWORK}, learning_rate=0.1)
    model_folder.save_model(module, paths.model, made.metadata)
    shutil.copy("models/best/history.csv", paths.model)
    evaluation.evaluate(paths, DATASET)
    model_card.write_card(paths, DATASET)


@pytest.fixture
def client(evaluated_project, shapes, store) -> MlflowClient:
    ended = run(write_outputs, "shapes")
    assert ended.code == 0, ended.said
    return MlflowClient(store, store)


def predict() -> None:
    model_folder.load_model(Path("models/shapes")).predict(load_test_images())


@pytest.mark.slow
def test_a_model_is_loaded_only_with_the_class_with_which_it_was_trained(client, shapes):
    metadata = json.loads(Path("models/shapes/module.json").read_text())
    assert metadata["class"] == "shapes.modules:Classifier" and metadata["task"] == "digits"
    assert [record["class"] for record in metadata["extensions"]] == ["shapes.modules:Classifier", NETWORK]
    assert run(predict).code == 0
    (shapes / "sizes.py").write_text("CHANNELS = 2 * 2\n")
    said = run(predict).said
    assert f"models/shapes was trained with {NETWORK} (digest " in said and "train@shapes" in said
    shutil.rmtree(shapes)
    assert "Python found no module shapes.modules. Install the package shapes" in run(predict).said
    allow_nothing = Path("conf/config.yaml").read_text().replace(", shapes]", "]")
    Path("conf/config.yaml").write_text(allow_nothing)
    assert "the package shapes is not allowed" in run(predict).said


def test_a_version_contains_the_files_of_its_classes(client, shapes, tmp_path, monkeypatch):
    def register_shapes() -> None:
        (version,) = register(client, "shapes")
        assert version.extensions == ("shapes.modules:Classifier", NETWORK) and has_checkout_code(version)
        print(version.code)

    def predict_with_version(number: str) -> None:
        import mlflow

        images = load_test_images()
        monkeypatch.chdir(tmp_path)  # a folder without configs
        mlflow.pyfunc.load_model(f"models:/sample_digits/{number}").predict(images)

    def register_again() -> None:
        skip_plots()
        with pytest.raises(UserError, match=r"models/shapes was trained with shapes.networks:SmallCNN"):
            register(client, "shapes")

    first = run(register_shapes)
    assert first.code == 0, first.said
    (shapes / "sizes.py").write_text("CHANNELS = 2 * 2\n")
    ended = run(register_again)
    assert ended.code == 0, ended.said
    shutil.rmtree(shapes)
    ended = run(predict_with_version, "1")
    assert ended.code == 0, ended.said
    files = {path.name for path in tmp_path.rglob("mlartifacts/**/extensions/shapes/*.py")}
    assert files == {"__init__.py", "sizes.py", "networks.py", "modules.py"}
