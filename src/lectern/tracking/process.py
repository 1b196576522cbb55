"""Record which process writes an MLflow run, so that a later process can detect that the writing process has ended.

A process ID is not enough to identify a process. The system reuses the ID of an ended process, and other machines and
containers use the same IDs.
"""

import hashlib
import json
import os
import platform
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

HOST_NAMESPACE = "pid:[4026531836]"  # PID namespace of all Linux processes outside of containers
ZOMBIE = "Z"  # Linux's state of an ended process whose exit code the parent has not read yet


@dataclass(frozen=True)
class ProcessRecord:
    """The identity of a process, which is stored in a tag of its run.

    Values that the system does not provide are empty.
    """

    pid: int
    host: str
    machine: str  # digest that differs between machines with the same host name
    boot: str  # ID that changes at every start of the machine
    namespace: str  # PID namespace, which identifies the container of the process
    started: str  # clock ticks between the start of the machine and the start of the process

    def to_tag(self) -> str:
        return json.dumps(asdict(self))


def current_process() -> ProcessRecord:
    """Return the identity of this process."""
    return identify_process(os.getpid())


def identify_process(pid: int) -> ProcessRecord:
    """Return the identity of a process on this machine and in the PID namespace of this process."""
    return ProcessRecord(
        pid=pid,
        host=platform.node(),
        machine=machine_digest(),
        boot=read_text("/proc/sys/kernel/random/boot_id"),
        namespace=read_link("/proc/self/ns/pid"),
        started=read_status(pid)[1],
    )


def machine_digest() -> str:
    """Return a digest of this machine's ID. The digest is stored, because the ID itself must not be published."""
    identity = read_text("/etc/machine-id") or f"{uuid.getnode():x}"
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def parse_process(tag: str) -> ProcessRecord | None:
    """Return the identity of the process that a tag describes, or None if the tag is empty or has an unknown format."""
    try:
        return ProcessRecord(**json.loads(tag))
    except (ValueError, TypeError):
        return None


def has_ended(process: ProcessRecord) -> bool:
    """Return whether a process has certainly ended.

    A process on a different machine or in a different container counts as running.
    """
    here = current_process()
    if (process.host, process.machine) != (here.host, here.machine):
        return False
    if process.boot != here.boot:
        return process.namespace == here.namespace == HOST_NAMESPACE
    return process.namespace == here.namespace and not is_running(process)


def is_running(process: ProcessRecord) -> bool:
    """Return whether a process on this machine and in this PID namespace is running.

    If the system does not provide enough information, the process counts as running.
    """
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # the process exists and belongs to another user
        pass
    state, started = read_status(process.pid)
    return state != ZOMBIE and process.started in (started, "") if started else True


def is_other_running_process(process: ProcessRecord) -> bool:
    """Return whether a process is certainly running on this machine and is not this process."""
    here = current_process()
    is_here = (process.machine, process.boot, process.namespace) == (here.machine, here.boot, here.namespace)
    return is_here and process.pid != here.pid and is_running(process)


def read_status(pid: int) -> tuple[str, str]:
    """Return the state and the start tick of a process, or empty strings if the values are unknown."""
    text = read_text(f"/proc/{pid}/stat")
    fields = text.rpartition(")")[2].split()  # the program name before ")" can contain spaces
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
