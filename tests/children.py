"""Run functions, stages and commands in a forked process, which a test can kill at a chosen moment."""

import gc
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
from threading import Timer
from typing import Any, NamedTuple

KILLED = -signal.SIGKILL
LIMIT = 600  # seconds; a child process that needs more time is deadlocked


class Ended(NamedTuple):
    """The result of a child process. The exit code is the negative number of a signal if a signal ended the process."""

    code: int
    said: str


class Child:
    """A forked process that calls a function.

    The process inherits all imports, and changes in the process do not affect the parent.
    """

    def __init__(self, function: Callable[..., Any], *arguments: Any, **options: Any):
        self.output = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed in `ended`)
        # wait for threads that are ending, because a child process never releases a lock that such a thread holds
        time.sleep(0.02)
        # Exempt existing objects from the garbage collection of the child process. Otherwise, the child process would
        # wait for threads of a video decoder that exist only in the parent process.
        gc.freeze()
        self.process = os.fork()
        if self.process == 0:
            try:
                os.dup2(self.output.fileno(), 1)
                os.dup2(self.output.fileno(), 2)
                sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
                # reset SIGTERM, because coverage handles this signal in the main process of the tests
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                os._exit(exit_code(function, *arguments, **options))
            finally:
                os._exit(1)  # A child process that returned from this function would also run the remaining tests.
        gc.unfreeze()

    def ended(self) -> Ended:
        """Wait until the child process ends, and return its exit code and output.

        Kill the child process after LIMIT seconds.
        """
        watchdog = Timer(LIMIT, os.kill, (self.process, signal.SIGKILL))
        watchdog.start()
        code = os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
        watchdog.cancel()
        with self.output:
            self.output.seek(0)
            return Ended(code, self.output.read())


def in_child(function: Callable[..., Any], *arguments: Any, **options: Any) -> Ended:
    """Call a function in a child process and wait until the child process ends."""
    return Child(function, *arguments, **options).ended()


def exit_code(function: Callable[..., Any], *arguments: Any, **options: Any) -> int:
    """Call a function and return the exit code with which Python would end after this call.

    Print an error of the function as Python prints it.
    """
    code = 0
    try:
        function(*arguments, **options)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        if code and not isinstance(error.code, int):
            print(error.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def run_stage(name: str, *overrides: str) -> None:
    """Run `python pipelines/<name>.py <overrides>` in this process and in the current directory."""
    import hydra._internal.utils

    # Hydra prints full tracebacks under a debugger, and it regards coverage as a debugger.
    hydra._internal.utils.is_under_debugger = lambda: False
    sys.argv = [f"pipelines/{name}.py", *overrides]
    runpy.run_path(f"pipelines/{name}.py", run_name="__main__")


def run_lectern(*arguments: str) -> None:
    """Run `lectern <arguments>` in this process, with a terminal of 300 columns."""
    from lectern.cli import main

    os.environ["COLUMNS"] = "300"
    sys.argv = ["lectern", *arguments]
    main()


def lectern(*arguments: str) -> Ended:
    """Run `lectern <arguments>` in a child process and return its exit code and output."""
    warm("registry.reconcile", "registry.lineage", "serving.batch_predict")
    return in_child(run_lectern, *arguments)


def warm(*names: str) -> None:
    """Import the modules that the stages use. Every child process inherits these imports and saves several seconds."""
    for name in ("stages.stage", "training.plan", "stages.evaluation", "registry.promotion", *names):
        import_module(f"lectern.{name}")


def at_call(owner: Any, method: str, call: int, act: Callable[[], None], after: bool = False) -> None:
    """Patch a function or method of `owner`.

    The function `act` runs before or after the call with the number `call`.
    """
    original, calls = getattr(owner, method), itertools.count(1)

    @wraps(original)
    def patched(*arguments, **options):
        is_selected = next(calls) == call
        if is_selected and not after:
            act()
        result = original(*arguments, **options)
        if is_selected and after:
            act()
        return result

    setattr(owner, method, patched)


def die() -> None:
    """Kill this process without any cleanup, as a power failure does."""
    os.kill(os.getpid(), signal.SIGKILL)


def pause() -> None:
    """Create the file `paused`, and wait until the file `go on` exists."""
    Path("paused").touch()
    await_file("go on")


def await_file(name: str, seconds: float = 120) -> None:
    """Wait until a file exists. Raises TimeoutError after the given number of seconds."""
    deadline = time.monotonic() + seconds
    while not Path(name).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{name} does not exist after {seconds} seconds")
        time.sleep(0.01)


def ask_to_end() -> None:
    """Send SIGTERM to this process, as Slurm and Docker do to stop a process."""
    os.kill(os.getpid(), signal.SIGTERM)
