"""Group the input rows of `lectern predict` into parts, and find the finished part for each group of rows."""

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from lectern.serving.batch_inputs import Row
from lectern.serving.file_inputs import MAX_CHUNK_BYTES
from lectern.serving.part_folder import DigestedRow, PartName, name_part, row_digest


class RowGroup(NamedTuple):
    """Rows that are predicted together, and the name of the part that contains their outputs."""

    rows: list[Row]
    part: PartName


class RowGrouper:
    """Divides rows into groups of at most `max_rows` rows, so that finished parts are reused.

    Rows between two finished parts form new groups. The finished parts are therefore also found if rows were inserted,
    changed or deleted. At most two groups of rows are in memory.
    """

    def __init__(self, rows: Iterator[Row], finished: dict[str, list[PartName]], run_key: str, max_rows: int):
        self.rows, self.finished, self.run_key, self.max_rows = rows, finished, run_key, max_rows
        self.waiting: deque[DigestedRow] = deque()

    def __iter__(self) -> Iterator[RowGroup]:
        new: list[DigestedRow] = []
        new_bytes = 0
        while self.read_ahead(1):
            part = self.find_finished_part()
            if part is None:
                new.append(self.waiting.popleft())
                new_bytes += getattr(new[-1].row.value, "nbytes", 0)
            if new and (part or len(new) == self.max_rows or new_bytes > MAX_CHUNK_BYTES):
                yield self.make_group(new)
                new, new_bytes = [], 0
            if part:
                yield RowGroup([self.waiting.popleft().row for _ in range(part.rows)], part)
        if new:
            yield self.make_group(new)

    def read_ahead(self, count: int) -> bool:
        """Read rows until `waiting` contains `count` rows. Return false if the input has fewer rows."""
        for row in islice(self.rows, max(count - len(self.waiting), 0)):
            self.waiting.append(DigestedRow(row, row_digest(row.value)))
        return len(self.waiting) >= count

    def find_finished_part(self) -> PartName | None:
        """Return the finished part that begins with the next row and contains exactly the following rows."""
        for part in self.finished.get(self.waiting[0].first, []) if self.finished else []:
            if self.read_ahead(part.rows):
                digests = [waiting.digest for waiting in islice(self.waiting, part.rows)]
                if name_part(self.run_key, digests) == part:
                    return part
        return None

    def make_group(self, rows: list[DigestedRow]) -> RowGroup:
        return RowGroup([each.row for each in rows], name_part(self.run_key, [each.digest for each in rows]))
