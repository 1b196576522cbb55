"""A raw folder, or the one stored zip in it, to named files and tables."""

import io
import zipfile
from functools import cached_property
from pathlib import Path

import pandas as pd

from lectern.errors import UserError


class Files:
    """The files of an origin by their path below its top: from `<origin>/<origin>.zip`, or from the folder itself."""

    def __init__(self, raw: Path):
        if not raw.is_dir():
            raise UserError(
                f"{raw} is not there. Download it (dvc repro download@{raw.name}), or put a recording there."
            )
        archive = raw / f"{raw.name}.zip"
        self.top = archive if archive.is_file() else raw
        self.zip = open_zip(archive) if archive.is_file() else None

    @cached_property
    def names(self) -> frozenset[str]:
        paths = self.zip.namelist() if self.zip else [str(path.relative_to(self.top)) for path in self.top.rglob("*")]
        return frozenset(paths)

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def read(self, name: str) -> bytes:
        return self.zip.read(name) if self.zip else (self.top / name).read_bytes()

    def find(self, ending: str) -> list[str]:
        """The names that end so, sorted. Raises UserError where there is none."""
        found = sorted(name for name in self.names if name.endswith(ending))
        if not found:
            raise UserError(f"{self.top} holds no file {ending!r}, which this format needs.")
        return found

    def read_table(self, name: str, columns: list[str]) -> pd.DataFrame:
        """A CSV with at least these columns, its rows in order; numbers that are none become NaN later."""
        try:
            table = pd.read_csv(io.BytesIO(self.read(name)), skipinitialspace=True)
        except (KeyError, FileNotFoundError) as error:
            raise UserError(f"{self.top} holds no {name}, which this format needs.") from error
        except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
            raise UserError(f"{self.top}, {name}: this is no CSV that can be read: {error}") from error
        missing = [column for column in columns if column not in table]
        if missing:
            raise UserError(
                f"{self.top}, {name}: the columns {', '.join(missing)} are missing. It has: {', '.join(table)}."
            )
        return table


def open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(f"{path} is no whole zip file ({error}). Delete it and download it again.") from error
