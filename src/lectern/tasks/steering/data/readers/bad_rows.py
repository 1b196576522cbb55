"""Count unusable rows of a recording, or raise an error for the first unusable row."""

import sys
from collections import Counter

from lectern.errors import UserError


class BadRows:
    """A counter of the unusable rows of a recording.

    If `policy` is `skip`, unusable rows are counted. If `policy` is `stop`, the first unusable row raises UserError.
    `counts` maps each reason to the number of unusable rows.
    """

    def __init__(self, policy: str):
        if policy not in ("stop", "skip"):
            raise UserError(f"preprocess.bad_rows is {policy!r}; expected 'stop' or 'skip'.")
        self.policy = policy
        self.counts: Counter[str] = Counter()

    def report(self, reason: str, place: str, detail: str = "") -> None:
        """Count an unusable row. Raises UserError with the file and number of the row if the policy is `stop`."""
        problem = f"{place}: {reason}{detail and ': '}{detail}"
        if self.policy == "stop":
            raise UserError(f"{problem}. Repair the row, or skip all unusable rows with preprocess.bad_rows=skip.")
        if reason not in self.counts:
            print(f"{problem}; unusable rows are skipped", file=sys.stderr)
        self.counts[reason] += 1
