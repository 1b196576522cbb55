"""Predict for all inputs in a file or a folder of files, and write the outputs to a table.

The inputs are read in groups of rows, so memory use does not depend on the number of inputs. The outputs of each group
are written to a separate file immediately, so a killed or refused `lectern predict` does not lose its finished parts.
"""

import json
from collections import defaultdict
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from mlflow import MlflowClient
from tqdm import tqdm

from lectern.errors import UserError
from lectern.serving.bad_rows import BadRows, find_bad_rows, publish_bad_rows
from lectern.serving.batch_inputs import Row, count_inputs, escape_name, find_input_files, read_rows, reads_tables
from lectern.serving.champions import Champion, load_version
from lectern.serving.deadline import ModelBusy
from lectern.serving.merge_parts import merge_parts
from lectern.serving.part_folder import PartFolder
from lectern.serving.row_groups import RowGroup, RowGrouper
from lectern.serving.unfinished_run import Run, start_or_continue
from lectern.tracking.database_lock import lock_file
from lectern.user_files.output_path import check_output_path

OUTPUT_SUFFIXES = (".csv", ".parquet")


class OutputPaths(NamedTuple):
    """The files that `lectern predict` writes, and how it treats existing files and an unfinished run."""

    table: Path
    bad_rows: Path | None = None
    overwrite: bool = False
    restart: bool = False


class Predicted(NamedTuple):
    """The number of output rows, and the number of input rows that could not be predicted."""

    rows: int
    bad_rows: int


def predict_to_table(
    client: MlflowClient, model: str, source: Path, paths: OutputPaths, params: dict[str, Any]
) -> Predicted:
    """Write one output row per prediction to a table.

    If an earlier run with the same output was killed or refused, its finished parts are used. Raises UserError if the
    input cannot be read, if a row cannot be predicted and `paths.bad_rows` is None, or if the output cannot be written.
    """
    folder = PartFolder(paths.table)
    check_output_paths(folder, paths, [source])
    files = find_input_files(source)
    check_output_paths(folder, paths, files)  # an output file can be in the input folder
    message = f"Another `lectern predict` is writing {paths.table}. Wait until it has ended."
    with lock_file(folder.path / "lock", 0, message):
        try:
            if paths.restart:
                folder.delete_parts()
            run = start_or_continue(client, model, params, folder)
            predicted = predict_in_folder(load_version(client, run.version), files, paths, run, folder)
            folder.delete()
            return predicted
        finally:
            folder.delete_if_empty()


def check_output_paths(folder: PartFolder, paths: OutputPaths, inputs: list[Path]) -> None:
    """Raise UserError if an output file cannot or must not be created.

    If a run wrote a file and was then killed at its end, the file is replaced.
    """
    overwrite = paths.overwrite or folder.has_published(paths.table)
    check_output_path("--output", paths.table, OUTPUT_SUFFIXES, overwrite, inputs)
    if paths.bad_rows:
        overwrite = paths.overwrite or folder.has_published(paths.bad_rows)
        check_output_path("--bad-rows", paths.bad_rows, [".csv"], overwrite, inputs)
        if paths.bad_rows.resolve() == paths.table.resolve():
            raise UserError("--bad-rows and --output are the same file. Choose different file names.")


def predict_in_folder(
    champion: Champion, files: list[Path], paths: OutputPaths, run: Run, folder: PartFolder
) -> Predicted:
    """Predict for all rows with the parts in `folder`, and write the output files."""
    bad = BadRows(folder.bad_rows_file if paths.bad_rows else None)
    with bad.open():
        if bad.file is None and reads_tables(champion):
            check_table_rows(champion, files, bad)
        predict_all_rows(champion, files, run, folder, bad)
        bad.check()
    if paths.bad_rows:
        publish_bad_rows(folder.bad_rows_file, paths.bad_rows, folder.record_output)
    return Predicted(merge_parts(folder, paths.table, run.version.number), bad.count)


def check_table_rows(champion: Champion, files: list[Path], bad: BadRows) -> None:
    """Check all rows of the tables before the first prediction. Raises UserError with the bad rows."""
    rows = bad.keep_good(read_rows(files, champion))
    while group := list(islice(rows, champion.request_module.MAX_ROWS)):
        bad.add_all(group, find_bad_rows(partial(check_inputs, champion), group))
    bad.check()


def predict_all_rows(champion: Champion, files: list[Path], run: Run, folder: PartFolder, bad: BadRows) -> None:
    """Predict for each group of rows that has no finished part, and write the order of the parts.

    After the first bad row that no file collects, the remaining rows are only checked.
    """
    label = escape_name(folder.path.stem)
    rows = tqdm(read_rows(files, champion), total=count_inputs(files), unit=" inputs", desc=label)
    groups = RowGrouper(bad.keep_good(iter(rows)), folder.group_parts(), run.key, champion.request_module.MAX_ROWS)
    with folder.order_file.open("w", encoding="utf-8") as order:
        for group in groups:
            if bad.file is None and bad.count and not folder.has_part(group.part):
                bad.add_all(group.rows, find_bad_rows(partial(check_inputs, champion), group.rows))
                continue
            reasons = predict_group(champion, group, run.params, folder)
            bad.add_all(group.rows, reasons)
            good = [row for index, row in enumerate(group.rows) if index not in reasons]
            entry = {"part": str(group.part), "files": [row.file for row in good], "rows": [row.number for row in good]}
            order.write(f"{json.dumps(entry)}\n")


def predict_group(champion: Champion, group: RowGroup, params: dict[str, Any], folder: PartFolder) -> dict[int, str]:
    """Write the part of a group of rows, unless the part is finished.

    Return a dict that maps the index of each row that could not be predicted to the reason.
    """
    if folder.has_part(group.part):
        return folder.read_bad_rows(group.part)
    reasons: dict[int, str] = {}
    try:
        outputs = predict_rows(champion, params, group.rows)
    except ModelBusy:
        raise
    except UserError:
        outputs, reasons = predict_good_rows(champion, params, group.rows)
    folder.write_part(group.part, outputs, reasons)
    return reasons


def predict_good_rows(
    champion: Champion, params: dict[str, Any], rows: list[Row]
) -> tuple[pd.DataFrame, dict[int, str]]:
    """Return the outputs of the good rows, and a dict that maps the index of each other row to the reason."""
    reasons = find_bad_rows(partial(check_inputs, champion), rows)
    if not reasons:
        reasons = find_bad_rows(partial(predict_rows, champion, params), rows)
    good = [row for index, row in enumerate(rows) if index not in reasons]
    return predict_rows(champion, params, good) if good else pd.DataFrame(), reasons


def check_inputs(champion: Champion, rows: list[Row]) -> None:
    """Raise UserError if the task refuses an input. A task without the function `check_inputs` refuses no input."""
    if check := getattr(champion.request_module, "check_inputs", None):
        for indices in group_by_shape(rows):
            check(champion.model.facts, to_model_inputs(champion, [rows[index] for index in indices]))


def predict_rows(champion: Champion, params: dict[str, Any], rows: list[Row]) -> pd.DataFrame:
    """Return the outputs of the rows in the order of the rows.

    An input can have several output rows, for example several translations of one sentence.
    """
    groups = group_by_shape(rows)
    inputs = (to_model_inputs(champion, [rows[index] for index in indices]) for indices in groups)
    tables = [to_output_table(champion.model.predict(each, params)) for each in inputs]
    if len(tables) == 1:
        return tables[0]
    outputs = pd.concat(tables, ignore_index=True)
    order = np.repeat(np.concatenate(groups), len(outputs) // len(rows))
    return outputs.iloc[np.argsort(order, kind="stable")].reset_index(drop=True)


def group_by_shape(rows: list[Row]) -> list[list[int]]:
    """Return the indices of the rows, grouped by the shape of the input. All table rows form one group."""
    groups: dict[Any, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        groups[getattr(row.value, "shape", None)].append(index)
    return list(groups.values())


def to_model_inputs(champion: Champion, rows: list[Row]) -> Any:
    """Return the array or the table with the inputs of one call of the model."""
    if reads_tables(champion):
        columns = champion.inference_api.signature().inputs.input_names()
        return pd.DataFrame([row.value for row in rows], columns=columns)
    return np.stack([row.value for row in rows])


def to_output_table(outputs: Any) -> pd.DataFrame:
    if isinstance(outputs, pd.DataFrame):
        return outputs
    return pd.DataFrame({f"output_{column}": outputs[:, column] for column in range(outputs.shape[1])})
