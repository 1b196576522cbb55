"""Compare the latency of two models on this machine, even if other programs use the machine at the same time."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

Request = Callable[[], object]
ROUNDS = 5  # number of requests to each model before the medians are compared
MAX_ROUNDS = 30
MAX_SECONDS = 6.0  # after this number of seconds no round is added, so that slow models are timed only once
CLOSE = 0.25  # a median that is within 25 % of the limit may be above or below the limit by chance


@dataclass
class Latencies:
    """The duration in seconds of each request to the candidate and to the champion."""

    candidate: list[float] = field(default_factory=list)
    champion: list[float] = field(default_factory=list)

    @property
    def medians(self) -> tuple[float, float]:
        return median(self.candidate), median(self.champion)


def compare_latencies(candidate: Request, champion: Request, limit: Callable[[float], float]) -> Latencies:
    """Measure the latency of both models in turn.

    `limit` converts the latency of the champion to the maximum latency of the candidate. Requests to the two models
    alternate, so that other programs delay both models equally. If the candidate's median is close to the limit, more
    rounds follow.
    """
    candidate(), champion()  # the first request to each model is slower, so it is not counted
    times, end = Latencies(), time.perf_counter() + MAX_SECONDS
    for number in range(MAX_ROUNDS):
        if number and time.perf_counter() > end:
            break
        if number >= ROUNDS and number % ROUNDS == 0 and not is_close(*times.medians, limit):
            break
        time_round(times, candidate, champion, candidate_first=number % 2 == 0)
    return times


def is_close(latency: float, champion_latency: float, limit: Callable[[float], float]) -> bool:
    highest = limit(champion_latency)
    return abs(latency - highest) <= CLOSE * highest


def time_round(times: Latencies, candidate: Request, champion: Request, candidate_first: bool) -> None:
    """Measure the duration of one request to each model."""
    pairs = [(candidate, times.candidate), (champion, times.champion)]
    for request, seconds in pairs if candidate_first else reversed(pairs):
        start = time.perf_counter()
        request()
        seconds.append(time.perf_counter() - start)
