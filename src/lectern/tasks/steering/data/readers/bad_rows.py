"""Rows that cannot be used: the first one stops, or all are left out and counted, as the config says."""

import sys
from collections import Counter

from lectern.errors import UserError


class BadRows:
    """`policy` is `stop` or `skip`; `counts` says how many rows were left out, and why."""

    def __init__(self, policy: str):
        if policy not in ("stop", "skip"):
            raise UserError(f"preprocess.faults is {policy!r}; it is `stop` or `skip`.")
        self.policy, self.counts = policy, Counter()

    def found(self, kind: str, place: str, detail: str = "") -> None:
        """Note a row that is left out. Raises UserError that names its file and row, where the policy is to stop."""
        if self.policy == "stop":
            raise UserError(
                f"{place}: {kind}{detail and ': '}{detail}. Mend it, or leave such rows out: preprocess.faults=skip."
            )
        if kind not in self.counts:
            print(f"{place}: {kind}{detail and ': '}{detail}; such rows are left out", file=sys.stderr)
        self.counts[kind] += 1
