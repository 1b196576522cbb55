"""Store the finished parts of `lectern predict`, so that a killed or refused run can continue.

The name of a part contains a digest of the version, the parameters and the input rows. A part is therefore reused only
for rows with the same content, wherever these rows are in the input.
"""

import hashlib
import json
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lectern.artifacts.digests import file_digest
from lectern.atomic import atomic_file, process_suffix, write_json
from lectern.serving.batch_inputs import Row

BAD_ROWS = b"lectern.bad_rows"  # key in the metadata of a part
DIGEST_LENGTH = 32  # number of characters of a digest in the name of a part


class PartName(NamedTuple):
    """The content of a part's name: the digest of the first row, the number of rows, and the digest of all rows."""

    first: str
    rows: int
    digest: str

    @classmethod
    def from_path(cls, path: Path) -> "PartName":
        first, rows, digest = path.stem.split("-")
        return cls(first, int(rows), digest)

    def __str__(self) -> str:
        return f"{self.first}-{self.rows}-{self.digest}.parquet"


class PartFolder:
    """The folder next to the output that contains the finished parts, and the file plan.json that describes the run."""

    def __init__(self, output: Path):
        self.path = output.with_name(f"{output.name}.parts")
        self.plan_file = self.path / "plan.json"
        self.order_file = self.path / "order.jsonl"
        self.bad_rows_file = self.path / "bad_rows.csv"
        self.published_file = self.path / "published.json"

    def parts(self) -> list[Path]:
        return sorted(self.path.glob("*.parquet"))

    def read_plan(self) -> dict[str, Any] | None:
        """Return the plan of an unfinished run, or None if no part is finished."""
        if not self.parts() or not self.plan_file.is_file():
            return None
        plan: dict[str, Any] = json.loads(self.plan_file.read_text("utf-8"))
        return plan

    def write_plan(self, plan: dict[str, Any]) -> None:
        self.path.mkdir(exist_ok=True)
        write_json(self.plan_file, plan)

    def group_parts(self) -> dict[str, list[PartName]]:
        """Return the finished parts, grouped by the digest of their first row. Long parts come first."""
        groups: dict[str, list[PartName]] = defaultdict(list)
        for path in self.parts():
            name = PartName.from_path(path)
            groups[name.first].append(name)
        return {first: sorted(names, key=lambda name: -name.rows) for first, names in groups.items()}

    def write_part(self, name: PartName, outputs: pd.DataFrame, bad: dict[int, str]) -> None:
        """Write the outputs of a part, and the reasons why rows of the part could not be predicted."""
        table = pa.Table.from_pandas(outputs, preserve_index=False)
        metadata = {**(table.schema.metadata or {}), BAD_ROWS: json.dumps(bad).encode()}
        with atomic_file(self.path / str(name)) as temporary, temporary.open("wb") as file:
            pq.write_table(table.replace_schema_metadata(metadata), file)

    def read_bad_rows(self, name: PartName) -> dict[int, str]:
        """Return a dict that maps the index of each row of a part that could not be predicted to the reason."""
        with (self.path / str(name)).open("rb") as file:
            metadata = pq.read_schema(file).metadata
        return {int(index): reason for index, reason in json.loads(metadata[BAD_ROWS]).items()}

    def read_outputs(self, name: str) -> pd.DataFrame:
        with (self.path / name).open("rb") as file:
            return pq.read_table(file).to_pandas()

    def record_output(self, output: Path, temporary: Path) -> None:
        """Store the digest of a complete output before it gets its final name."""
        write_json(self.published_file, {**self.read_published(), ascii(output.name): file_digest(temporary)})

    def has_published(self, output: Path) -> bool:
        """Return whether a run wrote the file `output` before it was killed at its end, and the file is unchanged."""
        digest = self.read_published().get(ascii(output.name))
        return digest is not None and output.is_file() and file_digest(output) == digest

    def read_published(self) -> dict[str, str]:
        published: dict[str, str] = {}
        if self.published_file.is_file():
            published = json.loads(self.published_file.read_text("utf-8"))
        return published

    def has_part(self, name: PartName) -> bool:
        return (self.path / str(name)).is_file()

    def delete_parts(self) -> None:
        """Delete the finished parts, so that a new run starts."""
        for part in self.parts():
            part.unlink()

    def delete_if_empty(self) -> None:
        """Delete the folder if no part is finished, because a later run then has nothing to continue."""
        if not self.parts():
            self.delete()

    def delete(self) -> None:
        """Delete the folder.

        The folder is renamed first, so that a killed process leaves no incomplete folder of parts.
        """
        if self.path.exists():
            renamed = self.path.with_name(f".{self.path.name}.{process_suffix()}")
            self.path.rename(renamed)
            shutil.rmtree(renamed, ignore_errors=True)


def row_digest(value: Any) -> bytes:
    """Return a digest of the content of a row."""
    if isinstance(value, np.ndarray):
        return hashlib.sha256(f"{value.dtype.str} {value.shape}\n".encode() + value.tobytes()).digest()
    return hashlib.sha256(repr(value).encode("utf-8", "backslashreplace")).digest()


def name_part(run_key: str, digests: list[bytes]) -> PartName:
    """Return the name of the part for rows with these digests, computed by the run with the key `run_key`."""
    content = hashlib.sha256(run_key.encode() + b"".join(digests)).hexdigest()
    return PartName(digests[0].hex()[:DIGEST_LENGTH], len(digests), content[:DIGEST_LENGTH])


class DigestedRow(NamedTuple):
    """A row with the digest of its content."""

    row: Row
    digest: bytes

    @property
    def first(self) -> str:
        return self.digest.hex()[:DIGEST_LENGTH]
