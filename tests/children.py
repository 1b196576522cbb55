"""A piece of work to how it ended in a process of its own, killed where a test says so."""

import itertools
import os
import runpy
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

KILLED = -signal.SIGKILL


class Ended(NamedTuple):
    """How a child ended: its exit code, or minus the signal that it died of; and all that it printed."""

    code: int
    said: str


class Child:
    """A forked process that does the work: imports are paid for once, and whatever it changes is gone with it."""

    def __init__(self, work: Callable[..., Any], *arguments: Any, **more: Any):
        self.said = tempfile.TemporaryFile("w+")  # noqa: SIM115 (read and closed at its end)
        self.process = os.fork()
        if self.process == 0:
            try:
                os.dup2(self.said.fileno(), 1)
                os.dup2(self.said.fileno(), 2)
                sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
                os._exit(exit_code(work, *arguments, **more))
            finally:
                os._exit(1)  # whatever happens: a child that came back would run the other tests too

    def ended(self) -> Ended:
        """Wait for its end."""
        code = os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
        with self.said:
            self.said.seek(0)
            return Ended(code, self.said.read())


def in_child(work: Callable[..., Any], *arguments: Any, **more: Any) -> Ended:
    """Do the work in a child and wait for its end."""
    return Child(work, *arguments, **more).ended()


def exit_code(work: Callable[..., Any], *arguments: Any, **more: Any) -> int:
    """Run the work and end as an interpreter does."""
    code = 0
    try:
        work(*arguments, **more)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if code and not isinstance(end.code, int):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def run_stage(name: str, *overrides: str) -> None:
    """`python pipelines/<name>.py <overrides>` in this process, in the folder that it stands in."""
    sys.argv = [f"pipelines/{name}.py", *overrides]
    runpy.run_path(f"pipelines/{name}.py", run_name="__main__")


def run_lectern(*words: str) -> None:
    """`lectern <words>` as the entry point runs it, on a wide screen."""
    from lectern.cli import main

    os.environ["COLUMNS"] = "300"
    sys.argv = ["lectern", *words]
    main()


def lectern(*words: str) -> Ended:
    """What `lectern <words>` said, and how it ended."""
    return in_child(run_lectern, *words)


def warm() -> None:
    """Import what the stages do, so that no child has to: it takes seconds."""
    for name in ("stages.stage", "training.plan", "stages.evaluation", "registry.promotion"):
        import_module(f"lectern.{name}")


def at_call(owner: Any, method: str, call: int, act: Callable[[], None], after: bool = False) -> None:
    """In this process, act at the given call of a function or method: before it runs, or after."""
    original, calls = getattr(owner, method), itertools.count(1)

    @wraps(original)
    def watched(*arguments, **more):
        now = next(calls) == call
        if now and not after:
            act()
        result = original(*arguments, **more)
        if now and after:
            act()
        return result

    setattr(owner, method, watched)


def die() -> None:
    """As when the power goes: nothing is tidied up."""
    os.kill(os.getpid(), signal.SIGKILL)


def pause() -> None:
    """Say so in a file, and wait for another that says to go on."""
    Path("paused").touch()
    await_file("go on")


def await_file(name: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not Path(name).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{name} did not come")
        time.sleep(0.01)


def ask_to_end() -> None:
    """As Slurm and Docker do."""
    os.kill(os.getpid(), signal.SIGTERM)
