"""What stays in memory while a log is read is bounded by the memory limit."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from segue.errors import ResourceError
from segue.preparation import ingest, prepare
from segue.sources.items import items_file
from segue.storage.string_index import StringIndex


def write_log(path: Path, id_length: int) -> Path:
    """A log of 20 users and 200 items, whose ids have about ``id_length`` characters."""
    padding = "x" * id_length
    rows = [f"u{user},{padding}{(7 * user + i) % 200},{i}" for user in range(20) for i in range(10)]
    path.write_text("\n".join(["user_id,item_id,timestamp", *rows]) + "\n")
    return path


@pytest.mark.parametrize("kept", ["items", "sequences"])
def test_ids_that_do_not_fit_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    limit = 600_000_000
    short, long = (write_log(tmp_path / f"{length}.csv", length) for length in (1, 300))
    if kept == "sequences":  # the same log, with the columns exchanged
        columns = {"user_column": "item_id", "item_column": "user_id"}
    else:
        columns = {"user_column": "user_id", "item_column": "item_id"}
    monkeypatch.setattr(ingest, "HELD_SHARE", 30_000 / limit)
    output = tmp_path / "data"
    options = {**columns, "split": "holdout", "memory_limit": limit}
    assert len(prepare(short, output, **options).sequences) >= 20
    with pytest.raises(ResourceError, match=r"600,000,000 bytes.*raise --memory-limit"):
        prepare(long, tmp_path / "refused", **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.csv", "300.csv", "data"]


def test_an_items_file_that_does_not_fit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = write_log(tmp_path / "log.csv", 1)
    items = tmp_path / "items.csv"
    items.write_text("item_id,title\n" + "".join(f"x{i},{'t' * 300}\n" for i in range(200)))
    monkeypatch.setattr(items_file, "ITEMS_SHARE", 30_000 / 600_000_000)
    with pytest.raises(ResourceError, match=r"items\.csv take more than"):
        prepare(log, tmp_path / "data", items_file=items, memory_limit="600MB")
    monkeypatch.undo()
    prepare(log, tmp_path / "data", items_file=items, memory_limit="600MB")


def test_a_string_index_knows_its_size() -> None:
    index = StringIndex()
    index.encode(pa.array([f"{'x' * 90}{i}" for i in range(1000)]))
    # Per string 93 characters, the end (8 bytes), the hash (8) and the index (4).
    assert 110_000 < index.nbytes < 116_000
    index.encode(pa.array([f"{'x' * 90}{i}" for i in range(1000)]))
    assert index.nbytes < 116_000
