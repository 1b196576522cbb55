"""A job that was sent to its end: its log is shown, its states are told, and who interrupts the wait cancels it."""

import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from lectern.cluster import slurm
from lectern.cluster.failures import ENDED, explain
from lectern.cluster.log_tail import Followed
from lectern.cluster.site import Site
from lectern.errors import UserError

STEADY = 3  # looks in a row at which an end has to be seen: a job that Slurm starts again passes through one


def wait(job: str, name: str, logs: Followed, site: Site, where: str) -> None:
    """Return when every element of the job has ended well. Raises UserError that says why one has not."""
    with cancelled_when_interrupted(job):
        records = watch(job, name, logs, site)
    failures = [record for record in records if record["JobState"] != "COMPLETED"]
    if failures:
        told = [
            f"job {number(record)} of {name} did not end well: {explain(record, site, where)}." for record in failures
        ]
        raise UserError("\n".join(told))


def watch(job: str, name: str, logs: Followed, site: Site) -> list[dict[str, str]]:
    """The job's records once all its elements have ended; until then its log is shown and its states are told."""
    before: dict[str, str] = {}
    steady, silent = 0, False
    while True:
        try:
            records = slurm.look(job)
        except slurm.Silent as error:
            if not silent:
                say(f"Slurm does not answer ({error}). The job goes on without it: waiting.")
            silent, records = True, []
        else:
            silent = False
        logs.show()
        for line in changes(records, before, name):
            say(line)
        ended = bool(records) and all(record["JobState"] in ENDED for record in records)
        steady = steady + 1 if ended else 0
        if steady >= STEADY or (ended and all(record["JobState"] == "COMPLETED" for record in records)):
            logs.show(to_the_end=True)
            return records
        time.sleep(site.poll)


def changes(records: list[dict[str, str]], before: dict[str, str], name: str) -> Iterator[str]:
    """What is new about each element, in a sentence."""
    for record in records:
        state = describe(record)
        if before.get(number(record)) != state:
            before[number(record)] = state
            yield f"{name}: job {number(record)} {state}"


def describe(record: Mapping[str, str]) -> str:
    """Where a job stands."""
    state, restarts = record["JobState"], record.get("Restarts", "0")
    if state == "PENDING":
        again = f"after its {restarts}. start, " if restarts != "0" else ""
        reason = record.get("Reason", "None")
        return f"waits {again}for {'its turn' if reason == 'None' else reason}"
    if state == "RUNNING":
        return f"runs on {record.get('NodeList', 'its nodes')}"
    return f"is {state.lower().replace('_', ' ')}"


def number(record: Mapping[str, str]) -> str:
    if "ArrayTaskId" in record:
        return f"{record['ArrayJobId']}_{record['ArrayTaskId']}"
    return record["JobId"]


@contextmanager
def cancelled_when_interrupted(job: str) -> Iterator[None]:
    """Ctrl-C and SIGTERM leave no job behind. A lost terminal does: sent again, the same command finds its job."""

    def interrupt(*_) -> None:
        raise KeyboardInterrupt

    handler = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        say(f"interrupted: job {job} is cancelled. Run the same again: it goes on from its last checkpoint.")
        slurm.cancel(job)
        sys.exit(128 + signal.SIGINT)
    finally:
        signal.signal(signal.SIGTERM, handler)


def say(line: str) -> None:
    print(f"lectern: {line}", file=sys.stderr, flush=True)
