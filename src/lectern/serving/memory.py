"""Return the memory of large pictures and videos to the operating system, and keep garbage collections short."""

import ctypes
import gc
import sys

DEFAULT_THRESHOLDS = (700, 10, 10)  # the thresholds of Python's garbage collector, which `lectern` raises for imports


def release_memory() -> None:
    """Return freed memory to the operating system, which glibc otherwise keeps for later allocations.

    Without this call, the process keeps the memory of the largest pictures that it has read. Other C libraries return
    the memory themselves.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def exclude_from_collection() -> None:
    """Exclude all existing objects from later garbage collections, and collect often from now on.

    The imported libraries consist of about a million objects. A collection that includes these objects stops all
    threads for a second. A server must free the pictures and videos of a request soon after the request.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*DEFAULT_THRESHOLDS)
