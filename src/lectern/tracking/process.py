"""Record the process that writes a run, so that a later process on the same machine can detect that it has ended.

The process ID is not enough, because the system reuses it after a process ends, and other machines and containers use
the same numbers.
"""

import hashlib
import json
import os
import platform
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

HOST_NAMESPACE = "pid:[4026531836]"  # Linux gives the processes outside of containers this namespace
ZOMBIE = "Z"  # state of a process that has ended and whose parent has not read its exit code


@dataclass(frozen=True)
class ProcessRecord:
    """A process, as a tag of its run describes it. A value that the system does not provide is empty."""

    pid: int
    host: str
    machine: str  # differs between machines with the same name
    boot: str  # changes when the machine starts
    namespace: str  # the container in which the process ID is valid
    started: str  # ticks between the start of the machine and the start of the process

    def to_tag(self) -> str:
        return json.dumps(asdict(self))


def current_process() -> ProcessRecord:
    """Describe this process."""
    return ProcessRecord(
        pid=os.getpid(),
        host=platform.node(),
        machine=machine_digest(),
        boot=read_text("/proc/sys/kernel/random/boot_id"),
        namespace=read_link("/proc/self/ns/pid"),
        started=read_status(os.getpid())[1],
    )


def machine_digest() -> str:
    """Return a digest of the identity of this machine, which must not be published itself."""
    identity = read_text("/etc/machine-id") or f"{uuid.getnode():x}"
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def parse_process(tag: str) -> ProcessRecord | None:
    """Return the process that a tag describes, or None if the tag is missing or has another format."""
    try:
        return ProcessRecord(**json.loads(tag))
    except (ValueError, TypeError):
        return None


def has_ended(process: ProcessRecord) -> bool:
    """Return whether a process has certainly ended. A process of another machine or container counts as running."""
    here = current_process()
    if (process.host, process.machine) != (here.host, here.machine):
        return False
    if process.boot != here.boot:
        return process.namespace == here.namespace == HOST_NAMESPACE
    return process.namespace == here.namespace and not is_running(process)


def is_running(process: ProcessRecord) -> bool:
    """Return whether a process of this machine and namespace runs. If in doubt, it runs."""
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to another user
        pass
    state, started = read_status(process.pid)
    return state != ZOMBIE and process.started in (started, "") if started else True


def is_other_running_process(process: ProcessRecord) -> bool:
    """Return whether a process on this machine, other than this process, is certainly running."""
    here = current_process()
    is_here = (process.machine, process.boot, process.namespace) == (here.machine, here.boot, here.namespace)
    return is_here and process.pid != here.pid and is_running(process)


def read_status(pid: int) -> tuple[str, str]:
    """Return the state of a process and the tick of its start, or empty strings if the system does not provide them."""
    text = read_text(f"/proc/{pid}/stat")
    fields = text.rpartition(")")[2].split()  # the name of the program, in parentheses, can contain spaces
    return (fields[0], fields[19]) if len(fields) > 19 else ("", "")


def read_text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def read_link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
