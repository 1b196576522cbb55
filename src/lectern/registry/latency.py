"""Compare the latencies of two models on this machine. Other programs may use the machine at the same time."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

Request = Callable[[], object]
ROUNDS = 5  # minimum number of requests to each model; the medians are compared after every fifth request
MAX_ROUNDS = 30
MAX_SECONDS = 6.0  # no further request is started after this number of seconds
CLOSE = 0.25  # the candidate's median is close to the limit if it differs from the limit by at most 25 %


@dataclass
class Latencies:
    """The durations in seconds of all requests to the candidate and to the champion."""

    candidate: list[float] = field(default_factory=list)
    champion: list[float] = field(default_factory=list)

    @property
    def medians(self) -> tuple[float, float]:
        return median(self.candidate), median(self.champion)


def compare_latencies(candidate: Request, champion: Request, limit: Callable[[float], float]) -> Latencies:
    """Measure the latencies of the candidate and the champion.

    Requests to the two models alternate, so that other programs delay both models equally. If the candidate's median is
    close to the limit, more requests follow. `limit` converts the latency of the champion to the maximum latency of the
    candidate.
    """
    candidate(), champion()  # the first request to each model is slow, so its duration is not used
    times, end = Latencies(), time.perf_counter() + MAX_SECONDS
    for number in range(MAX_ROUNDS):
        if number and time.perf_counter() > end:
            break
        if number >= ROUNDS and number % ROUNDS == 0 and not is_close(*times.medians, limit):
            break
        time_requests(times, candidate, champion, candidate_first=number % 2 == 0)
    return times


def is_close(latency: float, champion_latency: float, limit: Callable[[float], float]) -> bool:
    highest = limit(champion_latency)
    return abs(latency - highest) <= CLOSE * highest


def time_requests(times: Latencies, candidate: Request, champion: Request, candidate_first: bool) -> None:
    """Measure the duration of one request to the candidate and of one request to the champion."""
    pairs = [(candidate, times.candidate), (champion, times.champion)]
    for request, seconds in pairs if candidate_first else reversed(pairs):
        start = time.perf_counter()
        request()
        seconds.append(time.perf_counter() - start)
