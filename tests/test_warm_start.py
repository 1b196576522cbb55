"""Test the checks of `init_from`: the source of the weights, the fit of the weights, and the lists of experiments."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lectern.artifacts import model_folder
from lectern.artifacts.dataset import read_facts
from lectern.artifacts.pipeline_variables import train_stage
from lectern.errors import UserError
from lectern.revisions.pull import pull_experiment
from lectern.stages.experiments import get_experiment, read_experiments
from lectern.tasks.digits.model.module import DigitClassifier
from lectern.tasks.language_model.model.module import CharacterModel
from lectern.training import plan
from lectern.training.warm_start import copy_weights
from lectern.training.warm_start_dependency import check_dependency
from lectern.training.warm_start_fit import check_fit
from test_config_mistakes import compose_config

SOURCE = "models/pretrained"
NETWORK = {"class": "DigitResNet", "width": 8, "blocks": 1}
ALPHABET = {"alphabet": "\nabc", "prepare": {}}
TRANSFORMER = {"class": "TransformerNetwork", "layers": 1, "width": 8, "heads": 2, "memory": 4}


@pytest.fixture
def source(project) -> Path:
    """Return the model folder of the experiment `pretrained`."""
    facts = read_facts(Path("data/processed/sample_digits"))
    model_folder.save_model(DigitClassifier(facts, NETWORK, learning_rate=0.1), Path(SOURCE))
    return Path(SOURCE)


@pytest.fixture
def read(source) -> Callable[..., plan.Plan]:
    """Return a function that checks the config of a training on the sample digits with some values of the model."""

    def read_and_check(init_from: Any = SOURCE, network: dict[str, Any] = NETWORK, **more: Any) -> plan.Plan:
        config = compose_config() | more
        model = config["model"]
        config["model"] = {**model, "module": {**model["module"], "network": network}, "init_from": init_from}
        checked = plan.read_plan(config)
        plan.check_module(checked, read_facts(checked.processed))
        return checked

    return read_and_check


@pytest.mark.parametrize(
    ("init_from", "message"),
    [
        ("pretrained", r"init_from is 'pretrained'; expected models/EXPERIMENT"),
        ("/models/pretrained", "Absolute paths and paths outside models/ are not supported"),
        ("models/../secret", "expected models/EXPERIMENT"),
        ("models/..", "expected models/EXPERIMENT"),
        ("models/pretrained/../x", "expected models/EXPERIMENT"),
        ("models/mnist-cnn", r"models/mnist-cnn lacks module.json and .*Run `dvc repro train@mnist-cnn`"),
        ("models/mnist-cn", r"there is no experiment 'mnist-cn'; did you mean 'mnist-cnn'\?"),
        (7, "expected text|is 7"),
        ({"parts": ["network"]}, "missing key 'model'"),
        ({"model": SOURCE, "part": ["network"]}, "unknown key 'part'; did you mean 'parts'"),
        ({"model": SOURCE, "parts": []}, r"parts is \[\]; expected the names of parts"),
        ({"model": SOURCE, "parts": "network"}, "parts is 'network'"),
        ({"model": SOURCE, "parts": ["network.stm"]}, "has no part 'network.stm'; did you mean"),
    ],
)
def test_a_wrong_source_is_refused_with_what_to_do(read, init_from, message):
    with pytest.raises(UserError, match=message):
        read(init_from)


@pytest.mark.parametrize("name", ["module.json", "weights.safetensors"])
def test_an_incomplete_or_damaged_source_is_refused(read, source, name):
    (source / name).write_bytes((source / name).read_bytes()[:-40])
    with pytest.raises(UserError, match=f"{SOURCE}/{name} is damaged .*Run `dvc repro train@pretrained`"):
        read()
    (source / name).unlink()
    with pytest.raises(UserError, match="there is no experiment 'pretrained'"):
        read()


def test_every_tensor_that_does_not_fit_is_named_with_both_shapes_and_the_parts_that_fit(read):
    with pytest.raises(UserError) as caught:
        read(network=NETWORK | {"width": 4})
    message = str(caught.value)
    shapes = {name: list(value.shape) for name, value in DigitClassifier({}, NETWORK, 0.1).state_dict().items()}
    wrong = [name for name, shape in shapes.items() if 8 in shape or 16 in shape or 32 in shape]
    assert wrong and all(f"{name}: found float32 {shapes[name]}, expected float32 [" in message for name in wrong)
    assert message.count(": found ") == message.count("expected ") == len(wrong)


def test_the_named_parts_must_fit_and_the_other_parts_may_differ(read, source):
    facts, other = read_facts(Path("data/processed/sample_digits")), NETWORK | {"blocks": 2}
    with pytest.raises(UserError, match=r"found no tensor, expected float32") as caught:
        read(network=other)
    suggested = str(caught.value).partition("parts: [")[2].partition("]")[0].split(", ")
    planned = read({"model": SOURCE, "parts": suggested}, other)
    module = DigitClassifier(facts, other, learning_rate=0.1)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    copy_weights(module, planned.warm_start)
    weights = model_folder.load_file(source / "weights.safetensors")
    for name, value in module.state_dict().items():
        is_copied = any(name.startswith(f"{part}.") for part in suggested)
        assert (value == (weights[name] if is_copied else before[name])).all(), name


def test_the_weights_of_another_network_class_do_not_fit(read):
    with pytest.raises(UserError, match='network.class is "DigitResNet" there and "DigitCNN" here|do not fit'):
        read(network={"class": "DigitCNN", "dropout": 0.5})


@pytest.mark.parametrize(
    ("facts", "network", "message"),
    [
        (ALPHABET | {"alphabet": "\nabd"}, TRANSFORMER, r'alphabet is "\\nabc" there and "\\nabd" here'),
        (ALPHABET, TRANSFORMER | {"heads": 4}, "network.heads is 2 there and 4 here"),
        (ALPHABET | {"alphabet": "\nabcd"}, TRANSFORMER, "do not fit this model"),
    ],
)
def test_a_tensor_that_would_mean_something_else_is_refused(tmp_path, facts, network, message):
    """An alphabet of the same size gives an embedding of the same shape, in which the rows mean other characters."""
    model_folder.save_model(CharacterModel(ALPHABET, TRANSFORMER, learning_rate=0.1), tmp_path)
    with pytest.raises(UserError, match=message):
        check_fit(CharacterModel(facts, network, learning_rate=0.1), tmp_path, [])
    check_fit(CharacterModel(ALPHABET | {"characters": 9}, TRANSFORMER | {"dropout": 0.5}, 0.1), tmp_path, [])


class Undeclared(DigitClassifier):
    """A module that does not say what its weights depend on."""

    warm_start_requires = model_folder.TrainableModule.warm_start_requires


def test_a_module_without_declaration_accepts_only_equal_facts_and_networks(source):
    facts = read_facts(Path("data/processed/sample_digits"))
    check_fit(Undeclared(facts, NETWORK, learning_rate=0.5), source, [])
    with pytest.raises(UserError, match="facts is .*lists these dependencies in warm_start_requires"):
        check_fit(Undeclared(facts | {"mean": 0.4}, NETWORK, learning_rate=0.5), source, [])


def test_the_checkpoint_key_depends_on_the_source_and_on_the_parts(read, source):
    keys = {read(init_from).key for init_from in (None, SOURCE, {"model": SOURCE, "parts": ["network"]})}
    assert len(keys) == 3 and read({"model": SOURCE}).key == read(SOURCE).key
    facts = read_facts(Path("data/processed/sample_digits"))
    model_folder.save_model(DigitClassifier(facts, NETWORK, learning_rate=0.1), source)
    assert read().key not in keys


def test_a_config_without_init_from_has_no_record(read):
    assert read(None).metadata == {} and "init_from" not in json.dumps(read(None).metadata)


def test_weights_that_were_replaced_after_the_check_are_refused(read, source):
    planned, facts = read(), read_facts(Path("data/processed/sample_digits"))
    model_folder.save_model(DigitClassifier(facts, NETWORK, learning_rate=0.1), source)
    with pytest.raises(UserError, match="was replaced while this training started"):
        copy_weights(DigitClassifier(facts, NETWORK, learning_rate=0.1), planned.warm_start)


LINE = "{dataset: sample_digits, task: digits, model: digits_cnn"


PRE_TRAINED = f"pre_trained:\n  general: {LINE}}}\n"


def list_experiments(*fine_tuned: str, trained: str = f"  pretrained: {LINE}}}\n", evaluated: str = "") -> None:
    tuned = "".join(f"  {name}: {LINE}, init_from: {source}}}\n" for name, source in map(str.split, fine_tuned))
    head = f"experiments: &experiments\n{trained}fine_tuned: &fine_tuned{tuned and chr(10)}{tuned or ' {}'}\n"
    Path("experiments.yaml").write_text(
        f"{head}evaluated: {evaluated or '{<<: [*experiments, *fine_tuned]}'}\n",
    )


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"fine_tuned": ["tuned nothing"]}, "tuned has init_from 'nothing', but there is no experiment 'nothing'"),
        ({"fine_tuned": ["tuned tuned"]}, "tuned starts from tuned. Expected an experiment that does not start"),
        ({"fine_tuned": ["a b", "b a"]}, "a starts from b starts from a"),
        ({"fine_tuned": ["pretrained pretrained"]}, "lists pretrained in experiments and in fine_tuned"),
        (
            {"fine_tuned": ["tuned pretrained"], "evaluated": "{}"},
            "evaluated must list .* in pretrained, tuned",
        ),
        (
            {"fine_tuned": ["general general"], "trained": f"  pretrained: {LINE}}}\n{PRE_TRAINED}"},
            "lists general in pre_trained and in fine_tuned",
        ),
        ({"fine_tuned": [], "evaluated": "[pretrained]"}, "evaluated is .*; expected lines of the form"),
    ],
)
def test_inconsistent_lists_of_experiments_are_refused(project, lists, message):
    list_experiments(*lists.pop("fine_tuned"), **lists)
    with pytest.raises(UserError, match=message):
        read_experiments()


def test_a_pre_trained_experiment_is_a_source_and_is_not_evaluated(project):
    list_experiments("tuned general", trained=f"  pretrained: {LINE}}}\n{PRE_TRAINED}")
    assert list(read_experiments()) == ["pretrained", "tuned"]
    assert get_experiment("general").model == "digits_cnn"
    assert [train_stage(name) for name in ("general", "tuned", "pretrained")] == [
        "pre_train@general", "fine_tune@tuned", "train@pretrained",
    ]  # fmt: skip


def test_only_the_model_of_a_pre_trained_experiment_is_pulled(project):
    list_experiments("tuned general", trained=f"  pretrained: {LINE}}}\n{PRE_TRAINED}")
    with pytest.raises(UserError, match="`dvc pull models/general` failed"):  # the project has no DVC remote
        next(pull_experiment("general"))
    with pytest.raises(UserError, match=r"metrics/tuned.json does not exist, so this commit has no result of tuned"):
        next(pull_experiment("tuned"))


def test_the_config_and_experiments_yaml_must_name_the_same_source(read):
    list_experiments("tuned pretrained", "twice tuned")
    tuned = Path("models/tuned")
    check_dependency(read(), tuned)
    check_dependency(read(None), Path("models/pretrained"))
    check_dependency(read(), Path("runs/any-folder/tuned"))
    with pytest.raises(UserError, match="Add `init_from: models/pretrained` to conf/model/digits_cnn.yaml, or move"):
        check_dependency(read(None), tuned)
    with pytest.raises(UserError, match="the model folder that this training writes"):
        check_dependency(read(), Path(SOURCE))
    with pytest.raises(UserError, match=f"below fine_tuned: `twice: {LINE}, init_from: pretrained}}`"):
        check_dependency(read(), Path("models/twice"))
    list_experiments(trained=f"  pretrained: {LINE}}}\n  tuned: {LINE}}}\n")
    with pytest.raises(UserError, match=f"from random weights, .*`tuned: {LINE}, init_from: pretrained}}`"):
        check_dependency(read(), tuned)
