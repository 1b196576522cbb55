"""Write sentences of the documentation strings of Python's standard library, labelled with their subject."""

import ast
import platform
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

SUBJECTS = {  # maps each class to the packages whose sentences have this class
    "concurrency": ("asyncio", "concurrent", "multiprocessing", "threading.py", "queue.py"),
    "testing": ("unittest", "doctest.py", "pdb.py", "trace.py"),
    "internet": ("email", "http", "urllib", "ftplib.py", "imaplib.py", "smtplib.py", "socket.py", "ssl.py"),
    "files": ("pathlib.py", "pathlib", "shutil.py", "tarfile.py", "zipfile.py", "zipfile", "tempfile.py", "os.py"),
    "numbers": ("_pydecimal.py", "fractions.py", "statistics.py", "random.py", "_pylong.py", "datetime.py",
                "_pydatetime.py", "calendar.py"),
}  # fmt: skip
SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])|\n\s*\n")
MIN_WORDS, MAX_WORDS = 5, 40


def make(out: Path) -> dict[str, str]:
    """Write one sentence per line, after the number of its subject, to `library.txt`. Return the version of Python."""
    library = Path(sysconfig.get_paths()["stdlib"])
    lines = [
        f"{label} {sentence}"
        for label, paths in enumerate(SUBJECTS.values())
        for sentence in sorted({text for path in paths for text in read_sentences(library / path)})
    ]
    (out / "library.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {"python": platform.python_version()}


def read_sentences(path: Path) -> Iterator[str]:
    """Yield the sentences in the documentation strings of a module, or of all modules in a package."""
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path] if path.is_file() else []
    for file in files:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield from split_sentences(ast.get_docstring(node) or "")


def split_sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a text that are prose: they end with a full stop and contain no code."""
    for part in SENTENCE.split(text):
        sentence = " ".join(part.split())
        if sentence.endswith(".") and ">>>" not in sentence and MIN_WORDS <= len(sentence.split()) <= MAX_WORDS:
            yield sentence
