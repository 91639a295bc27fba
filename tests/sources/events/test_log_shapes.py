"""Logs in the shapes that people have: each is read, or refused with a hint that is right."""

from __future__ import annotations

import bz2
import codecs
import gzip
import json
import lzma
import math
from itertools import product
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from table_logs import column_by_sequence, open_log, read_log, write

from segue.errors import SourceError
from slow_cases import some_fast

LOG = "user_id,item_id,timestamp\nu,a,1600000001\nu,b,1600000002\nv,c,1600000003\n"
SEQUENCES = {"u": ["a", "b"], "v": ["c"]}


def write_bytes(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "data",
    [
        LOG.replace("timestamp\n", "timestamp\r\n").encode(),
        LOG.replace("1\n", "1\r\n").encode(),
        LOG[:-1].encode() + b"\r\n",
        LOG.replace("2\n", "2\r").encode(),
        LOG.replace("\n", "\r").encode(),
        LOG.replace("\n", "\n\n").encode(),
        b"\n\n  \n" + LOG.encode(),
        LOG.replace("1\n", "1\r\n").encode("utf-8-sig"),
    ],
)
def test_line_ends_of_several_kinds(tmp_path: Path, data: bytes) -> None:
    assert read_log(write_bytes(tmp_path / "log.csv", data)) == SEQUENCES


COMPRESS = (gzip.compress, zstandard.compress, bz2.compress, lzma.compress)


@pytest.mark.parametrize(
    ("name", "compress"), some_fast(product(("log.csv", "log", "log.csv.gz"), COMPRESS), every=3)
)
def test_compression_is_detected_by_content(tmp_path: Path, name: str, compress) -> None:
    assert read_log(write_bytes(tmp_path / name, compress(LOG.encode()))) == SEQUENCES
    data = compress(LOG[:40].encode()) + compress(LOG[40:].encode())
    assert read_log(write_bytes(tmp_path / name, data)) == SEQUENCES


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("name", ["log.csv", "log.jsonl"])
def test_a_byte_order_mark_names_the_encoding(tmp_path: Path, encoding: str, name: str) -> None:
    text = LOG.replace("b", "naïve")
    if name == "log.jsonl":
        rows = [line.split(",") for line in text.splitlines()]
        objects = (dict(zip(rows[0], row, strict=True)) for row in rows[1:])
        text = "".join(json.dumps(row) + "\n" for row in objects)
    path = write_bytes(tmp_path / name, text.encode(encoding))
    assert read_log(path) == {"u": ["a", "naïve"], "v": ["c"]}
    big_endian = codecs.BOM_UTF16_BE + text.encode("utf-16-be")
    assert read_log(write_bytes(path, big_endian)) == {"u": ["a", "naïve"], "v": ["c"]}


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16-le", "shift_jis"])
def test_an_encoding_by_option(tmp_path: Path, encoding: str) -> None:
    item = "ロック" if encoding == "shift_jis" else "naïve"
    path = write_bytes(tmp_path / "log.csv", LOG.replace("b", item).encode(encoding))
    assert read_log(path, encoding=encoding) == {"u": ["a", item], "v": ["c"]}
    with pytest.raises(SourceError, match="UTF-8 text") as error:
        read_log(path)
    assert "--encoding" in (error.value.hint or "")


def test_undecodable_text_in_a_column_that_is_not_used(tmp_path: Path) -> None:
    text = "user_id,item_id,title\nu,a,naïve\nu,b,x\n"
    path = write_bytes(tmp_path / "log.csv", text.encode("latin-1"))
    assert read_log(path) == {"u": ["a", "b"]}
    with pytest.raises(SourceError, match="line 2 is not UTF-8 text"):
        read_log(path, item_column="title")


@pytest.mark.parametrize(
    ("separator", "option"),
    [
        *((separator, None) for separator in ("::", " ", "   ", "|")),
        *((separator, separator) for separator in ("~", "||", "§", "->")),
        ("\t", "\\t"),
        (" \t", " "),
    ],
)
def test_separators(tmp_path: Path, separator: str, option: str | None) -> None:
    path = write(tmp_path / "log.txt", LOG.replace(",", separator))
    assert read_log(path, separator=option) == SEQUENCES


@pytest.mark.parametrize("first", ["sep=;\n", "SEP=;\r\n", '"sep=;"\n'])
def test_a_separator_line(tmp_path: Path, first: str) -> None:
    path = write(tmp_path / "log.csv", first + LOG.replace(",", ";"))
    assert read_log(path) == SEQUENCES


def test_comment_lines(tmp_path: Path) -> None:
    source = open_log(write(tmp_path / "log.csv", "# one\n\n# two, three\n" + LOG))
    assert column_by_sequence(source, "items") == SEQUENCES
    assert "left out 2 lines that begin with '#'" in source.report()["warnings"][0]
    assert read_log(write(tmp_path / "log.csv", "#" + LOG)) == SEQUENCES
    text = LOG.replace("u,b", "% u,b") + "% end\n"
    assert read_log(write(tmp_path / "log.csv", text), comment="%") == {"u": ["a"], "v": ["c"]}


def test_a_header_within_the_file_gives_a_warning(tmp_path: Path) -> None:
    header, _, rows = LOG.replace("timestamp", "note").partition("\n")
    source = open_log(write(tmp_path / "log.csv", f"{header}\n{rows}{header}\n{rows}"))
    assert len(column_by_sequence(source, "items")) == 3
    assert "is a header within the file?" in source.report()["warnings"][-1]


@pytest.mark.parametrize("end", ["\n", "\r"])
def test_a_separator_at_the_end_of_each_row(tmp_path: Path, end: str) -> None:
    header, _, rows = LOG.partition("\n")
    text = header + end + rows.replace("\n", f",{end}")
    assert read_log(write(tmp_path / "log.csv", text)) == SEQUENCES
    assert read_log(write(tmp_path / "log.csv", f"# comment{end}{text}")) == SEQUENCES


HEADLESS = LOG.partition("\n")[2]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"columns": "user,item,time"}, HEADLESS),
        ({"columns": ["user", "item", "time"]}, HEADLESS.replace(",", "\t")),
        ({"columns": "user,item,time", "separator": "::"}, HEADLESS.replace(",", "::")),
        ({"columns": "user,item,time", "header": True}, "a,b,c\n" + HEADLESS),
        ({"columns": "-,item,user"}, "x,a,u\ny,b,u\nz,c,v\n"),
        ({"columns": "user,item", "header": False}, "u,a\nu,b\nv,c\n"),
        ({"header": False, "user_column": "column1", "item_column": "column2"}, HEADLESS),
    ],
)
def test_files_without_a_header(tmp_path: Path, options: dict[str, object], text: str) -> None:
    assert read_log(write(tmp_path / "log.csv", text), **options) == SEQUENCES


@pytest.mark.parametrize(
    ("text", "roles"),
    [
        ("1,10,5.0,978300760\n1,11,3.0,978300761\n", "user,item,rating,time"),
        ("u1,a\nu1,b\nu2,c\n", "user,item"),
        ("u1,i7\nu2,i9\nu3,i12\n", "user,item"),
        ("u,i1,2001-01-01T00:00:00Z\n", "user,item,time"),
        ("978300760;u1;i1\n978300770;u1;i2\n", "time,user,item"),
        ("u,i1,1600000001000,x,4.5\n", "user,item,time,-,rating"),
        ("1\ta\t5\t978300760\n", "user,item,rating,time"),
    ],
)
def test_the_hint_for_a_file_without_a_header_can_be_pasted(
    tmp_path: Path, text: str, roles: str
) -> None:
    path = write(tmp_path / "log.csv", text)
    first_user = text.replace(";", ",").replace("\t", ",").split(",")[0]
    for options in ({}, {"user_column": first_user}, {"item_column": "x"}):
        with pytest.raises(SourceError, match="looks like an event") as error:
            read_log(path, **options)
        assert (error.value.hint or "").startswith(f"add --columns {roles};")
    sequences = read_log(path, columns=roles)
    assert sum(map(len, sequences.values())) == text.count("\n")


def test_the_hint_for_a_file_without_a_header_names_no_measure_as_item(tmp_path: Path) -> None:
    rows = "0\t2010-10-19T23:55:27Z\t30.25\t-97.75\t22847\n1\t2010-10-18T22:17:43Z\t30\t-97\t7\n"
    with pytest.raises(SourceError) as caught:
        read_log(write(tmp_path / "log.txt", rows))
    assert "--columns user,time,-,-,item" in str(caught.value.hint)


def test_a_header_is_not_taken_for_an_event(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", LOG)
    with pytest.raises(SourceError, match="looks like names of columns") as error:
        read_log(path, columns="user,item,time")
    assert "--header" in (error.value.hint or "")
    path = write(tmp_path / "log.csv", "who,what\nann,tea\nbob,milk\n")
    with pytest.raises(SourceError, match="has a usual name for a user id, got who, what") as error:
        read_log(path)
    assert "if the first line is an event, add --columns user,item" in (error.value.hint or "")
    assert read_log(path, user_column="who", item_column="what") == {
        "ann": ["tea"],
        "bob": ["milk"],
    }


def test_columns_must_match_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", HEADLESS)
    with pytest.raises(SourceError, match=r"names 2 columns, but .* has 3 in its first row"):
        read_log(path, columns="user,item")
    pq.write_table(pa.table({"user": [1], "item": [2]}), tmp_path / "log.parquet")
    with pytest.raises(SourceError, match="is in Parquet, to which --columns does not apply"):
        read_log(tmp_path / "log.parquet", columns="user,item")


def test_ratings_between_double_colons_need_no_header(tmp_path: Path) -> None:
    path = write(tmp_path / "ratings.dat", "1::007::9::1381620027\n1::8::7::1381620020\n")
    source = open_log(path)
    assert column_by_sequence(source, "items") == {"1": ["8", "007"]}
    assert "its columns were taken as user,item,rating,time" in source.report()["warnings"][0]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("1 10 11 12\n2 11\n3 10 13 12 11\n", {}),
        ("1\t10  11 12\n2\t11\n\n3\t10 13 12 11", {}),
        (" 1 10  11 12\n2\t11\n\n3 10\t13 12 11", {"columns": "user,items", "separator": " "}),
        ("1,10,11,12\n2,11\n3,10,13,12,11\n", {"separator": ",", "columns": "user,items"}),
        ("who list\n1 10 11 12\n2 11\n3 10 13 12 11\n", {"columns": "user,items", "header": True}),
    ],
)
def test_one_sequence_per_line(tmp_path: Path, text: str, options: dict[str, object]) -> None:
    expected = {"1": ["10", "11", "12"], "2": ["11"], "3": ["10", "13", "12", "11"]}
    assert read_log(write(tmp_path / "log.txt", text), **options) == expected


def test_one_sequence_per_line_gives_a_warning_and_needs_items(tmp_path: Path) -> None:
    source = open_log(write(tmp_path / "log.txt", "1 2 3\n2 3 4 5\n3\n"))
    assert "one sequence per line" in source.report()["warnings"][0]
    with pytest.raises(SourceError, match="line 3 has no item"):
        list(source.chunks())


def test_lines_of_equal_length_may_be_events_or_sequences(tmp_path: Path) -> None:
    path = write(tmp_path / "log.txt", "1 10 11\n2 12 13\n")
    with pytest.raises(SourceError, match="looks like an event") as error:
        read_log(path)
    assert "--columns user,items for one sequence per line, or --columns" in (
        error.value.hint or ""
    )
    assert read_log(path, columns="user,items") == {"1": ["10", "11"], "2": ["12", "13"]}


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_columns_of_lists(tmp_path: Path, kind: str) -> None:
    rows = [
        {"user_id": 1, "movie_ids": [10, 11], "timestamps": [2, 1], "ratings": [5.0, None]},
        {"user_id": 2, "movie_ids": [12], "timestamps": [3], "ratings": [1.0]},
        {"user_id": 3, "movie_ids": [], "timestamps": [], "ratings": []},
    ]
    path = write_rows(tmp_path / f"log.{kind}", rows)
    source = open_log(path)
    assert column_by_sequence(source, "items") == {"1": ["11", "10"], "2": ["12"]}
    ratings = column_by_sequence(open_log(path), "ratings")["1"]
    assert math.isnan(ratings[0])
    assert ratings[1] == 5.0
    rows[1]["timestamps"] = [3, 4]
    with pytest.raises(SourceError, match="data row 2 has lists of different lengths"):
        read_log(write_rows(path, rows))


@pytest.mark.parametrize(
    "name", ["items", "item_ids", "history", "tracks", "track_uris", "item_list"]
)
def test_names_of_columns_of_lists(tmp_path: Path, name: str) -> None:
    path = write_rows(tmp_path / "log.parquet", [{"user": "u", name: ["b", "a"], "tags": ["x"]}])
    assert read_log(path) == {"u": ["b", "a"]}


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("user_id,items", '1,10 11\n2,"12"\n3,\n'),
        ("user_id,items", "1,\"['10', '11']\"\n2,['12']\n3,[]\n"),
        ("user_id:token\titem_id_list:token_seq", "1\t10 11\n2\t12\n"),
        ("session_id;history", '1;"[10, 11]"\r\n2;[12]\n'),
        ("user_id,movie_ids,timestamps", "1,11|10,1600000002|1600000001\n2,12,1600000000\n"),
    ],
)
def test_lists_in_text(tmp_path: Path, header: str, rows: str) -> None:
    source = open_log(write(tmp_path / "log.csv", f"{header}\n{rows}"))
    assert column_by_sequence(source, "items") == {"1": ["10", "11"], "2": ["12"]}
    assert any("were read as lists" in warning for warning in source.report()["warnings"])


def test_titles_are_not_lists(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", "user_id,movies\n1,The Long Road\n1,Heat\n")
    assert read_log(path, item_column="movies") == {"1": ["The Long Road", "Heat"]}


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ('["it\'s", "a b", "c, d"]', ["it's", "a b", "c, d"]),
        ("['it\\'s', 'a b', \"c, d\"]", ["it's", "a b", "c, d"]),
        ("('a b', 'c')", ["a b", "c"]),
        ("('a b',)", ["a b"]),
        ("{'a b', 'c'}", ["a b", "c"]),
        ('{a,"b c"}', ["a", "b c"]),
        ("['a b' 'c']", ["a b", "c"]),
        ("[u'a', u'b']", ["a", "b"]),
        ("[1, 2.0, 3]", ["1", "2", "3"]),
        ("[1 2]", ["1", "2"]),
        ('["a", null, "caf\\u00e9"]', ["a", "café"]),
        ("['a', None, nan]", ["a"]),
        ("The Matrix|It's a [Gift]", ["The Matrix", "It's a [Gift]"]),
        ("(500) Days|Heat (1995)", ["(500) Days", "Heat (1995)"]),
        ("['[a]', '(b)']", ["[a]", "(b)"]),
        ("('7')", ["7"]),
    ],
)
def test_lists_in_text_as_programs_write_them(tmp_path: Path, text: str, items: list[str]) -> None:
    quoted = text.replace('"', '""')
    path = write(tmp_path / "log.csv", f'note,user_id,items\nx,1,"{quoted}"\ny,2,[]\n')
    assert read_log(path) == {"1": items}


def test_lists_in_text_beside_columns_that_are_not_used(tmp_path: Path) -> None:
    rows = '7,"a ""quoted"" note",1,10|11,1600000002|1600000001\n8,b,2,12,1600000000\n'
    path = write(tmp_path / "log.csv", f"id,note,user_id,movie_ids,timestamps\n{rows}")
    assert read_log(path) == {"1": ["11", "10"], "2": ["12"]}
    write(tmp_path / "log.csv", path.read_text().replace('"a ""quoted"" note"', '"a"quote"'))
    assert read_log(path) == {"1": ["11", "10"], "2": ["12"]}  # read line by line


def test_lists_in_text_without_a_header(tmp_path: Path) -> None:
    path = write(tmp_path / "log.tsv", "1\tu\tx\tN1 N2\tN3-1\n2\tv\ty\t\tN4-0 N5-1\n")
    assert read_log(path, columns="-,user,-,items,-") == {"u": ["N1", "N2"]}


def test_the_message_of_ambiguous_columns_has_their_own_names(tmp_path: Path) -> None:
    header = "session_id:token\titem_id_list:token_seq\titem_id:token"
    path = write(tmp_path / "log.inter", f"{header}\n1\t10 11\t12\n")
    with pytest.raises(SourceError, match="item_id_list:token_seq, item_id:token"):
        open_log(path)
    assert read_log(path, item_column="item_id_list:token_seq") == {"1": ["10", "11"]}


def test_plain_texts_in_a_column_named_like_lists_give_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", "user_id,movies\n1,The Long Road\n1,Heat\n")
    warnings = open_log(path, item_column="movies").report()["warnings"]
    assert "each text of the column 'movies' was read as one item id" in warnings


def test_lists_in_text_of_different_lengths(tmp_path: Path) -> None:
    text = "user_id,items,times\n1,10 11,1600000000 1600000001\n2,12 13,1600000000\n"
    with pytest.raises(
        SourceError, match="data row 2 has lists of different lengths: 2 in 'items'"
    ):
        read_log(write(tmp_path / "log.csv", text))


def write_rows(path: Path, rows: list[dict]) -> Path:
    if path.suffix == ".jsonl":
        return write(path, "".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_keys_that_appear_late_are_found(tmp_path: Path) -> None:
    early = [{"user_id": f"u{i}", "item_id": "a", "event": "x"} for i in range(25_000)]
    late = [{"user_id": "late", "item_id": str(t), "timestamp": t, "event": "y"} for t in (3, 2)]
    path = write_rows(tmp_path / "log.jsonl", early + late)
    assert open_log(path).report()["columns"]["time"] == "timestamp"
    assert read_log(path, time_column="timestamp", event_type=["y"]) == {"late": ["2", "3"]}
    path = write_rows(tmp_path / "log.jsonl", [{"n": 1}] * 25_000 + late)
    assert read_log(path, event_type=["y"]) == {"late": ["2", "3"]}


@pytest.mark.parametrize(
    "line",
    [
        '{"user": "u", "item": "b", "score": NaN}',
        ' {"item":"b" ,"user":"u"} ',
        '{"user":"u","item":"b","x":{"y":[]}}',
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_json_lines_that_duckdb_may_refuse(tmp_path: Path, line: str, end: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(f'{{"user": "u", "item": "a"}}{end}{line}{end}\n'.encode())
    assert read_log(path) == {"u": ["a", "b"]}


@pytest.mark.parametrize(
    "line", ["[" * 100_000, "{" * 100_000, "3", "[1]", '{"user": "u", ', "'x'"]
)
def test_a_malformed_json_line_is_named(tmp_path: Path, line: str) -> None:
    path = write(tmp_path / "log.jsonl", '{"user": "u", "item": "a"}\n\n' + line + "\n")
    with pytest.raises(SourceError, match=r"log\.jsonl: line 3 is not a JSON object"):
        read_log(path)


@pytest.mark.parametrize("name", ["log.csv", "log.txt", "log"])
def test_json_lines_under_another_name(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, '{"user_id": 1, "item_id": "a"}\n{"user_id":1,"item_id":"b"}\n')
    assert read_log(path) == {"1": ["a", "b"]}


def test_python_objects_instead_of_json_have_a_hint(tmp_path: Path) -> None:
    path = write(tmp_path / "log.json", "{u'user_id': u'1', u'item_id': u'a'}\n")
    with pytest.raises(SourceError, match="line 1 is not a JSON object") as caught:
        read_log(path)
    assert "ast.literal_eval" in str(caught.value.hint)


@pytest.mark.parametrize("value", ['{"$oid":"5f"}', "[1,2]"])
def test_objects_among_json_ids_are_refused(tmp_path: Path, value: str) -> None:
    rows = f'{{"user_id":"u","item_id":"a"}}\n{{"user_id":"u","item_id":{value}}}\n'
    with pytest.raises(SourceError, match="data row 2: invalid item"):
        read_log(write(tmp_path / "log.jsonl", rows))


@pytest.mark.parametrize("start", ["<!DOCTYPE html>", "<?xml ", "version https://git-lfs"])
def test_pages_and_pointers_instead_of_logs(tmp_path: Path, start: str) -> None:
    with pytest.raises(SourceError, match="expected a table"):
        open_log(write(tmp_path / "log.csv", f"{start} x\noid sha256:0\nsize 12\n"))


def test_the_hint_for_a_line_without_items_can_be_followed(tmp_path: Path) -> None:
    path = write(tmp_path / "log.txt", "1 10 11\n2\n3 12\n")
    with pytest.raises(SourceError, match="line 2 has no item") as caught:
        read_log(path, columns="user,items")
    assert "leave the line out" in str(caught.value.hint)
