"""Test that a CSV table is read cell by cell, and that a wrong row or a wrong table is reported with its line."""

import pytest

from lectern.errors import UserError
from lectern.serving.csv_tables import TableRow, read_csv


def read(tmp_path, content: str) -> list[TableRow]:
    (tmp_path / "table.csv").write_bytes(content.encode())
    return list(read_csv(tmp_path / "table.csv", ["source"]))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("source\nforty-two\nten\n", ["forty-two", "ten"]),
        ('source\n"forty-two, ten"\n', ["forty-two, ten"]),
        ('source,id\n"a ""b"" c",1\n', ['a "b" c']),
        ('source\r\n"two\r\nlines"\r\nnext\r\n', ["two\r\nlines", "next"]),
        ("\ufeffid,source\n1,a\n2,NA\n3,\n4, b \n", ["a", "NA", "", " b "]),
        ("source\na\n\nb", ["a", "b"]),
        ("source\na\u2028b\n007\n", ["a\u2028b", "007"]),
    ],
    ids=["plain", "comma", "quotes", "line breaks", "mark and empty", "empty line", "separators and digits"],
)
def test_every_cell_is_read_as_it_is(tmp_path, content, expected):
    assert [row.cells[0] for row in read(tmp_path, content)] == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('source\n"a" b\n', "line 2: ',' expected after '\"'"),
        ('source\n"a\nb\n', "line 3: unexpected end of data"),
        ("source,source\na,b\n", "several columns with the name 'source'"),
        ("", "has no header"),
        ("id\n1\n", "has no column 'source'. Its columns are: id"),
    ],
    ids=["text after quote", "open quote", "repeated column", "empty", "other column"],
)
def test_a_table_that_cannot_be_read_as_meant_is_refused(tmp_path, content, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "line", "problem"),
    [
        (
            "source\nten\nforty-two, ten\nsix\n",
            3,
            "the header has 1 column (source), but this line has 2 fields; field 2 is ' ten'",
        ),
        (
            "id,source\n1,ten\n2\n3,six\n",
            3,
            "the header has 2 columns (id, source), but this line has 1 fields; a field is missing",
        ),
    ],
)
def test_a_row_with_a_wrong_number_of_fields_has_a_problem_and_the_other_rows_are_read(
    tmp_path, content, line, problem
):
    good, wrong, other = read(tmp_path, content)
    assert (good.cells, other.cells, good.problem, other.problem) == (("ten",), ("six",), None, None)
    assert wrong.line == line and wrong.problem is not None and wrong.problem.startswith(problem)
