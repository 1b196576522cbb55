"""Wait for a submitted job, print its log and its state changes, and cancel the job on Ctrl-C."""

import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from lectern.cluster import slurm
from lectern.cluster.failures import FINAL_STATES, explain_failure
from lectern.cluster.log_tail import LogTail
from lectern.cluster.site import Site
from lectern.errors import UserError

Record = dict[str, str]  # the fields of a job that `scontrol show job` prints
# A job that is being requeued has a failed state for a moment, so several polls in a row must report a failed state.
CONFIRMATIONS = 3


def wait_for_job(job: str, name: str, logs: LogTail, site: Site, site_file: str) -> None:
    """Wait until all elements of a job array have ended. Raise UserError with the reasons if an element failed."""
    with cancel_on_interrupt(job):
        records = poll_until_finished(job, name, logs, site)
    failures = [
        f"job {full_job_id(record)} of {name} failed: {explain_failure(record, site, site_file)}."
        for record in records
        if record["JobState"] != "COMPLETED"
    ]
    if failures:
        raise UserError("\n".join(failures))


def poll_until_finished(job: str, name: str, logs: LogTail, site: Site) -> list[Record]:
    """Print the log and the state changes of a job until the job has ended.

    Return the fields that Slurm shows for each element of the job array.
    """
    known_states: dict[str, str] = {}
    finished_polls, responding = 0, True
    while True:
        try:
            records, responding = slurm.read_job_records(job), True
        except slurm.SlurmUnavailable as error:
            if responding:
                print_status(f"Slurm does not respond ({error}). The job continues; waiting until Slurm responds.")
            records, responding = [], False
        logs.print_new_lines()
        for line in state_changes(records, known_states, name):
            print_status(line)
        states = {record["JobState"] for record in records}
        finished_polls = finished_polls + 1 if states and states <= set(FINAL_STATES) else 0
        if states == {"COMPLETED"} or finished_polls >= CONFIRMATIONS:
            logs.print_new_lines(final=True)
            return records
        time.sleep(site.poll)


def state_changes(records: list[Record], known_states: dict[str, str], name: str) -> Iterator[str]:
    """Yield one line of text for each array element whose state has changed, and update `known_states`."""
    for record in records:
        state = describe_state(record)
        if known_states.get(full_job_id(record)) != state:
            known_states[full_job_id(record)] = state
            yield f"{name}: job {full_job_id(record)} is {state}"


def describe_state(record: Mapping[str, str]) -> str:
    """Return the state of a job. Add the reason why a pending job waits, or the nodes of a running job."""
    state, restarts = record["JobState"], record.get("Restarts", "0")
    if state == "PENDING":
        details = [] if record.get("Reason", "None") == "None" else [f"reason: {record['Reason']}"]
        details += [f"restart {restarts}"] if restarts != "0" else []
        return f"{state} ({', '.join(details)})" if details else state
    if state == "RUNNING":
        return f"{state} on {record.get('NodeList', 'its nodes')}"
    return state


def full_job_id(record: Mapping[str, str]) -> str:
    """Return the ID of a job, or `<array ID>_<index>` for an element of a job array."""
    if "ArrayTaskId" in record:
        return f"{record['ArrayJobId']}_{record['ArrayTaskId']}"
    return record["JobId"]


@contextmanager
def cancel_on_interrupt(job: str) -> Iterator[None]:
    """On Ctrl-C or SIGTERM in the block, cancel the job and exit.

    If the terminal is closed (SIGHUP), the job continues.
    """

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    handler = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        print_status(
            f"interrupted; cancelling job {job}. Run the same command again to resume from the last checkpoint."
        )
        slurm.cancel_job(job)
        sys.exit(128 + signal.SIGINT)
    finally:
        signal.signal(signal.SIGTERM, handler)


def print_status(line: str) -> None:
    print(f"lectern: {line}", file=sys.stderr, flush=True)
