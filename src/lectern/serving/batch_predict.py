"""A file or a folder to a table of a champion's answers: memory is bounded, and a killed run goes on."""

import json
import mimetypes
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from tqdm import tqdm

from lectern.artifacts.digests import file_digest
from lectern.atomic import atomic_file
from lectern.config import nearest
from lectern.errors import UserError
from lectern.registry import versions
from lectern.serving.champions import Champion, load
from lectern.serving.file_inputs import take

TABLES = (".csv", ".parquet", ".txt")
OUTPUTS = (".csv", ".parquet")
ITEM, ROW = "item", "row"  # which file, and which of its rows, an answer belongs to


@dataclass(frozen=True)
class Part:
    """Inputs that are answered together, and for each the file and the row that it came from."""

    inputs: Any
    items: list[str]
    rows: list[int]


def predict(client, model: str, source: Path, output: Path, params: dict[str, Any]) -> int:
    """Write a row an answer to `output`; returns how many. The version that began a table also ends it.

    Raises UserError for an input or an output that cannot be used.
    """
    check_output(output)
    sources = find_sources(source)
    parts = output.with_name(f"{output.name}.parts")
    version = begin(client, model, parts, sources, params)
    try:
        rows = answer_all(load(client, version), sources, parts, output, params)
    except UserError:
        if not any(parts.glob("*.parquet")):  # nothing to go on from: the input can be mended and tried again
            shutil.rmtree(parts)
        raise
    shutil.rmtree(parts)
    return rows


def answer_all(champion: Champion, sources: list[Path], parts: Path, output: Path, params: dict[str, Any]) -> int:
    """Answer what has not been answered yet, part by part, and join all."""
    check_params(champion, params)
    done = len(list(parts.glob("*.parquet")))
    with tqdm(total=count(sources), unit=" inputs", desc=output.name) as progress:
        for number, part in enumerate(read(sources, champion)):
            if number >= done:
                write_part(parts / f"{number:08d}.parquet", answer(champion, part, params))
            progress.update(len(part.rows))
    return join(sorted(parts.glob("*.parquet")), output)


def count(sources: list[Path]) -> int | None:
    """How many inputs there are, where that can be told without reading them all: not of a video."""
    counts = [count_file(path) for path in sources]
    return None if None in counts else sum(counts)


def count_file(path: Path) -> int | None:
    suffix = path.suffix.lower()
    if suffix in (".csv", ".txt"):
        with path.open("rb") as lines:
            return sum(1 for _ in lines) - (suffix == ".csv")
    try:
        if suffix == ".parquet":
            return pq.ParquetFile(path).metadata.num_rows
        if suffix == ".npy":
            return len(np.load(path, mmap_mode="r", allow_pickle=False))
    except (ValueError, OSError, TypeError):  # it is told when it is read
        return None
    return 1 if (mimetypes.guess_type(path.name)[0] or "").startswith("image/") else None


def check_output(output: Path) -> None:
    if output.suffix.lower() not in OUTPUTS:
        raise UserError(f"--output is {output}; name it something.csv or something.parquet.")
    if output.exists():
        raise UserError(f"{output} is there already. Delete it, or name another --output.")
    if not output.absolute().parent.is_dir():
        raise UserError(f"{output.absolute().parent} is no folder. Make it first: mkdir -p {output.absolute().parent}")


def find_sources(source: Path) -> list[Path]:
    """The file, or the files of a folder by name. Raises UserError where there is none."""
    found = sorted(path for path in source.iterdir() if path.is_file()) if source.is_dir() else [source]
    if not source.exists() or not found:
        raise UserError(f"--input is {source}, where nothing lies; a file, or a folder with files, belongs there.")
    return found


def begin(client, model: str, parts: Path, sources: list[Path], params: dict[str, Any]):
    """The version to ask: of a run that was killed, its own. Raises UserError where those parts are of another run."""
    asked = {"model": model.partition("@")[0], "params": params}
    asked |= {"sources": {path.name: [path.stat().st_size, small_digest(path)] for path in sources}}
    plan = parts / "plan.json"
    if not plan.is_file():
        version = versions.find_named(client, model)
        parts.mkdir(exist_ok=True)
        with atomic_file(plan) as part:
            part.write_text(json.dumps({**asked, "version": str(version.version)}))
        return version
    begun = json.loads(plan.read_text())
    number = begun.pop("version")
    if begun != json.loads(json.dumps(asked)):
        raise UserError(f"{parts} holds the beginning of another run (input, model or params differ). Delete it first.")
    return versions.get_version(client, asked["model"], number)


def small_digest(path: Path) -> str:
    """What tells that a file is still the same: its digest, or of a large one its size and time."""
    status = path.stat()
    return file_digest(path) if status.st_size < 50_000_000 else str(status.st_mtime_ns)


def check_params(champion: Champion, params: dict[str, Any]) -> None:
    """Raises UserError for a param that the model does not have."""
    known = [spec.name for spec in champion.inference_api.signature().params or []]
    for name in params:
        if name not in known:
            takes = f"It takes: {', '.join(known)}." if known else "It takes none."
            raise UserError(f"{champion.name} has no param {name!r}{nearest(name, known)} {takes}")


def read(sources: list[Path], champion: Champion) -> Iterator[Part]:
    """All inputs, in parts of as many rows as the room answers together."""
    readable = set(champion.request_format.FILES) if is_tensor(champion) else set(TABLES)
    for path in sources:
        if path.suffix.lower() not in readable:
            raise UserError(f"{path}: {champion.name} reads {', '.join(sorted(readable))}.")
    whole = read_items if is_tensor(champion) else read_tables
    yield from whole(sources, champion)


def is_tensor(champion: Champion) -> bool:
    return champion.inference_api.signature().inputs.is_tensor_spec()


def read_items(sources: list[Path], champion: Champion) -> Iterator[Part]:
    """Items of one shape together, also across files, as a folder of pictures has them."""
    items, most = each_item(sources, champion), champion.request_format.ROWS
    while some := take(items, most, lambda one: one[2].nbytes):
        shapes = sorted({np.shape(item) for _, _, item in some})
        for shape in shapes:
            names, rows, alike = zip(*(one for one in some if np.shape(one[2]) == shape), strict=True)
            yield Part(np.stack(alike), list(names), list(rows))


def each_item(sources: list[Path], champion: Champion) -> Iterator[tuple[str, int, np.ndarray]]:
    for path in sources:
        try:
            for row, item in enumerate(
                champion.request_format.FILES[path.suffix.lower()](path, champion.module, np.inf)
            ):
                yield path.name, row, item
        except UserError as error:
            raise UserError(f"{path}: {error}") from error


def read_tables(sources: list[Path], champion: Champion) -> Iterator[Part]:
    """The columns that the model takes, a few rows at a time; of a `.txt` each line is a row."""
    columns = champion.inference_api.signature().inputs.input_names()
    for path in sources:
        start = 0
        for table in pieces_of(path, columns, champion.request_format.ROWS):
            missing = [name for name in columns if name not in table]
            if missing:
                there = ", ".join(map(str, table.columns))
                raise UserError(f"{path} has no column {missing[0]!r}; there is: {there}.")
            yield Part(table[columns], [path.name] * len(table), list(range(start, start + len(table))))
            start += len(table)


def pieces_of(path: Path, columns: list[str], size: int) -> Iterator[pd.DataFrame]:
    """Raises UserError for a file that is not what its name says."""
    try:
        if path.suffix.lower() == ".parquet":
            for batch in pq.ParquetFile(path).iter_batches(size):
                yield batch.to_pandas().reset_index(drop=True)
        elif path.suffix.lower() == ".csv":
            yield from pd.read_csv(path, chunksize=size, dtype=dict.fromkeys(columns, str), keep_default_na=False)
        else:
            with path.open(encoding="utf-8") as lines:
                while some := [line.rstrip("\r\n") for line in islice(lines, size)]:
                    yield pd.DataFrame({columns[0]: some})
    except (ValueError, OSError) as error:  # not UTF-8, not CSV, not Parquet
        raise UserError(f"{path} cannot be read as {path.suffix[1:]}: {str(error).splitlines()[0]}") from error


def answer(champion: Champion, part: Part, params: dict[str, Any]) -> pd.DataFrame:
    """A row an answer, each with the input that it belongs to; a model that gives several keeps their order."""
    try:
        answered = champion.answer(part.inputs, params)
    except UserError as error:
        where = f"{part.items[0]}, rows {part.rows[0]} to {part.rows[-1]}"
        raise UserError(f"{where}: {error}") from error
    if not isinstance(answered, pd.DataFrame):
        answered = pd.DataFrame({f"output_{column}": answered[:, column] for column in range(answered.shape[1])})
    each = len(answered) // len(part.rows)
    answered.insert(0, ITEM, np.repeat(part.items, each))
    answered.insert(1, ROW, np.repeat(part.rows, each))
    answered["version"] = champion.number
    return answered


def write_part(path: Path, table: pd.DataFrame) -> None:
    with atomic_file(path) as part:
        table.to_parquet(part, index=False)


def join(parts: list[Path], output: Path) -> int:
    """The parts as one file under its final name, one in memory at a time; returns the rows."""
    rows = 0
    if not parts:
        raise UserError("--input holds nothing to answer.")
    with atomic_file(output) as unfinished:
        writer = None
        for path in parts:
            table = pq.read_table(path)
            rows += len(table)
            if output.suffix.lower() == ".csv":
                first = path == parts[0]
                table.to_pandas().to_csv(unfinished, mode="a", header=first, index=False, lineterminator="\n")
            else:
                writer = writer or pq.ParquetWriter(unfinished, table.schema)
                writer.write_table(table)
        if writer:
            writer.close()
    return rows
