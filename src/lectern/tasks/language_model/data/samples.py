"""Write the standard library of the running Python as one file, with one module per line."""

import hashlib
import json
import platform
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

EXCLUDED_FOLDERS = {"test", "tests", "idlelib", "lib2to3", "encodings", "pydoc_data", "site-packages", "dist-packages"}
MAX_FILE_BYTES = 60_000  # A module with more characters would fill most of the validation or test split.


def make(out: Path, max_bytes: int) -> dict[str, str]:
    """Write `library.jsonl` with lines `{"name": path, "text": ...}`. Return the version of Python."""
    library = Path(sysconfig.get_paths()["stdlib"])
    lines, remaining_bytes = [], max_bytes
    for name, text in read_modules(library):
        remaining_bytes -= len(text.encode())
        if remaining_bytes < 0:
            break
        lines.append(json.dumps({"name": name, "text": f"# {name}\n{text.rstrip()}\n\n\n"}))
    (out / "library.jsonl").write_text("\n".join(sorted(lines)) + "\n", encoding="ascii")
    return {"python": platform.python_version()}


def read_modules(library: Path) -> Iterator[tuple[str, str]]:
    """Yield the path and the text of each module, ordered by a hash of the path.

    Because of this order, the first modules are an unbiased selection of the library.
    """
    paths = (path.relative_to(library) for path in library.rglob("*.py"))
    names = [path.as_posix() for path in paths if not EXCLUDED_FOLDERS & set(path.parts)]
    for name in sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest()):
        with suppress(UnicodeDecodeError):  # Skip modules that are not UTF-8.
            if (library / name).stat().st_size <= MAX_FILE_BYTES:
                yield name, (library / name).read_text(encoding="utf-8")
