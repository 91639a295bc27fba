"""``histories.arrow``: what was written is found, by user and in whole."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.errors import RunError
from segue.ragged import Ragged
from segue.runs.histories import HistoriesMetadata, StoredHistories, write_histories
from segue.tokens import INDEX_DTYPE, N_SPECIALS, UNK

N_ITEMS = 9
METADATA = HistoriesMetadata(items="abc", dataset="logs", fingerprint="f")
ITEM = st.integers(UNK, N_SPECIALS + N_ITEMS - 1)
USER = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)


def write(file: Path, histories: dict[str, list[int]], ages: list[str] | None = None) -> None:
    users = sorted(histories)
    rows = Ragged.from_rows([histories[user] for user in users])
    features = pa.table({"age": ages or ["1"] * len(users)})
    write_histories(file, pa.array(users), rows.offsets, rows.values, features, METADATA)


@given(st.dictionaries(USER, st.lists(ITEM, max_size=4), min_size=1), st.lists(USER, max_size=5))
def test_every_user_is_found_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, histories: dict[str, list[int]], users: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("histories")
    ages = [str(i) for i in range(len(histories))]
    write(folder / "histories.arrow", histories, ages)
    stored = StoredHistories(folder / "histories.arrow", "abc", N_ITEMS)
    for user in [*histories, *users]:
        history = stored.find(user)
        if user not in histories:
            assert history is None
            continue
        assert history is not None
        assert history.items.tolist() == histories[user]
        assert history.features == {"age": ages[sorted(histories).index(user)]}
    summary = stored.summary()
    assert (summary["users"], summary["events"]) == (
        len(histories),
        sum(map(len, histories.values())),
    )
    shutil.rmtree(folder)


@pytest.mark.parametrize("item", [0, UNK - 1, -5, N_SPECIALS + N_ITEMS])
def test_impossible_items_are_refused_when_they_are_read(tmp_path: Path, item: int) -> None:
    file = tmp_path / "histories.arrow"
    write(file, {"a": [UNK, 5], "b": [5, item]})
    stored = StoredHistories(file, "abc", N_ITEMS)
    assert stored.find("a") is not None
    for read in (stored.summary, lambda: stored.find("b")):
        with pytest.raises(RunError, match=f"item indices .*{item}"):
            read()


def test_opening_and_finding_reads_little_of_a_large_file(tmp_path: Path) -> None:
    file, n_users, n_events = tmp_path / "histories.arrow", 1_000, 2_000
    users = pa.array([f"{i:07}" for i in range(n_users)])
    offsets = np.arange(n_users + 1, dtype=np.int64) * n_events
    items = np.full(n_users * n_events, 5, INDEX_DTYPE)
    write_histories(file, users, offsets, items, pa.table({"x": [1] * n_users}), METADATA)
    before = pa.total_allocated_bytes()
    stored = StoredHistories(file, "abc", N_ITEMS)
    history = stored.find("0000777")
    assert history is not None
    assert len(history.items) == n_events
    assert pa.total_allocated_bytes() - before < file.stat().st_size / 50
