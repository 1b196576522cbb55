"""Select the cases of a parametrized test that run for every change. The other cases run in `make nightly`."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest


def mostly_nightly(cases: Iterable[Any], always: Iterable[Any], name: Callable[[Any], str] = str) -> list[Any]:
    """Return the cases of a parametrized test. All cases that are not in `always` have the mark `nightly`."""
    kept = list(always)
    return [case if case in kept else pytest.param(case, marks=pytest.mark.nightly, id=name(case)) for case in cases]
