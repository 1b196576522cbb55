"""Three trainings through the stages: the gate tells the one that learned nothing from the one that learned more."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import requests

from children import in_child, lectern, run_stage, warm
from registered import NAME, without_pictures
from servers import free_port, wait_until

HOW = {
    "first": ["model.fit.laptop.epochs=2"],
    "unlearned": ["model.fit.laptop.epochs=1", "model.module.learning_rate=1e-12"],
    "better": ["model.fit.laptop.epochs=12"],
}


def train(experiment: str) -> None:
    """From the sample to a registered version, as `dvc repro` does it."""
    out = ["model=digits_cnn", f"out=models/{experiment}", "trainer.threads=1", *HOW[experiment]]
    name = [f"experiment={experiment}"]
    for stage, words in {"train": out, "evaluate": name, "register": name}.items():
        ended = in_child(stage_without_pictures, stage, f"dataset={NAME}", *words)
        assert ended.code == 0, ended.said


def stage_without_pictures(*words: str) -> None:
    without_pictures()
    run_stage(*words)


@pytest.mark.slow
def test_the_gate_refuses_what_learned_nothing_and_passes_what_learned_more(house, store):
    warm()
    for experiment in HOW:
        train(experiment)
    scores = {name: json.loads(Path(f"metrics/{name}.json").read_text())["score"] for name in HOW}
    assert scores["unlearned"] < 0.3 < scores["first"] < scores["better"]
    assert lectern("promote", NAME, "--version", "1").code == 0

    refused = lectern("promote", NAME, "--version", "2")
    assert refused.code == 3 and f"score {scores['unlearned']:.4f}, champion {scores['first']:.4f}" in refused.said
    assert re.search(r"NO +better than the champion by more than noise.*better by -0\.\d+ to -0\.\d+", refused.said)

    passed = lectern("promote", NAME)
    assert passed.code == 0 and "version 3 (better) is the champion" in passed.said and "NO " not in passed.said
    assert "version 1 (first) is the champion again" in lectern("rollback", NAME).said
    assert lectern("promote", NAME, "--version", "2", "--force", "to show it").code == 0
    assert "version 3 (better) is the champion again" in lectern("rollback", NAME, "--version", "3").said

    history = json.loads(lectern("registry", "history", NAME, "--json").said.splitlines()[0])
    steps = [f"{line['action']} {line['to']['experiment']}" for line in history]
    assert steps == ["promote first", "promote better", "rollback first", "promote unlearned", "rollback better"]
    assert history[3]["forced"] == "to show it" and "forced: to show it" in lectern("registry", "history", NAME).said
    passed = [all(rule["passed"] for rule in line.get("rules", [])) for line in history]
    assert passed == [True, True, True, False, True]


@pytest.mark.slow
def test_mlflow_serves_the_champion(stocked, store):
    """`mlflow models serve`, in this environment, as MLflow's users know it."""
    from lectern.artifacts import model_folder

    assert lectern("promote", NAME).code == 0
    port = str(free_port())
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", f"models:/{NAME}@champion"]
    with open("log", "w") as log:
        process = subprocess.Popen([*command, "--env-manager", "local", "--port", port], stdout=log, stderr=log)
    try:
        wait_until(f"http://127.0.0.1:{port}/ping", process, Path("log"))
        images = np.load(f"data/processed/{NAME}/test_images.npy")[:5]
        answered = requests.post(f"http://127.0.0.1:{port}/invocations", json={"inputs": images.tolist()}, timeout=60)
        assert np.allclose(
            answered.json()["predictions"], model_folder.load_model(Path("models/best")).predict(images), atol=1e-6
        )
    finally:
        process.terminate()
        process.wait(60)
