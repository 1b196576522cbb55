"""The API through real HTTP: it answers as the models do, keeps nobody waiting for another, follows the registry."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import requests
from mlflow import MlflowClient

from lectern.artifacts import model_folder
from lectern.registry import versions as registry
from served import DIGITS, POEMS, ROAD, TOY, as_png


def digit_images(four: Path, count: int = 5) -> np.ndarray:
    return np.load(four / "data" / "processed" / DIGITS / "test_images.npy")[:count]


def champion_of(four: Path, name: str):
    client = MlflowClient(f"sqlite:///{four / 'mlflow.db'}")
    return model_folder.load_model(registry.model_folder(client, registry.find_named(client, name)))


# What it answers


def test_digits_answers_are_the_modules_own_one_by_one_and_together(server, four):
    images = digit_images(four)
    expected = champion_of(four, DIGITS).predict(images)
    together = server.predict(DIGITS, inputs=images.tolist()).json()
    one_by_one = [server.predict(DIGITS, input=image.tolist()).json()["outputs"][0] for image in images]
    assert together["model"] == DIGITS and together["version"] == 2
    np.testing.assert_allclose(together["outputs"], expected, atol=1e-5)
    np.testing.assert_allclose(one_by_one, expected, atol=1e-5)


def test_requests_that_come_at_once_each_get_their_own_answer(server, four):
    images = digit_images(four, 60)
    expected = champion_of(four, DIGITS).predict(images)
    with ThreadPoolExecutor(12) as people:
        answers = list(people.map(lambda image: server.predict(DIGITS, input=image.tolist()).json(), images))
    np.testing.assert_allclose([answer["outputs"][0] for answer in answers], expected, atol=1e-5)


def test_an_image_as_a_picture_is_answered_as_its_numbers_are(server, four):
    image = digit_images(four, 1)[0]
    by_picture = server.post(f"/v1/models/{DIGITS}/predict", data=as_png(image), headers={"Content-Type": "image/png"})
    np.testing.assert_allclose(
        by_picture.json()["outputs"], server.predict(DIGITS, input=image.tolist()).json()["outputs"], atol=1e-5
    )


def read_events(response: requests.Response):
    for block in response.iter_content(None, decode_unicode=True):
        for part in filter(None, block.split("\n\n")):
            name, data = (line.partition(": ")[2] for line in part.split("\n"))
            yield name, json.loads(data)


def test_a_text_streams_as_it_is_written_and_is_the_one_that_predict_gives(server):
    body = {"input": {"prompt": "Shall I"}, "params": {"length": 800, "seed": 3}}
    whole = server.predict(POEMS, **body).json()["outputs"][0]["text"]
    events = list(read_events(server.post(f"/v1/models/{POEMS}/stream", json=body, stream=True)))
    assert "".join(data["text"] for name, data in events if name == "text") == whole
    assert len(events) > 2 and events[-1] == ("end", {"model": POEMS, "version": 1})


def test_translations_come_best_first_with_their_scores(server):
    answered = server.predict(TOY, input={"source": "A man sleeps here."}, params={"beam": 4, "n_best": 3}).json()
    scores = [row["score"] for row in answered["outputs"]]
    assert len(scores) == 3 and scores == sorted(scores, reverse=True) and answered["outputs"][0]["target"]


def test_a_window_of_frames_is_answered_with_an_angle(server, four):
    frames = np.load(four / "data" / "processed" / ROAD / "test_frames.npy")[:2]
    answered = server.predict(ROAD, inputs=frames[:, None].tolist()).json()["outputs"]
    from lectern.tasks.steering.serving.inference_api import predict as answer

    expected = answer(champion_of(four, ROAD), frames[:, None])["angle"]
    np.testing.assert_allclose([row["angle"] for row in answered], expected, atol=1e-5)


def test_a_video_is_answered_frame_by_frame(server, four, tmp_path):
    from lectern.tasks.steering.data.readers.videos import read_video
    from lectern.tasks.steering.serving.video_writer import write_video

    frames = np.load(four / "data" / "processed" / ROAD / "test_frames.npy")[:20]
    write_video(frames, tmp_path / "drive.mp4", 10.0)
    body = (tmp_path / "drive.mp4").read_bytes()
    answered = server.post(f"/v1/models/{ROAD}/predict", data=body, headers={"Content-Type": "video/mp4"}).json()
    decoded = np.stack(list(read_video(tmp_path / "drive.mp4")))
    expected = server.predict(ROAD, inputs=decoded[:, None].tolist()[:16]).json()["outputs"]
    assert len(answered["outputs"]) == 20
    np.testing.assert_allclose(
        [r["angle"] for r in answered["outputs"][:16]], [r["angle"] for r in expected], atol=1e-5
    )


def test_the_models_are_listed_with_version_score_and_card(server):
    listed = {model["name"]: model for model in server.get("/v1/models").json()}
    assert set(listed) == {DIGITS, POEMS, TOY, ROAD}
    best = listed[DIGITS]
    assert (best["metric"], listed[POEMS]["metric"]) == ("accuracy", "nats per character")
    assert (best["version"], best["alias"], best["score"], best["experiment"]) == (2, "champion", 0.9, "best")
    assert best["card"].startswith("# best") and len(best["run"]) == 32
    assert server.get(f"/v1/models/{DIGITS}").json() == best


def test_it_tells_prometheus_what_it_answered(server, four):
    server.predict(DIGITS, input=digit_images(four)[0].tolist())
    lines = server.get("/metrics").text.splitlines()
    answers = [line for line in lines if line.startswith(f'lectern_answers_total{{model="{DIGITS}",version="2"}}')]
    assert answers and float(answers[0].split()[-1]) >= 1
    assert f'lectern_champion_version{{model="{DIGITS}"}} 2.0' in lines


def test_the_document_shows_each_champion_with_the_shape_it_takes(server):
    document = server.get("/openapi.json").json()
    assert f"/v1/models/{POEMS}/stream" in document["paths"] and f"/v1/models/{DIGITS}/stream" not in document["paths"]
    content = document["paths"][f"/v1/models/{DIGITS}/predict"]["post"]["requestBody"]["content"]
    assert {"application/json", "image/png"} <= set(content)
    params = document["components"]["schemas"]["LanguageModelParams"]["properties"]
    assert params["temperature"]["maximum"] == 10


# One beside another

LONG = {"inputs": [{"prompt": ""}] * 4, "params": {"length": 5000}}  # seconds of a thread: the most that may be asked


def wait_until_asked(server, name: str, count: int) -> None:
    deadline = time.monotonic() + 60
    while server.metric("lectern_under_way", name) < count and time.monotonic() < deadline:
        time.sleep(0.02)


def test_long_answers_of_one_model_keep_nobody_elses_callers_waiting(server, four):
    before = server.metric("lectern_answer_seconds_count", POEMS)
    image = digit_images(four)[0].tolist()
    with ThreadPoolExecutor(4) as people:
        asked = [people.submit(server.predict, POEMS, **LONG) for _ in range(4)]
        wait_until_asked(server, POEMS, 4)
        assert server.get("/healthz").status_code == 200
        for name, body in ((DIGITS, image), (TOY, {"source": "A man sleeps here."})):
            assert server.predict(name, input=body).status_code == 200
        assert server.metric("lectern_answer_seconds_count", POEMS) == before  # nobody had to wait for one of them
        assert [one.result().status_code for one in asked] == [200] * 4


# Following the registry


def test_a_promotion_under_load_fails_no_request_and_mixes_no_versions(server, four, moved):
    images = digit_images(four, 40)
    client = MlflowClient(f"sqlite:///{four / 'mlflow.db'}")
    versions = {int(number): registry.get_version(client, DIGITS, number) for number in "12"}
    expected = {
        number: model_folder.load_model(registry.model_folder(client, version)).predict(images)
        for number, version in versions.items()
    }
    answers, stop = [], threading.Event()

    def ask() -> None:
        while not stop.is_set():
            answers.append(server.predict(DIGITS, inputs=images.tolist()))

    def wait_for(number: int) -> None:
        deadline = time.monotonic() + 60
        while answers[-1].json()["version"] != number and time.monotonic() < deadline:
            time.sleep(0.02)

    people = [threading.Thread(target=ask) for _ in range(4)]
    for person in people:
        person.start()
    while not answers:
        time.sleep(0.02)
    for number in (1, 2, 1):
        moved(str(number))
        wait_for(number)
    stop.set()
    for person in people:
        person.join()
    assert {answer.status_code for answer in answers} == {200}
    given = [answer.json()["version"] for answer in answers]
    assert {1, 2} == set(given) and given[-1] == 1
    for answer in answers:
        np.testing.assert_allclose(answer.json()["outputs"], expected[answer.json()["version"]], atol=1e-5)
