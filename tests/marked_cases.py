"""Select the cases of a parametrized test that run in `make test` or in `.ci/run`. The other cases have a mark."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest


def mostly(mark: str, cases: Iterable[Any], always: Iterable[Any], name: Callable[[Any], str] = str) -> list[Any]:
    """Return the cases of a parametrized test. All cases that are not in `always` have the mark."""
    kept, rare = list(always), getattr(pytest.mark, mark)
    return [case if case in kept else pytest.param(case, marks=rare, id=name(case)) for case in cases]
