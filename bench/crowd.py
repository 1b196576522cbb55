"""How long one waits for a digit while others ask for the longest texts and translations: python bench/crowd.py

Starts a server of its own beside the load. Prints what a digit and /healthz take alone, then beside four requests each
for the longest texts and for the most and widest translations that the limits allow, and how those ended.
"""

import argparse
import asyncio
import time

import aiohttp
import numpy as np
from serving import served

PAUSE = 0.05  # seconds between two questions of the one who waits
EACH = 4
TEXTS = {"inputs": [{"prompt": "x" * 9999}] * 4, "params": {"length": 5000}}
SENTENCE = "A man in a blue shirt is standing on a ladder cleaning a window and a dog runs."
TRANSLATIONS = {"inputs": [{"source": SENTENCE}] * 64, "params": {"beam": 32}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--digits", default="mnist")
    parser.add_argument("--texts", default="shakespeare")
    parser.add_argument("--translations", default="multi30k_en_de")
    parser.add_argument("--seconds", type=int, default=30, help="that one waits beside them")
    given = parser.parse_args()
    with served() as (url, _):
        asyncio.run(measure(url, given))


async def measure(url: str, given: argparse.Namespace) -> None:
    asked = {given.texts: TEXTS, given.translations: TRANSLATIONS}
    async with aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(None)) as session:
        await wait_for_digits(session, given.digits, 5, "alone")
        crowd = [asyncio.create_task(ask(session, name, body)) for name, body in asked.items() for _ in range(EACH)]
        await asyncio.sleep(0.5)
        await wait_for_digits(session, given.digits, given.seconds, "beside them")
        for ended in asyncio.as_completed(crowd):
            print("{} was answered with {} after {:.0f} s".format(*await ended))


async def ask(session: aiohttp.ClientSession, name: str, body: dict) -> tuple[str, int, float]:
    """The model, the status of its answer, and the seconds it took."""
    began = time.perf_counter()
    async with session.post(f"/v1/models/{name}/predict", json=body) as response:
        await response.read()
    return name, response.status, time.perf_counter() - began


async def wait_for_digits(session: aiohttp.ClientSession, name: str, seconds: int, when: str) -> None:
    image = {"input": np.zeros((28, 28), int).tolist()}
    until, times = time.perf_counter() + seconds, {"a digit": [], "/healthz": []}
    while time.perf_counter() < until:
        times["a digit"].append((await ask(session, name, image))[2])
        began = time.perf_counter()
        async with session.get("/healthz") as response:
            await response.read()
        times["/healthz"].append(time.perf_counter() - began)
        await asyncio.sleep(PAUSE)
    for what, taken in times.items():
        print(f"{when}, {what}: {1000 * np.median(taken):.0f} ms (median), {1000 * max(taken):.0f} ms at most")


if __name__ == "__main__":
    main()
