"""Small prepared datasets with known content, and rankers with arbitrary scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
from jaxtyping import Int

from segue.config import PrepareConfig, SourceConfig, SplitConfig
from segue.dataset import Dataset
from segue.dataset.items_file import write_items
from segue.dataset.manifest import ITEMS, SEQUENCES, file_record, write_manifest
from segue.dataset.sequences_file import write_sequences
from segue.preparation import prepare
from segue.ranking import Query, ScoringRanker
from segue.tokens import INDEX_DTYPE, N_SPECIALS

Log = dict[str, list[str]]
"""Item ids by sequence id, oldest first."""


def dataset_of(
    folder: Path,
    log: Log,
    split: SplitConfig,
    *,
    starts: dict[str, int] | None = None,
    artists: dict[str, str] | None = None,
    ratings: dict[str, list[float | None]] | None = None,
) -> Dataset:
    """Prepare a log.

    Args:
        starts: time of the first event by sequence id, in seconds; one event per second
            follows. The log has no times if None.
        artists: artist by item id.
        ratings: of the events, by sequence id.
    """
    columns = ["user_id", "item_id"]
    columns += ["timestamp"] * (starts is not None) + ["rating"] * (ratings is not None)
    lines = [",".join(columns)]
    for sequence_id, items in log.items():
        for position, item in enumerate(items):
            values = [sequence_id, item]
            if starts is not None:
                values.append(str(1_600_000_000 + starts[sequence_id] + position))
            if ratings is not None:
                rating = ratings[sequence_id][position]
                values.append("" if rating is None else str(rating))
            lines.append(",".join(values))
    (folder / "log.csv").write_text("\n".join(lines) + "\n")
    items_file = None
    if artists is not None:
        rows = [f"{item},{artist}" for item, artist in artists.items()]
        items_file = str(folder / "items.csv")
        Path(items_file).write_text("\n".join(["item_id,artist", *rows]) + "\n")
    source = SourceConfig(format="tabular", items_file=items_file)
    name = f"dataset-{split.kind}-{split.catalogue}-{split.seed}"
    return prepare(
        folder / "log.csv", folder / name, config=PrepareConfig(source=source, split=split)
    )


def random_log(n_sequences: int, n_items: int, seed: int, longest: int = 30) -> Log:
    """Random sequences with some repeats; popularity falls with the item's number."""
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, n_items + 1)
    lengths = rng.integers(3, longest + 1, n_sequences)
    return {
        f"s{i}": [f"i{item}" for item in rng.choice(n_items, length, p=weights / weights.sum())]
        for i, length in enumerate(lengths)
    }


class ArbitraryRanker(ScoringRanker):
    """Random scores with many ties, determined by the sequence and the length of its history."""

    def __init__(self, dataset: Dataset, name: str = "arbitrary", levels: int = 9) -> None:
        self.name = name
        self.vocabulary_size = dataset.vocabulary_size
        self._levels = levels

    def scores(self, query: Query) -> np.ndarray:
        lengths = np.diff(query.histories.offsets)
        return np.stack(
            [
                np.random.default_rng([int(row), int(length), len(self.name)])
                .integers(0, self._levels, self.vocabulary_size)
                .astype(np.float32)
                for row, length in zip(query.rows, lengths, strict=True)
            ]
        )


class UnusedRanker(ScoringRanker):
    """A ranker whose use fails the test."""

    name = "unused"
    vocabulary_size = 1

    def scores(self, query: Query) -> np.ndarray:
        raise AssertionError("this ranker should not have been used")


def rewritten(
    data: Dataset,
    folder: Path,
    *,
    order: Int[np.ndarray, " catalogue"] | None = None,
    left_out: Sequence[str] = (),
) -> Dataset:
    """The same dataset with other indices, or with fewer candidates.

    Args:
        order: the item index of each catalogue item, in the new order of the indices.
        left_out: ids of catalogue items that may not be recommended.
    """
    folder.mkdir()
    first, end = N_SPECIALS, N_SPECIALS + len(data.items)
    order = np.arange(first, data.vocabulary_size) if order is None else order
    old_index = np.concatenate([np.arange(first), order, np.arange(data.vocabulary_size, end)])
    table = data.items.table.take(old_index[first:] - first)
    table = table.set_column(0, "index", pa.array(np.arange(first, end, dtype=INDEX_DTYPE)))
    if left_out:
        is_candidate = ~np.isin(table.column("item_id").to_pylist(), left_out)
        table = table.append_column("is_candidate", pa.array(is_candidate))
    write_items(folder, [table])
    new_index = np.argsort(old_index).astype(INDEX_DTYPE)
    write_sequences(folder, replace(data.sequences, items=new_index[data.sequences.items]))
    files = {name: file_record(folder / name) for name in (ITEMS, SEQUENCES)}
    changes = {"files": files, "fingerprint": folder.name}
    write_manifest(folder, msgspec.structs.replace(data.manifest, **changes))
    return Dataset.open(folder)
