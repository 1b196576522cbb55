"""Test the API over HTTP: predictions, concurrency and reloading after a promotion."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import requests
from mlflow import MlflowClient

from lectern.artifacts import model_folder
from lectern.artifacts.paths import PROCESSED
from lectern.registry.packaged_code import code_digest
from lectern.registry.versions import download_model_folder, find_version
from lectern_server import as_png
from sample_champions import CHAMPIONS, DIGITS, SENTENCES, STEERING, TEXT, TRANSLATION


def load_digit_images(project: Path, count: int = 5) -> np.ndarray:
    return np.load(project / PROCESSED / DIGITS / "test_images.npy")[:count]


def load_road_frames(project: Path, count: int) -> np.ndarray:
    return np.load(project / PROCESSED / STEERING / "test_frames.npy")[:count]


def load_module(project: Path, version: str):
    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    return model_folder.load_model(download_model_folder(client, find_version(client, version)))


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true"
        time.sleep(0.02)


# Predictions


def test_digit_predictions_equal_those_of_the_module_in_one_or_many_requests(server, serving_project):
    images = load_digit_images(serving_project)
    expected = load_module(serving_project, DIGITS).predict(images)
    response = server.predict(DIGITS, inputs=images.tolist()).json()
    single = [server.predict(DIGITS, input=image.tolist()).json()["outputs"][0] for image in images]
    assert response["model"] == DIGITS and response["version"] == 2
    np.testing.assert_allclose(response["outputs"], expected, atol=1e-5)
    np.testing.assert_allclose(single, expected, atol=1e-5)


def test_concurrent_requests_each_get_their_own_prediction(server, serving_project):
    images = load_digit_images(serving_project, 60)
    expected = load_module(serving_project, DIGITS).predict(images)
    with ThreadPoolExecutor(12) as clients:
        responses = list(clients.map(lambda image: server.predict(DIGITS, input=image.tolist()).json(), images))
    np.testing.assert_allclose([response["outputs"][0] for response in responses], expected, atol=1e-5)


def test_an_image_file_gives_the_same_prediction_as_its_pixel_values(server, serving_project):
    image = load_digit_images(serving_project, 1)[0]
    headers = {"Content-Type": "image/png"}
    from_file = server.post(f"/v1/models/{DIGITS}/predict", data=as_png(image), headers=headers).json()
    from_pixels = server.predict(DIGITS, input=image.tolist()).json()
    np.testing.assert_allclose(from_file["outputs"], from_pixels["outputs"], atol=1e-5)


def read_events(response: requests.Response) -> Iterator[tuple[str, dict]]:
    for text in response.iter_content(None, decode_unicode=True):
        for event in filter(None, text.split("\n\n")):
            name, data = (line.partition(": ")[2] for line in event.split("\n"))
            yield name, json.loads(data)


@pytest.mark.slow
def test_a_streamed_text_comes_in_pieces_and_equals_the_predicted_text(server):
    body = {"input": {"prompt": "Shall I"}, "params": {"length": 800, "seed": 3}}
    predicted = server.predict(TEXT, **body).json()["outputs"][0]["text"]
    events = list(read_events(server.post(f"/v1/models/{TEXT}/stream", json=body, stream=True)))
    assert "".join(data["text"] for name, data in events if name == "text") == predicted
    assert len(events) > 2 and events[-1] == ("end", {"model": TEXT, "version": 1})


def test_translations_are_sorted_by_score_with_the_best_first(server):
    response = server.predict(TRANSLATION, input={"source": "A man sleeps here."}, params={"beam": 4, "n_best": 3})
    outputs = response.json()["outputs"]
    scores = [output["score"] for output in outputs]
    assert len(scores) == 3 and scores == sorted(scores, reverse=True) and outputs[0]["target"]


def test_a_window_of_frames_gives_the_angle_that_the_inference_api_predicts(server, serving_project):
    from lectern.tasks.steering.serving.inference_api import predict

    windows = load_road_frames(serving_project, 2)[:, None]
    outputs = server.predict(STEERING, inputs=windows.tolist()).json()["outputs"]
    expected = predict(load_module(serving_project, STEERING), windows)["angle"]
    np.testing.assert_allclose([output["angle"] for output in outputs], expected, atol=1e-5)


def test_a_video_gives_one_prediction_per_frame(server, serving_project, tmp_path):
    from lectern.tasks.steering.data.readers.videos import read_video
    from lectern.tasks.steering.serving.video_writer import write_video

    path = tmp_path / "drive.mp4"
    write_video(load_road_frames(serving_project, 20), path, 10.0)
    headers = {"Content-Type": "video/mp4"}
    response = server.post(f"/v1/models/{STEERING}/predict", data=path.read_bytes(), headers=headers)
    angles = [output["angle"] for output in response.json()["outputs"]]
    decoded = np.stack(list(read_video(path)))[:, None]
    outputs = server.predict(STEERING, inputs=decoded[:16].tolist()).json()["outputs"]
    assert len(angles) == 20
    np.testing.assert_allclose(angles[:16], [output["angle"] for output in outputs], atol=1e-5)


# Sentences


def test_a_sentence_gets_a_label_and_the_probability_of_every_class(server):
    response = server.predict(SENTENCES, inputs=[{"text": "The film is GREAT."}, {"text": "the plot was dull !"}])
    first, second = response.json()["outputs"]
    assert (first["label"], second["label"]) == ("positive", "negative")
    for output in (first, second):
        assert set(output["probabilities"]) == {"negative", "positive"}
        probabilities = output["probabilities"]
        assert output["probability"] == max(probabilities.values()) == probabilities[output["label"]]
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)


def test_the_answer_for_unknown_words_says_that_they_are_unknown(server):
    response = server.predict(SENTENCES, inputs=[{"text": "これは 映画 です"}, {"text": "the film Москва ."}])
    assert [output["unknown_share"] for output in response.json()["outputs"]] == [1.0, 0.25]


# Information about the models


def test_models_are_listed_with_version_score_and_card(server):
    models = {model["name"]: model for model in server.get("/v1/models").json()}
    assert set(models) == set(CHAMPIONS)
    digits = models[DIGITS]
    assert (digits["metric"], models[TEXT]["metric"]) == ("accuracy", "nats per character")
    assert (digits["version"], digits["alias"], digits["score"], digits["experiment"]) == (2, "champion", 0.9, "best")
    assert digits["card"].startswith("# best") and len(digits["run"]) == 32
    assert digits["code"] == code_digest("digits") and not digits["packaged_code"]
    assert server.get(f"/v1/models/{DIGITS}").json() == digits


def test_prometheus_metrics_count_predictions_and_show_the_champion(server, serving_project):
    counted = server.metric("lectern_predictions_total", DIGITS, ',version="2"')
    server.predict(DIGITS, input=load_digit_images(serving_project)[0].tolist())
    assert server.metric("lectern_predictions_total", DIGITS, ',version="2"') == counted + 1
    assert server.metric("lectern_champion_version", DIGITS) == 2


def test_the_openapi_document_has_paths_and_schemas_for_each_champion(server):
    document = server.get("/openapi.json").json()
    paths, schemas = document["paths"], document["components"]["schemas"]
    assert f"/v1/models/{TEXT}/stream" in paths and f"/v1/models/{DIGITS}/stream" not in paths
    assert not [path for path in paths if "{name}/" in path]
    content = paths[f"/v1/models/{DIGITS}/predict"]["post"]["requestBody"]["content"]
    assert {"application/json", "image/png"} <= set(content)
    assert content["application/json"]["schema"]["$ref"].endswith("/DigitsRequest")
    assert schemas["LanguageModelParams"]["properties"]["temperature"]["maximum"] == 10


# Concurrency

LONG_REQUEST = {"input": {"prompt": ""}, "params": {"length": 2000}}  # This request takes several seconds.


@pytest.mark.slow
def test_long_predictions_of_one_model_do_not_delay_other_models(server, serving_project):
    finished = server.metric("lectern_prediction_seconds_count", TEXT)
    image = load_digit_images(serving_project)[0].tolist()
    with ThreadPoolExecutor(4) as clients:
        long_requests = [clients.submit(server.predict, TEXT, **LONG_REQUEST) for _ in range(2)]
        wait_until(lambda: server.metric("lectern_requests_in_progress", TEXT) >= 2)
        assert server.get("/healthz").status_code == 200
        for name, body in ((DIGITS, image), (TRANSLATION, {"source": "A man sleeps here."})):
            assert server.predict(name, input=body).status_code == 200
        # None of the long requests has ended yet.
        assert server.metric("lectern_prediction_seconds_count", TEXT) == finished
        assert [request.result().status_code for request in long_requests] == [200] * 2


# Promotions


@pytest.mark.slow
def test_a_promotion_under_load_fails_no_request_and_mixes_no_versions(server, serving_project, move_champion):
    images = load_digit_images(serving_project, 40)
    expected = {number: load_module(serving_project, f"{DIGITS}@{number}").predict(images) for number in (1, 2)}
    responses: list[requests.Response] = []
    stop = threading.Event()

    def send_requests() -> None:
        while not stop.is_set():
            responses.append(server.predict(DIGITS, inputs=images.tolist()))

    clients = [threading.Thread(target=send_requests) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        wait_until(lambda: len(responses) > 0)
        for number in (1, 2, 1):
            move_champion(str(number))
            wait_until(lambda number=number: responses[-1].json()["version"] == number)
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert {response.status_code for response in responses} == {200}
    versions = [response.json()["version"] for response in responses]
    assert set(versions) == {1, 2} and versions[-1] == 1
    for response in responses:
        np.testing.assert_allclose(response.json()["outputs"], expected[response.json()["version"]], atol=1e-5)
