"""Handle rows of a recording that cannot be used."""

import sys
from collections import Counter

from lectern.errors import UserError


class BadRows:
    """A counter of the rows that cannot be used.

    `policy` is `stop` or `skip`. If `policy` is `stop`, the first unusable row is an error. `counts` maps each reason
    to the number of skipped rows.
    """

    def __init__(self, policy: str):
        if policy not in ("stop", "skip"):
            raise UserError(f"preprocess.bad_rows is {policy!r}; expected 'stop' or 'skip'.")
        self.policy = policy
        self.counts: Counter[str] = Counter()

    def report(self, reason: str, place: str, detail: str = "") -> None:
        """Count a skipped row. Raises UserError with the row's file and number if the policy is `stop`."""
        problem = f"{place}: {reason}{detail and ': '}{detail}"
        if self.policy == "stop":
            raise UserError(f"{problem}. Repair the row, or skip all such rows with preprocess.bad_rows=skip.")
        if reason not in self.counts:
            print(f"{problem}; such rows are skipped", file=sys.stderr)
        self.counts[reason] += 1
