"""Write the source code of Python's standard library to one file, with one module per line."""

import hashlib
import json
import platform
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

EXCLUDED_FOLDERS = {"test", "tests", "idlelib", "lib2to3", "encodings", "pydoc_data", "site-packages", "dist-packages"}
MAX_FILE_BYTES = 60_000  # larger modules are left out, because a single large module would fill most of a split


def make(out: Path, max_bytes: int) -> dict[str, str]:
    """Write the modules of the standard library to `library.jsonl`, and return the version of Python.

    Each line has the format `{"name": path, "text": ...}`.
    """
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

    With the order by hash, the first modules are an unbiased selection of the library.
    """
    paths = (path.relative_to(library) for path in library.rglob("*.py"))
    names = [path.as_posix() for path in paths if not EXCLUDED_FOLDERS & set(path.parts)]
    for name in sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest()):
        with suppress(UnicodeDecodeError):  # skip modules that are not UTF-8
            if (library / name).stat().st_size <= MAX_FILE_BYTES:
                yield name, (library / name).read_text(encoding="utf-8")
