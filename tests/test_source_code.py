"""Test that digests of code depend on the statements, and not on comments, docstrings and blank lines."""

import ast
import re
from pathlib import Path

import pytest

from lectern.artifacts.source_code import source_digest, strip_comments

ROOT = Path(__file__).parents[1]
SOURCE = '''"""Return numbers."""

def two(text="# not a comment"):
    """Return two."""
    return f"{text}" and 2  # always
'''


@pytest.mark.parametrize(
    "changed",
    [
        SOURCE.replace('"""Return two."""', '"""Return the number\n\n    two.\n    """'),
        SOURCE.replace("  # always", ""),
        SOURCE.replace('"""Return numbers."""\n', "# Numbers\n"),
        SOURCE.replace("def two", "\n\n\ndef two").replace('    """Return two."""\n', ""),
        SOURCE.replace("# always", "# ünïcode, and 'quotes\""),
    ],
    ids=["docstring", "comment", "module docstring", "blank lines", "Unicode comment"],
)
def test_a_change_of_comments_or_docstrings_does_not_change_the_code(changed):
    assert changed != SOURCE and strip_comments(changed) == strip_comments(SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("and 2", "and 3"),
        ("# not a", "# no"),
        ('f"{text}"', "text"),
        ("    return", "    yield"),
        ("def two", "def one"),
        ('"""Return two."""', 'f"{print()}"'),
    ],
)
def test_a_change_of_the_code_is_found(old, new):
    assert strip_comments(SOURCE.replace(old, new)) != strip_comments(SOURCE)


class WithoutDocstrings(ast.NodeTransformer):
    """Replace the docstrings of a syntax tree by `pass`."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        is_string = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return ast.Pass() if is_string else node


def normalize(source: str) -> list[str]:
    """Return the lines of a program as Python writes them, without docstrings, blank lines and `pass`."""
    lines = ast.unparse(WithoutDocstrings().visit(ast.parse(source))).split("\n")
    return [line for line in lines if line.strip() not in ("", "pass")]


@pytest.mark.parametrize("path", sorted((ROOT / "src/lectern").rglob("*.py")), ids=lambda path: path.name)
def test_the_stripped_code_is_the_same_program(path):
    source = path.read_text()
    try:
        stripped = normalize(strip_comments(source))
    except IndentationError:  # The body of a class or function contained only a docstring.
        assert re.search(r':\n +"""[^"]*"""\n', source)
        return
    assert stripped == normalize(source)


def test_a_blank_line_in_a_string_is_code():
    source = 'x = """a\n\n  b  \n"""\n'
    for changed in (source.replace("\n\n", "\n"), source.replace("b  ", "b")):
        assert strip_comments(changed) != strip_comments(source)


def test_the_name_of_a_file_belongs_to_the_digest(tmp_path):
    (tmp_path / "a.py").write_text(SOURCE)
    digest = source_digest([tmp_path / "a.py"], tmp_path)
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    assert source_digest([tmp_path / "b.py"], tmp_path) != digest
