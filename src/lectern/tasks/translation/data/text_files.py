"""Read text files that are plain, gzipped or inside a zip archive."""

import gzip
import re
import zipfile
import zlib
from pathlib import Path

from lectern.artifacts.text_lines import split_lines
from lectern.errors import UserError

LANGUAGE = "{language}"  # the placeholder for the language in file names


def read_lines(raw: Path, name: str, language: str = "") -> list[str]:
    """Read the lines of a UTF-8 file without their line endings.

    Only a line feed ends a line. Other Unicode line breaks occur inside sentences. If such a line break ended a line,
    the lines of the two languages would no longer correspond.
    """
    data = read_bytes(raw, name, language)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{raw / name.replace(LANGUAGE, language)}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8. "
            "Convert the file (iconv -t UTF-8) or download it again."
        ) from error
    return split_lines(text)


def read_bytes(raw: Path, name: str, language: str) -> bytes:
    """Read and decompress the file of one language."""
    path = name.replace(LANGUAGE, language)
    archive, _, member = path.partition(".zip/")
    try:
        if not member:
            data = (raw / path).read_bytes()
        else:
            with zipfile.ZipFile(raw / f"{archive}.zip") as zip_file:
                data = zip_file.read(member)
        return gzip.decompress(data) if path.endswith(".gz") else data
    except (FileNotFoundError, KeyError) as error:
        raise UserError(f"{raw / path} does not exist. {suggest_files(raw, name)}") from error
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise UserError(f"Cannot read {raw / path} ({error}). Delete this file and download it again.") from error


def suggest_files(raw: Path, name: str) -> str:
    """Return a hint for the user: the languages for which the file exists, or the available files if there are none."""
    files = list_files(raw, name)
    prefix, _, suffix = name.partition(LANGUAGE)
    pattern = re.compile(re.escape(prefix) + r"(\w+)" + re.escape(suffix))
    languages = [match[1] for match in map(pattern.fullmatch, files) if match]
    if LANGUAGE in name and languages:
        return (
            f"{name} exists for: {', '.join(languages)}. Set preprocess.source and preprocess.target to two of these."
        )
    return f"Available files: {', '.join(files) or 'none'}. To download the files, run `dvc repro download@{raw.name}`."


def list_files(raw: Path, name: str) -> list[str]:
    """List the files of the folder, or of the archive in `name`. The names have the form that the config uses."""
    archive, _, member = name.partition(".zip/")
    if not member or not (raw / f"{archive}.zip").is_file():
        return sorted(path.name for path in raw.glob("*"))
    with zipfile.ZipFile(raw / f"{archive}.zip") as zip_file:
        return [f"{archive}.zip/{inside}" for inside in sorted(zip_file.namelist())]
