"""Logs from standard input, pipes and devices, and files beyond the limits of the parser."""

from __future__ import annotations

import gzip
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from itertools import product
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from table_logs import open_log, read_log, write

from segue.config import SourceConfig
from segue.errors import SourceError
from segue.sources import byte_streams, open_source
from slow_cases import some_fast

LOG = b"user_id,item_id\nu,a\nu,b\n"
COMMAND = """
import sys
from pathlib import Path
from segue.config import SourceConfig
from segue.sources import open_source
source = open_source(Path(sys.argv[1]), SourceConfig())
print([chunk.sequences["items"].to_pylist() for chunk in source.chunks()], source.fingerprint())
"""


def parquet() -> bytes:
    data = io.BytesIO()
    pq.write_table(pa.table({"user_id": ["u", "u"], "item_id": ["a", "b"]}), data)
    return data.getvalue()


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("-", LOG),
        ("/dev/stdin", gzip.compress(LOG, mtime=0)),
        ("/dev/stdin", LOG.decode().encode("utf-16")),
        ("-", b'{"user": "u", "item": "a"}\n{"user": "u", "item": "b"}'),
        ("-", parquet()),
    ],
)
def test_standard_input(tmp_path: Path, path: str, data: bytes) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.run(
        [sys.executable, "-c", COMMAND, path],
        input=data,
        capture_output=True,
        timeout=300,
        check=True,
        env=environment,
    )
    assert process.stdout.startswith(b"[[['a', 'b']]]")
    assert f"'bytes': {len(data)}".encode() in process.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_named_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(LOG,))
    writer.start()
    assert read_log(path) == {"u": ["a", "b"]}
    writer.join()


def test_a_pipe_that_nobody_writes_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_streams, "FIFO_WAIT_S", 0.2)
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(SourceError, match="no process writes to the pipe"):
        open_source(tmp_path / "pipe.csv", SourceConfig())


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null", "/dev/full", "link", "socket"])
def test_devices_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    (tmp_path / "link").symlink_to("/dev/zero")
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/socket")
        path = Path(folder, "socket") if name == "socket" else path
        kind = "a socket" if name == "socket" else "a device"
        with pytest.raises(SourceError, match=f"is {kind}, expected a table"):
            open_source(path, SourceConfig())


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
    ("compress", "end"), some_fast(product((bytes, gzip.compress), ("", "\n", "\r\n")), every=2)
)
def test_a_last_row_larger_than_the_buffer_is_read(tmp_path: Path, end: str, compress) -> None:
    text = "user_id,item_id,note\nu,a,x\nu,b," + "x" * 34_000_000 + end
    path = tmp_path / "log.csv"
    path.write_bytes(compress(text.encode()))
    assert read_log(path) == {"u": ["a", "b"]}


def test_a_line_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(gzip.compress(LOG + b"u,c" + b" " * 70_000_000, compresslevel=1))
    with pytest.raises(SourceError, match="line 4 is longer than 67,108,864 characters"):
        read_log(path)


def test_copies_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    log = write(tmp_path / "log.csv", "user_id,item_id\nu,a\r\nu,b\n")
    read_log(log)
    assert list(folder.iterdir()) == []
    write(log, "user_id,item_id\nu,a\r\nu\n")
    with pytest.raises(SourceError, match="line 3 has 1 column, expected 2"):
        read_log(log)
    assert list(folder.iterdir()) == []
    lines = write(tmp_path / "log.jsonl", "\ufeff" + json.dumps({"user": "u", "item": "a"}))
    source = open_log(lines)
    assert list(folder.iterdir()) != []
    del source
    assert list(folder.iterdir()) == []
