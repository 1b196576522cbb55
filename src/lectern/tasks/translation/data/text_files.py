"""Read text files that are plain, gzipped or inside a zip archive."""

import gzip
import re
import zipfile
import zlib
from pathlib import Path

from lectern.artifacts.text_lines import split_lines
from lectern.errors import UserError
from lectern.user_files.plain_text import decode_text

LANGUAGE = "{language}"  # placeholder for the language in the file names of a config


def read_lines(raw: Path, name: str, language: str = "") -> list[str]:
    """Return the lines of a UTF-8 file without line endings.

    Only a line feed ends a line, because other Unicode line breaks occur inside sentences. If other Unicode line breaks
    ended a line, line n of one language would not be the translation of line n of the other language.
    """
    data = read_bytes(raw, name, language)
    return split_lines(decode_text(data, str(raw / name.replace(LANGUAGE, language))))


def read_bytes(raw: Path, name: str, language: str) -> bytes:
    """Return the decompressed content of the file of one language."""
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
        raise UserError(f"Cannot read {raw / path} ({error}). Delete the file and download it again.") from error


def suggest_files(raw: Path, name: str) -> str:
    """Return a hint that lists the languages for which the file exists.

    If the file does not exist for any language, the hint lists the available files.
    """
    files = list_files(raw, name)
    prefix, _, suffix = name.partition(LANGUAGE)
    pattern = re.compile(re.escape(prefix) + r"(\w+)" + re.escape(suffix))
    languages = [match[1] for match in map(pattern.fullmatch, files) if match]
    if LANGUAGE in name and languages:
        return (
            f"{name} exists for: {', '.join(languages)}. "
            "Set preprocess.source and preprocess.target to two of these languages."
        )
    return f"Available files: {', '.join(files) or 'none'}. To download the files, run `dvc repro download@{raw.name}`."


def list_files(raw: Path, name: str) -> list[str]:
    """Return the names of all files in the folder `raw`, or in the archive that `name` selects.

    The names have the format of file names in a config.
    """
    archive, _, member = name.partition(".zip/")
    if not member or not (raw / f"{archive}.zip").is_file():
        return sorted(path.name for path in raw.glob("*"))
    with zipfile.ZipFile(raw / f"{archive}.zip") as zip_file:
        return [f"{archive}.zip/{inside}" for inside in sorted(zip_file.namelist())]
