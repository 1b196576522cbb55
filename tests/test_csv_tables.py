"""Test that a CSV table is read cell by cell, or refused with the line and the column."""

import pytest

from lectern.errors import UserError
from lectern.serving.csv_tables import read_csv


def read(tmp_path, content: str, max_rows: int = 2) -> list[dict[str, str]]:
    (tmp_path / "table.csv").write_bytes(content.encode())
    return [row for table in read_csv(tmp_path / "table.csv", max_rows) for row in table.to_dict("records")]


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
    assert [row["source"] for row in read(tmp_path, content)] == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "source\nten\nforty-two, ten\n",
            r"line 3: the header has 1 column \(source\), but .* 2 fields; field 2 is ' ten'",
        ),
        (
            "id,source\n1,a\n2\n",
            r"line 3: the header has 2 columns \(id, source\), but .* 1 fields; a field is missing",
        ),
        ('source\n"a" b\n', "line 2: ',' expected after '\"'"),
        ('source\n"a\nb\n', "line 3: unexpected end of data"),
        ("source,source\na,b\n", "several columns with the name 'source'"),
        ("", "has no header"),
    ],
    ids=["comma", "missing", "text after quote", "open quote", "repeated column", "empty"],
)
def test_a_table_that_cannot_be_read_as_meant_is_refused(tmp_path, content, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, content)
