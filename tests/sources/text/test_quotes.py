"""Quotes in text tables: ordinary, escaped, literal, and not closed."""

from __future__ import annotations

from pathlib import Path

import pytest
from table_logs import column_by_sequence, open_log, read_log, write

from segue.errors import SourceError

HEADER = "user_id\titem_id\ttitle\n"


def read(path: Path, text: str, **options: object) -> tuple[dict[str, list[str]], list[str]]:
    """The sequences of a log, and its warnings about how it was read."""
    source = open_log(write(path, text), **options)
    sequences = column_by_sequence(source, "items")
    return sequences, [text for text in source.report()["warnings"] if ": read " in text]


def test_literal_quotes_in_tsv(tmp_path: Path) -> None:
    text = HEADER + 'u\t"Weird" Al\tx\nu\tb "c"\ty\nu\t"\tz\n'
    sequences, warnings = read(tmp_path / "log.tsv", text)
    assert sequences == {"u": ['"Weird" Al', 'b "c"', '"']}
    expected = "log.tsv: read with literal quotes, because line 2 has text after a quote that is"
    assert warnings[0].startswith(expected)
    assert read(tmp_path / "log.tsv", text, quote="none") == (sequences, [])


@pytest.mark.parametrize("title", ['"Quiet Al" Morano', '5" disc', '"open', 'a ""b"" c"', '"'])
@pytest.mark.parametrize("separator", ["\t", ",", ";"])
def test_a_column_that_is_not_used_may_have_any_quotes(
    tmp_path: Path, title: str, separator: str
) -> None:
    text = HEADER + f'"u"\ta\t{title}\nu\t"b\tc"\tx\nu\td\t"{title}"\nu\te\t{title}\n'
    sequences, _ = read(tmp_path / "log.txt", text.replace("\t", separator))
    assert sequences == {"u": ["a", f"b{separator}c", "d", "e"]}


def test_two_texts_in_quotes_side_by_side(tmp_path: Path) -> None:
    text = HEADER + 'u\t"a" "b"\tx\nu\tc\ty\n'
    assert read(tmp_path / "log.tsv", text)[0] == {"u": ['"a" "b"', "c"]}
    with pytest.raises(SourceError, match="line 2 has text after a quote that is closed"):
        read_log(write(tmp_path / "log.csv", text.replace("\t", ",")))


def test_backslashes_before_quotes(tmp_path: Path) -> None:
    text = 'user_id,item_id\nu,"say \\"a\\", b"\nu,"c:\\\\d\\e"\nu,\\N\n'
    sequences, warnings = read(tmp_path / "log.csv", text)
    assert sequences == {"u": ['say "a", b', "c:\\d\\e"]}  # \\N is a missing id
    assert "read with backslashes before quotes" in warnings[0]
    assert read(tmp_path / "log.csv", text, escape="\\")[0] == sequences


def test_escapes_without_quotes(tmp_path: Path) -> None:
    text = "user_id\titem_id\nu\ta\\\tb\nu\tc\\\\d\n"
    options = {"quote": "none", "escape": "\\"}
    assert read(tmp_path / "log.tsv", text, **options)[0] == {"u": ["a\tb", "c\\d"]}


def test_other_quote_characters(tmp_path: Path) -> None:
    text = "user_id,item_id\n'u','a,''b'''\nu,c\n"
    assert read(tmp_path / "log.csv", text, quote="'")[0] == {"u": ["a,'b'", "c"]}
    text = "user_id::item_id\n'u'::'a::b'\nu::c\n"
    options = {"quote": "'", "separator": "::"}
    assert read(tmp_path / "log.csv", text, **options)[0] == {"u": ["a::b", "c"]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('user,item\nu,"a\nu,b\n', "line 2 has a quote that is not closed"),
        ('user,item\nu,a\nu,"b" c\nu,d\n', "line 3 has text after a quote that is closed"),
        ('user,item\nu,"two\n\nlines"\nu\n', "line 5 has 1 column, expected 2"),
        ('user,n,item\nu,a,"x\nu,b,y"\n', "line 2 has a quote that closes only on line 3"),
    ],
)
def test_a_quote_that_does_not_fit_is_refused_with_its_line(
    tmp_path: Path, text: str, expected: str
) -> None:
    with pytest.raises(SourceError, match=expected) as error:
        read_log(write(tmp_path / "log.csv", text))
    if "quote" in expected:
        assert "--quote none" in (error.value.hint or "")


def test_a_text_whose_lines_are_rows_by_themselves(tmp_path: Path) -> None:
    text = HEADER.replace("\t", ",") + 'u,a,"x\nu,b,y"\nu,c,z\n'
    assert read_log(write(tmp_path / "log.csv", text), quote='"') == {"u": ["a", "c"]}
    assert read_log(write(tmp_path / "log.csv", text), quote="none") == {"u": ["a", "b", "c"]}
    for separator in ",\t":
        sequences, warnings = read(tmp_path / "log.csv", text.replace(",", separator))
        assert sequences == {"u": ["a", "b", "c"]}
        assert "with literal quotes in columns that are not used, because line 2" in warnings[0]


def test_repeated_names_of_columns_that_are_not_used(tmp_path: Path) -> None:
    text = "user_id,item_id,title,Title,,\n1,2,x,y,,\n"
    assert read_log(write(tmp_path / "log.csv", text)) == {"1": ["2"]}
    text = "user_id,item_id,timestamp,Timestamp\n1,2,3,4\n"
    with pytest.raises(SourceError, match="more than one column called 'timestamp'"):
        read_log(write(tmp_path / "log.csv", text))
