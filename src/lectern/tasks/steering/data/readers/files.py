"""Read the files of a recording from a folder or from a zip file."""

import io
import warnings
import zipfile
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from lectern.errors import UserError
from lectern.user_files.system_files import is_system_file


class RecordingFiles:
    """The raw files of an origin, which are read by their relative paths.

    The files are read from `<origin>/<origin>.zip` if this zip file exists, and otherwise from the folder `<origin>`.
    Raises UserError if the folder does not exist.
    """

    def __init__(self, raw: Path):
        if not raw.is_dir():
            raise UserError(
                f"{raw} does not exist. Run `dvc repro download@{raw.name}`, or put a recording into this folder."
            )
        archive = raw / f"{raw.name}.zip"
        self.top = archive if archive.is_file() else raw
        self.zip = open_zip(archive) if archive.is_file() else None

    @cached_property
    def names(self) -> frozenset[str]:
        paths = self.zip.namelist() if self.zip else [str(path.relative_to(self.top)) for path in self.top.rglob("*")]
        return frozenset(path for path in paths if not is_system_file(PurePosixPath(path)))

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def read(self, name: str) -> bytes:
        return self.zip.read(name) if self.zip else (self.top / name).read_bytes()

    def find(self, ending: str) -> list[str]:
        """Return the sorted names of the files that end in `ending`. Raises UserError if no file ends in `ending`."""
        names = sorted(name for name in self.names if name.endswith(ending))
        if not names:
            raise UserError(f"{self.top} contains no file '*{ending}', which the format of the recording needs.")
        return names

    def read_csv(self, name: str, columns: list[str], without_header: list[str] | None = None) -> pd.DataFrame:
        """Read a CSV file. Raises UserError if the file is missing or invalid, or lacks one of the columns.

        `without_header` contains the names of the columns if the first line of the file may already be a row.
        """
        try:
            content = self.read(name)
            table = parse_csv(content)
            if without_header and len(table.columns) == len(without_header) and not set(columns) & set(table):
                table = parse_csv(content, names=without_header)
        except (KeyError, FileNotFoundError) as error:
            raise UserError(f"{self.top} contains no {name}, which this format needs.") from error
        except pd.errors.ParserWarning as error:
            raise UserError(
                f"{self.top}, {name}: a row has more fields than the header has columns. "
                "If the numbers have decimal commas, write them with decimal points."
            ) from error
        except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
            raise UserError(f"{self.top}, {name}: cannot be read as CSV: {error}") from error
        missing = [column for column in columns if column not in table]
        if missing:
            raise UserError(
                f"{self.top}, {name}: the columns {', '.join(missing)} are missing. "
                f"The file contains the columns: {', '.join(table)}."
            )
        return table


def parse_csv(content: bytes, **options: Any) -> pd.DataFrame:
    """Read a CSV file. Raises ParserWarning if a row has more fields than the header has columns."""
    with warnings.catch_warnings():
        # without index_col=False, pandas would use the first column as an index and shift the other columns
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return pd.read_csv(io.BytesIO(content), skipinitialspace=True, index_col=False, **options)


def open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(
            f"{path} is not a complete zip file ({error}). Delete the file and download it again."
        ) from error
