"""Measure latency, throughput and memory of `lectern serve` for single digits: python bench/serving.py mnist

Starts a server on the same machine, so server and load generator share its cores. Prints the latency at 50 requests
per second, the throughput with 16 clients, the server's CPU time per image, and its memory over 10,000 requests.
"""

import argparse
import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import numpy as np
import psutil

RATE = 50  # requests per second
CLIENTS, COUNT = 16, 10_000

Send = Callable[[], Coroutine[Any, Any, float]]  # sends one request and returns its latency in seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a registered digits model: mnist, sample_digits")
    parser.add_argument("--seconds", type=int, default=40, help="duration at a constant rate; 0 skips this part")
    arguments = parser.parse_args()
    with run_server() as (url, server):
        asyncio.run(measure(f"{url}/v1/models/{arguments.model}/predict", server, arguments.seconds))


@contextmanager
def run_server() -> Iterator[tuple[str, psutil.Process]]:
    """Run a server of this checkout's champions until the block ends. Yield its URL and its process."""
    command = [sys.executable, "-c", "from lectern.cli import main; main()", "serve", "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        url = next(match[0] for line in server.stderr if (match := re.search(r"http://[\d.]+:\d+", line)))
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

        async def send() -> float:
            start = time.perf_counter()
            async with session.post(url, data=body) as response:
                assert response.status == 200, await response.text()
                await response.read()
            return time.perf_counter() - start

        await send_without_pause(send, 500)  # warm-up
        if seconds:
            latencies = 1000 * np.array(await send_at_rate(send, RATE * seconds))
            percentiles = ", ".join(f"p{level} {np.percentile(latencies, level):.1f} ms" for level in (50, 90, 99))
            print(f"at {RATE} requests per second: {percentiles}")
        await measure_throughput(send, server)


async def measure_throughput(send: Send, server: psutil.Process) -> None:
    """Send `COUNT` requests and print throughput, CPU time and memory of the server."""
    memory, cpu_before, start = server.memory_info().rss, server.cpu_times(), time.perf_counter()
    await send_without_pause(send, COUNT)
    elapsed, cpu = time.perf_counter() - start, server.cpu_times()
    cpu_seconds = cpu.user + cpu.system - cpu_before.user - cpu_before.system
    growth = (server.memory_info().rss - memory) / 1e6
    print(f"{CLIENTS} clients without a pause: {COUNT / elapsed:.0f} images per second, no error")
    print(f"CPU time of the server: {1000 * cpu_seconds / COUNT:.2f} ms per image")
    print(f"memory: {memory / 1e6:.0f} MB, {growth:+.1f} MB after {COUNT:,} requests")


async def send_at_rate(send: Send, count: int) -> list[float]:
    """Send requests at a constant rate, even if earlier responses are still missing. Return all latencies."""
    start = time.perf_counter()
    tasks: list[asyncio.Task[float]] = []
    for number in range(count):
        await asyncio.sleep(max(0.0, start + number / RATE - time.perf_counter()))
        tasks.append(asyncio.create_task(send()))
    return await asyncio.gather(*tasks)


async def send_without_pause(send: Send, count: int) -> None:
    """Run clients that each send the next request as soon as the last response has arrived."""

    async def client() -> None:
        for _ in range(count // CLIENTS):
            await send()

    await asyncio.gather(*(client() for _ in range(CLIENTS)))


if __name__ == "__main__":
    main()
