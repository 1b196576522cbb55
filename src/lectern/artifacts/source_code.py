"""Compute digests of source code that do not depend on comments, docstrings and blank lines."""

import io
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from token import tok_name
from tokenize import COMMENT, DEDENT, INDENT, NEWLINE, NL, STRING, TokenInfo

from lectern.artifacts.digests import content_digest


def source_digest(files: Iterable[Path], root: Path) -> str:
    """Return a digest of the code of Python files without comments, and of their paths relative to `root`."""
    return texts_digest({path.relative_to(root).as_posix(): path.read_text("utf-8") for path in files})


def texts_digest(sources: Mapping[str, str]) -> str:
    """Return a digest of the code of Python files without comments, and of the names of these files.

    `sources` maps the name of each file to its source code.
    """
    parts = ((name, strip_comments(sources[name])) for name in sorted(sources, key=PurePosixPath))
    return content_digest(text for part in parts for text in part)


def list_source_files(path: Path) -> list[Path]:
    """Return the Python files below `path` if `path` is a directory, or `path` itself if `path` is a file."""
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def strip_comments(source: str) -> str:
    """Remove comments, docstrings, blank lines and trailing spaces from Python source code.

    `ast.unparse` is not used, because its result depends on the version of Python.
    """
    lines = source.split("\n")
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    removed = set(removable_tokens(tokens))
    for token in sorted(removed, key=lambda token: token.start, reverse=True):
        remove_token(lines, token)
    literal = {row for token in tokens if token not in removed for row in rows_inside_string(token)}
    kept = [line if row in literal else line.rstrip() for row, line in enumerate(lines)]
    return "\n".join(line for row, line in enumerate(kept) if line or row in literal)


def removable_tokens(tokens: list[TokenInfo]) -> Iterator[TokenInfo]:
    """Yield the tokens of comments, and of strings that form a complete statement, such as docstrings."""
    statement: list[TokenInfo] = []
    for token in tokens:
        if token.type == COMMENT:
            yield token
        elif token.type == NEWLINE:
            if statement and all(is_plain_string(part) for part in statement):
                yield from statement
            statement = []
        elif token.type not in (NL, INDENT, DEDENT):
            statement.append(token)


def is_plain_string(token: TokenInfo) -> bool:
    """Return whether a token is a string but not an f-string. An f-string can execute code."""
    prefix = token.string.partition(token.string[-1])[0]
    return token.type == STRING and "f" not in prefix.lower()


def remove_token(lines: list[str], token: TokenInfo) -> None:
    """Remove the text of a token from the lines. The number of lines does not change."""
    (first, start), (last, end) = token.start, token.end
    text = lines[first - 1][:start] + lines[last - 1][end:]
    lines[first - 1 : last] = [text] + [""] * (last - first)


def rows_inside_string(token: TokenInfo) -> range:
    """Return the indices of the lines whose line break is inside the string `token`.

    Spaces before a line break inside the string, and blank lines inside the string, belong to the string.
    """
    is_string = token.type == STRING or tok_name[token.type] == "FSTRING_MIDDLE"  # since Python 3.12
    return range(token.start[0] - 1, token.end[0] - 1) if is_string else range(0)
