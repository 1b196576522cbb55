"""Test the settings of the garbage collector, which shorten imports and must not keep the memory of requests."""

import gc
import subprocess
import sys

from lectern.serving.memory import DEFAULT_THRESHOLDS, exclude_from_collection

PRINT_THRESHOLD = "import gc; print(gc.get_threshold()[0]); import lectern; print(gc.get_threshold()[0])"
PRINT_FROZEN = "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count() > 0)); import lectern"


def run_python(code: str) -> list[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_lectern_collects_rarely_while_libraries_are_imported():
    before, after = map(int, run_python(PRINT_THRESHOLD))
    assert after > 100 * before


def test_no_object_is_collected_when_a_process_ends():
    assert run_python(PRINT_FROZEN) == ["True"]


def test_a_server_collects_the_objects_of_requests_as_often_as_any_python_program():
    thresholds = gc.get_threshold()
    try:
        exclude_from_collection()
        assert gc.get_threshold() == DEFAULT_THRESHOLDS and gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
