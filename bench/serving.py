"""How fast and how steadily `lectern serve` answers single digits: python bench/serving.py mnist

Starts a server of its own beside the load, so on two cores both share them. Prints the time to answer at 50 requests a
second, the most images a second from 16 clients, the server's processor time for each, and its memory over 10,000.
"""

import argparse
import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
import numpy as np
import psutil

RATE = 50
CLIENTS, COUNT = 16, 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a registered digits model: mnist, sample_digits")
    parser.add_argument("--seconds", type=int, default=40, help="at the even pace; 0 leaves that part out")
    given = parser.parse_args()
    with served() as (url, server):
        asyncio.run(measure(f"{url}/v1/models/{given.model}/predict", server, given.seconds))


@contextmanager
def served() -> Iterator[tuple[str, psutil.Process]]:
    """A server of this project's champions, until the block ends."""
    command = [sys.executable, "-c", "from lectern.cli import main; main()", "serve", "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        url = next(found[0] for line in server.stderr if (found := re.search(r"http://[\d.]+:\d+", line)))
        yield url, psutil.Process(server.pid)
    finally:
        server.terminate()
        server.wait()


async def measure(url: str, server: psutil.Process, seconds: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (28, 28)).tolist()
    body = json.dumps({"input": image}).encode()
    connections = aiohttp.TCPConnector(limit=256)
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=connections, headers=headers) as session:

        async def ask() -> float:
            began = time.perf_counter()
            async with session.post(url, data=body) as response:
                assert response.status == 200, await response.text()
                await response.read()
            return time.perf_counter() - began

        await saturate(ask, 500)  # warm
        if seconds:
            times = 1000 * np.array(await steadily(ask, RATE * seconds))
            told = ", ".join(f"p{share} {np.percentile(times, share):.1f} ms" for share in (50, 90, 99))
            print(f"at {RATE} requests a second: {told}")
        memory, cpu, began = server.memory_info().rss, server.cpu_times(), time.perf_counter()
        await saturate(ask, COUNT)
        seconds, after = time.perf_counter() - began, server.cpu_times()
        used = after.user + after.system - cpu.user - cpu.system
        print(f"saturated by {CLIENTS} clients: {COUNT / seconds:.0f} images a second, no error")
        print(f"processor time of the server: {1000 * used / COUNT:.2f} ms an image")
        grown = (server.memory_info().rss - memory) / 1e6
        print(f"memory: {memory / 1e6:.0f} MB, {grown:+.1f} MB after {COUNT:,} requests")


async def steadily(ask, count: int) -> list[float]:
    """Requests at an even pace, whether or not those before are answered."""
    began, waiting = time.perf_counter(), []
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / RATE - time.perf_counter()))
        waiting.append(asyncio.create_task(ask()))
    return await asyncio.gather(*waiting)


async def saturate(ask, count: int) -> None:
    """Clients that ask again as soon as they are answered."""

    async def client() -> None:
        for _ in range(count // CLIENTS):
            await ask()

    await asyncio.gather(*(client() for _ in range(CLIENTS)))


if __name__ == "__main__":
    main()
