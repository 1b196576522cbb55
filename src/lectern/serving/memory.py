"""Return the memory of large pictures and videos to the operating system, and keep garbage collections short."""

import ctypes
import gc
import sys


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
    """Exclude all existing objects from later garbage collections.

    The imported libraries consist of about a million objects. A collection that includes these objects stops all
    threads for a second.
    """
    gc.collect()
    gc.freeze()
