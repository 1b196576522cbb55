"""Run `lectern serve` in a separate process and send HTTP requests to the server."""

import io
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import requests
from PIL import Image

ROOT = Path(__file__).parents[1]


@dataclass
class Server:
    """A running server and the lines that the server has printed."""

    url: str
    process: subprocess.Popen
    output: list[str]

    @property
    def host_and_port(self) -> tuple[str, int]:
        host, port = self.url.removeprefix("http://").split(":")
        return host, int(port)

    def get(self, path: str, **options: Any) -> requests.Response:
        return requests.get(self.url + path, timeout=60, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return requests.post(self.url + path, timeout=650, **options)

    def predict(self, name: str, **body: Any) -> requests.Response:
        return self.post(f"/v1/models/{name}/predict", json=body)

    def metric(self, metric: str, model: str, labels: str = "") -> float:
        """Return a Prometheus metric of a model, or 0 if the server has not measured the metric yet."""
        start = f'{metric}{{model="{model}"{labels}}} '
        lines = (line for line in self.get("/metrics").text.splitlines() if line.startswith(start))
        return next((float(line.removeprefix(start)) for line in lines), 0.0)


@contextmanager
def run_server(project: Path, store: str, **environment: str) -> Iterator[Server]:
    """Run `lectern serve` in a project folder until the block ends."""
    variables = {"MLFLOW_TRACKING_URI": store, "PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1", **environment}
    process = subprocess.Popen(
        [sys.executable, "-c", "from lectern.cli import main; main()", "serve", "--port", "0"],
        cwd=project,
        env={**os.environ, **variables},
        stderr=subprocess.STDOUT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield wait_for_server(process)
    finally:
        process.terminate()
        process.wait(20)


def wait_for_server(process: subprocess.Popen) -> Server:
    """Wait until the server has printed its address and responds.

    If the server does not respond, raise AssertionError with the server's output.
    """
    output: list[str] = []
    for line in process.stdout:
        output.append(line)
        if match := re.search(r"http://127\.0\.0\.1:\d+", line):
            break
    else:
        raise AssertionError("".join(output))
    threading.Thread(target=lambda: output.extend(process.stdout), daemon=True).start()
    for _ in range(600):
        try:
            requests.get(f"{match[0]}/healthz", timeout=5)
            return Server(match[0], process, output)
        except requests.ConnectionError:
            time.sleep(0.05)
    raise AssertionError("".join(output))


def as_png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()
