"""Measure how long a single digit waits while other clients send the most expensive requests: python bench/crowd.py

Starts a server on the same machine. Prints the latency of a digit and of /healthz without other load. Then prints the
same latencies next to four requests each for the longest texts and the widest translations that the limits allow.
"""

import argparse
import asyncio
import time

import aiohttp
import numpy as np
from serving import run_server

PAUSE = 0.05  # seconds between two measured requests
REQUESTS_PER_MODEL = 4
TEXTS = {"inputs": [{"prompt": "x" * 9999}] * 4, "params": {"length": 5000}}
SENTENCE = "A man in a blue shirt is standing on a ladder cleaning a window and a dog runs."
TRANSLATIONS = {"inputs": [{"source": SENTENCE}] * 64, "params": {"beam": 32}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--digits", default="mnist", help="a registered digits model")
    parser.add_argument("--texts", default="shakespeare", help="a registered language model")
    parser.add_argument("--translations", default="multi30k_en_de", help="a registered translation model")
    parser.add_argument("--seconds", type=int, default=30, help="duration of the measurement under load")
    arguments = parser.parse_args()
    with run_server() as (url, _):
        asyncio.run(measure(url, arguments))


async def measure(url: str, arguments: argparse.Namespace) -> None:
    bodies = {arguments.texts: TEXTS, arguments.translations: TRANSLATIONS}
    async with aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(None)) as session:
        await measure_latencies(session, arguments.digits, 5, "without other load")
        requests = [(name, body) for name, body in bodies.items() for _ in range(REQUESTS_PER_MODEL)]
        tasks = [asyncio.create_task(send(session, name, body)) for name, body in requests]
        await asyncio.sleep(0.5)
        await measure_latencies(session, arguments.digits, arguments.seconds, "under load")
        for task in asyncio.as_completed(tasks):
            name, status, seconds = await task
            print(f"{name} responded with status {status} after {seconds:.0f} s")


async def send(session: aiohttp.ClientSession, name: str, body: dict) -> tuple[str, int, float]:
    """Send a prediction request. Return the model's name, the status and the seconds until the response."""
    start = time.perf_counter()
    async with session.post(f"/v1/models/{name}/predict", json=body) as response:
        await response.read()
    return name, response.status, time.perf_counter() - start


async def measure_latencies(session: aiohttp.ClientSession, name: str, seconds: int, condition: str) -> None:
    """Send one digit and one health check at a time, and print the median and the maximum latency of each."""
    image = {"input": np.zeros((28, 28), int).tolist()}
    end = time.perf_counter() + seconds
    latencies: dict[str, list[float]] = {"a digit": [], "/healthz": []}
    while time.perf_counter() < end:
        latencies["a digit"].append((await send(session, name, image))[2])
        start = time.perf_counter()
        async with session.get("/healthz") as response:
            await response.read()
        latencies["/healthz"].append(time.perf_counter() - start)
        await asyncio.sleep(PAUSE)
    for request, times in latencies.items():
        print(f"{condition}, {request}: median {1000 * np.median(times):.0f} ms, at most {1000 * max(times):.0f} ms")


if __name__ == "__main__":
    main()
