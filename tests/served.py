"""A house with a small champion of every task, made in seconds, and a server over it: the real command, real HTTP."""

import io
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import requests
import torch
from mlflow import MlflowClient
from PIL import Image

from lectern.artifacts import model_folder
from lectern.artifacts.dataset import read_facts
from lectern.artifacts.paths import ExperimentPaths
from lectern.atomic import write_json
from lectern.registry import register, versions

ROOT = Path(__file__).parents[1]
DIGITS, POEMS, TOY, ROAD = "sample_digits", "sample_code", "sample_numbers", "sample_road"  # as the demo calls them


@dataclass
class Server:
    """A server that runs, and what it has said."""

    url: str
    process: subprocess.Popen
    said: list[str]

    def get(self, path: str, **more) -> requests.Response:
        return requests.get(self.url + path, timeout=60, **more)

    def post(self, path: str, **more) -> requests.Response:
        return requests.post(self.url + path, timeout=650, **more)

    def metric(self, metric: str, model: str) -> float:
        """A figure that it tells Prometheus of a model; 0 before there is one."""
        start = f'{metric}{{model="{model}"}} '
        lines = (line for line in self.get("/metrics").text.splitlines() if line.startswith(start))
        return next((float(line.removeprefix(start)) for line in lines), 0.0)

    def predict(self, name: str, **body) -> requests.Response:
        return self.post(f"/v1/models/{name}/predict", json=body)


@contextmanager
def serving(house: Path, store: str, *options: str, **environment: str) -> Iterator[Server]:
    """`lectern serve` in a house, until the block ends."""
    more = {"MLFLOW_TRACKING_URI": store, "PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1", **environment}
    command = [sys.executable, "-c", "from lectern.cli import main; main()", "serve", "--port", "0", *options]
    process = subprocess.Popen(
        command, cwd=house, env={**os.environ, **more}, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True
    )
    try:
        yield started(process)
    finally:
        process.terminate()
        process.wait(20)


def started(process: subprocess.Popen) -> Server:
    """The server, once it says where it is and answers there."""
    said: list[str] = []
    for line in process.stdout:
        said.append(line)
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            break
    else:
        raise AssertionError("".join(said))
    threading.Thread(target=lambda: said.extend(process.stdout), daemon=True).start()
    for _ in range(600):
        try:
            requests.get(f"{found[0]}/healthz", timeout=5)
            return Server(found[0], process, said)
        except requests.ConnectionError:
            time.sleep(0.05)
    raise AssertionError("".join(said))


def as_png(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def write_version(client: MlflowClient, experiment: str, dataset: str, module, score: float) -> str:
    """A model folder and what register needs beside it, registered; returns the version's number."""
    paths = ExperimentPaths(experiment, dataset)
    model_folder.save_model(module.eval(), paths.model)
    metrics = {"score": score, "baseline": 0.0, "higher_is_better": True, "test_digest": "0" * 64}
    for folder in (paths.metrics_file.parent, paths.card.parent, paths.report):
        folder.mkdir(parents=True, exist_ok=True)
    write_json(paths.metrics_file, metrics)
    paths.card.write_text(
        f"# {experiment}\n\nA small model for tests, of `{dataset}` (test digest `{'0' * 64}`).\n\n"
        f"| metric | value |\n| --- | ---: |\n| worst_class_recall | {score} |\n"
    )
    experiment_id = client.get_experiment_by_name("lectern/tests")
    experiment_id = experiment_id.experiment_id if experiment_id else client.create_experiment(
        "lectern/tests", Path("mlartifacts").absolute().as_uri()
    )  # fmt: skip
    run = client.create_run(experiment_id, run_name=experiment)
    client.set_terminated(run.info.run_id)
    return str(register.register(client, paths, run.info.run_id).version)


def make_champions(digits: Path, store: str) -> None:
    """In the house at hand: two versions of digits, the better one champion, and a champion of each other task."""
    client = MlflowClient(store, store)
    for name, (number, _) in {**write_digits(client, digits), **write_others(client)}.items():
        versions.point_champion(client, name, versions.get_version(client, name, number))


def write_digits(client: MlflowClient, digits: Path) -> dict:
    """A weak network, and one that has also been taught drawings."""
    from registered import teach

    processed = Path("data/processed") / DIGITS
    shutil.copytree(digits, processed)
    taught = {"weak": (teach(processed, 60), 0.5), "best": (teach(with_drawings(processed), 3000), 0.9)}
    numbers = [write_version(client, name, DIGITS, module, score) for name, (module, score) in taught.items()]
    return {DIGITS: (numbers[1], numbers[0])}


def with_drawings(processed: Path) -> Path:
    """The training images with thirty drawings of each digit, which no test draws again."""
    from drawn_digits import draw
    from lectern.tasks.digits.serving.drawing import to_mnist_image

    drawn = np.stack([to_mnist_image(draw(digit, number)) for digit in range(10) for number in range(1000, 1030)])
    more = {"images": drawn, "labels": np.repeat(np.arange(10, dtype=np.uint8), 30)}
    folder = Path("with_drawings")
    shutil.copytree(processed, folder)
    for what, new in more.items():
        path = folder / f"train_{what}.npy"
        np.save(path, np.concatenate([np.load(path), new]))
    return folder


def write_others(client: MlflowClient) -> dict:
    torch.manual_seed(0)
    made = {POEMS: ("poems", make_writer), TOY: ("toy", make_translator), ROAD: ("road", make_steerer)}
    return {
        name: (write_version(client, experiment, name, make(Path("data/processed") / name), 0.5), None)
        for name, (experiment, make) in made.items()
    }


def move_processed(made: Path, processed: Path) -> dict:
    processed.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(made, processed)
    return read_facts(processed)


def make_writer(processed: Path):
    """An untaught network for the letters of four poems, large enough to be stopped in the middle of a text."""
    from language_model_texts import make_processed
    from lectern.tasks.language_model.model.module import CharacterModel

    facts = move_processed(make_processed(Path("raw_poems"))[0], processed)
    return CharacterModel(facts, {"class": "RecurrentNetwork", "cell": "gru", "layers": 1, "hidden": 512}, 0.01)


def make_translator(processed: Path, network: str = "transformer"):
    """A Transformer that has seen a toy language for a moment."""
    from torch.nn import functional as F

    from lectern.tasks.translation.data.format.vocabulary import PAD
    from translation_toy import PAIRS, make_processed
    from translation_toy import make_translator as make

    facts = move_processed(make_processed(Path("raw_toy")), processed)
    translator = make(facts, network)
    sources, targets = zip(*PAIRS, strict=True)
    source, target = (pad(facts, side, begin) for side, begin in ((sources, []), (targets, [1])))
    optimizer = torch.optim.Adam(translator.parameters(), 0.005)
    for _ in range(25):
        logits = translator.network.logits(translator.network(source, target[:, :-1]))
        loss = F.cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten(), ignore_index=PAD)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return translator


def pad(facts: dict, texts, begin: list[int]) -> torch.Tensor:
    from torch.nn.utils.rnn import pad_sequence

    from lectern.tasks.translation.data.format import vocabulary
    from lectern.tasks.translation.data.format.vocabulary import EOS

    ids = vocabulary.encode(vocabulary.load(facts["tokenizer"]), texts)
    return pad_sequence([torch.tensor(begin + one + [EOS]) for one in ids], batch_first=True)


def make_steerer(processed: Path):
    """PilotNet, untaught but for its last layer, so that its wheel moves with what it sees."""
    from lectern.tasks.steering.data.preprocess import preprocess
    from lectern.tasks.steering.model.module import SteeringModel
    from steering_recordings import ARGUMENTS, BLOCKS, udacity_sim

    udacity_sim(Path("raw_road"))
    preprocess(Path("raw_road"), processed, reader="udacity_sim", **BLOCKS, **ARGUMENTS)
    steerer = SteeringModel(read_facts(processed), {"class": "PilotNet"}, {"angle": 1.0}, 0.001)
    torch.nn.init.normal_(steerer.network.say.weight, std=0.5)
    return steerer
