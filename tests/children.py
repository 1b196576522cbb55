"""A piece of work to how it ended in a process of its own, killed where a test says so."""

import itertools
import os
import runpy
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple

KILLED = -signal.SIGKILL


class Ended(NamedTuple):
    """How a child ended: its exit code, or minus the signal that it died of; and all that it printed."""

    code: int
    said: str


def in_child(work: Callable[..., Any], *arguments: Any, **more: Any) -> Ended:
    """Run the work in a forked child: imports are paid for once, and whatever it changes is gone with it."""
    with tempfile.TemporaryFile("w+") as said:
        child = os.fork()
        if child == 0:
            try:
                os.dup2(said.fileno(), 1)
                os.dup2(said.fileno(), 2)
                sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
                os._exit(exit_code(work, *arguments, **more))
            finally:
                os._exit(1)  # whatever happens: a child that came back would run the other tests too
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said.seek(0)
        return Ended(code, said.read())


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


def ask_to_end() -> None:
    """As Slurm and Docker do."""
    os.kill(os.getpid(), signal.SIGTERM)
