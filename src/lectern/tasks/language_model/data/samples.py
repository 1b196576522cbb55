"""The running Python's own standard library to one packed text, a line a file."""

import hashlib
import json
import platform
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

NOT_READ = {"test", "tests", "idlelib", "lib2to3", "encodings", "pydoc_data", "site-packages", "dist-packages"}
LARGEST = 60_000  # bytes: a longer module would be most of a held-out split


def make(out: Path, max_bytes: int) -> dict[str, str]:
    """Write `library.jsonl`, `{"name": path, "text": ...}` a line; returns the version of what was found."""
    library = Path(sysconfig.get_paths()["stdlib"])
    lines, left = [], max_bytes
    for name, text in read_modules(library):
        left -= len(text.encode())
        if left < 0:
            break
        lines.append(json.dumps({"name": name, "text": f"# {name}\n{text.rstrip()}\n\n\n"}))
    (out / "library.jsonl").write_text("\n".join(sorted(lines)) + "\n", encoding="ascii")
    return {"python": platform.python_version()}


def read_modules(library: Path) -> Iterator[tuple[str, str]]:
    """Path and text of each module, in the order of a hash of the path: any beginning of it is a fair selection."""
    paths = (path.relative_to(library) for path in library.rglob("*.py"))
    names = [path.as_posix() for path in paths if not NOT_READ & set(path.parts)]
    for name in sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest()):
        with suppress(UnicodeDecodeError):  # a module in an older encoding is left out
            if (library / name).stat().st_size <= LARGEST:
                yield name, (library / name).read_text(encoding="utf-8")
