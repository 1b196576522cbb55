"""Predict for all inputs in a file or a folder of files, and write the outputs to a table.

The inputs are read in chunks, so memory use does not depend on the number of inputs. The outputs of each chunk are
written to a separate file immediately, so a killed `lectern predict` can continue after its last chunk.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from mlflow import MlflowClient
from tqdm import tqdm

from lectern.artifacts.digests import file_digest
from lectern.atomic import atomic_file
from lectern.config import nearest
from lectern.errors import UserError
from lectern.registry.registered_model import RegisteredModel
from lectern.registry.version_record import ModelVersionRecord
from lectern.registry.versions import find_version
from lectern.serving.batch_inputs import Chunk, count_inputs, find_input_files, read_chunks
from lectern.serving.champions import Champion, load_version
from lectern.user_files.output_path import check_output_path

OUTPUT_SUFFIXES = (".csv", ".parquet")
FILE_COLUMN, ROW_COLUMN = (
    "item",
    "row",
)  # output columns with the input's file and row number
LARGE_FILE_BYTES = 50_000_000


def predict_to_table(
    client: MlflowClient, model: str, source: Path, output: Path, params: dict[str, Any], overwrite: bool = False
) -> int:
    """Write one output row per prediction to `output`, and return the number of rows.

    If an earlier call with the same arguments was killed, the version of the earlier call is used, even if the champion
    has changed. Raises UserError if the input cannot be read or the output cannot be written.
    """
    check_output_path("--output", output, OUTPUT_SUFFIXES, overwrite, [source])
    files = find_input_files(source)
    chunk_folder = output.with_name(f"{output.name}.parts")
    version = start_or_resume(client, model, chunk_folder, files, params)
    try:
        predict_all_chunks(load_version(client, version), files, chunk_folder, params, output.name)
        rows = merge_chunks(sorted(chunk_folder.glob("*.parquet")), output)
    except UserError:
        if not any(chunk_folder.glob("*.parquet")):  # no chunk is finished, so a later call has nothing to resume
            shutil.rmtree(chunk_folder)
        raise
    shutil.rmtree(chunk_folder)
    return rows


def start_or_resume(
    client: MlflowClient, model: str, chunk_folder: Path, files: list[Path], params: dict[str, Any]
) -> ModelVersionRecord:
    """Return the version that predicts, and write its number to the file plan.json, so that a later call can resume.

    Raises UserError if plan.json was written by a call with a different model, different parameters or different
    inputs.
    """
    name = model.partition("@")[0]
    request: dict[str, Any] = {"model": name, "params": params}
    request["sources"] = {path.name: [path.stat().st_size, file_fingerprint(path)] for path in files}
    plan_file = chunk_folder / "plan.json"
    if not plan_file.is_file():
        version = find_version(client, model)
        chunk_folder.mkdir(exist_ok=True)
        with atomic_file(plan_file) as temporary:
            temporary.write_text(json.dumps({**request, "version": str(version.number)}))
        return version
    plan = json.loads(plan_file.read_text())
    number = plan.pop("version")
    if plan != json.loads(json.dumps(request)):
        raise UserError(
            f"{chunk_folder} belongs to an unfinished `lectern predict` with a different model, --param or --input. "
            "Delete this folder to start again."
        )
    return RegisteredModel(client, name).get(number)


def file_fingerprint(path: Path) -> str:
    """Return the digest of a file, or the modification time of a large file, to detect changes of the file."""
    status = path.stat()
    return file_digest(path) if status.st_size < LARGE_FILE_BYTES else str(status.st_mtime_ns)


def predict_all_chunks(
    champion: Champion, files: list[Path], chunk_folder: Path, params: dict[str, Any], label: str
) -> None:
    """Predict for all chunks that have no output file yet, and show a progress bar."""
    check_params(champion, params)
    finished = len(list(chunk_folder.glob("*.parquet")))
    with tqdm(total=count_inputs(files), unit=" inputs", desc=label) as progress:
        for number, chunk in enumerate(read_chunks(files, champion)):
            if number >= finished:
                write_chunk(chunk_folder / f"{number:08d}.parquet", predict_chunk(champion, chunk, params))
            progress.update(len(chunk.rows))


def check_params(champion: Champion, params: dict[str, Any]) -> None:
    """Raise UserError if the model does not have a parameter that `params` contains."""
    known = [spec.name for spec in champion.inference_api.signature().params or []]
    for name in params:
        if name not in known:
            choices = f"Its parameters are: {', '.join(known)}." if known else "The model has no parameters."
            raise UserError(f"{champion.name} has no parameter {name!r}{nearest(name, known)} {choices}")


def predict_chunk(champion: Champion, chunk: Chunk, params: dict[str, Any]) -> pd.DataFrame:
    """Return the output rows of a chunk, each with the file name and the row number of its input.

    An input can have several output rows, for example several translations of one sentence.
    """
    try:
        outputs = champion.model.predict(chunk.inputs, params)
    except UserError as error:
        raise UserError(f"{chunk.files[0]}, rows {chunk.rows[0]} to {chunk.rows[-1]}: {error}") from error
    if not isinstance(outputs, pd.DataFrame):
        outputs = pd.DataFrame({f"output_{column}": outputs[:, column] for column in range(outputs.shape[1])})
    outputs_per_input = len(outputs) // len(chunk.rows)
    outputs.insert(0, FILE_COLUMN, np.repeat(chunk.files, outputs_per_input))
    outputs.insert(1, ROW_COLUMN, np.repeat(chunk.rows, outputs_per_input))
    outputs["version"] = champion.version.number
    return outputs


def write_chunk(path: Path, outputs: pd.DataFrame) -> None:
    with atomic_file(path) as temporary:
        outputs.to_parquet(temporary, index=False)


def merge_chunks(chunk_files: list[Path], output: Path) -> int:
    """Merge the output files of all chunks into the file `output`, and return the number of rows.

    Only one chunk at a time is in memory.
    """
    if not chunk_files:
        raise UserError("--input contains no rows.")
    rows = 0
    with atomic_file(output) as temporary:
        writer = None
        for path in chunk_files:
            table = pq.read_table(path)
            rows += len(table)
            if output.suffix.lower() == ".csv":
                is_first = path == chunk_files[0]
                table.to_pandas().to_csv(temporary, mode="a", header=is_first, index=False, lineterminator="\n")
            else:
                writer = writer or pq.ParquetWriter(temporary, table.schema)
                writer.write_table(table)
        if writer:
            writer.close()
    return rows
