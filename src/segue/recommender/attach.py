"""Attach histories to a run: the sequences of a dataset, in the item indices of the run."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int32

from segue.dataset import Cuts, Dataset, Items
from segue.dataset.items_file import read_items
from segue.errors import DatasetError, RequestError
from segue.features import USER
from segue.ragged import offsets_of, row_blocks, span_indices
from segue.recommender.histories import last_time
from segue.runs import RunFolder
from segue.runs.checksums import RUN_PROBLEMS, checksum
from segue.runs.histories import HistoriesMetadata, StoredHistories, write_histories
from segue.tokens import INDEX_DTYPE, N_SPECIALS, UNK


def attach_histories(folder: RunFolder, data: Dataset) -> dict[str, Any]:
    """Write all sequences of a dataset with their cuts into a run, as the histories of its users.

    Args:
        folder: the run.
        data: the dataset, joined to the run by item id.

    Returns:
        The summary of ``StoredHistories``, ``unknown_events``, those of items that the run does
        not know, and ``users_in_training``: users of another dataset than that of the training,
        whose ids the model has learnt as those of its own users; 0 for a model without users.

    Raises:
        RunError: the folder is not a run, or is damaged.
        DatasetError: two sequences of the dataset have the same id.
        RequestError: no item of the dataset is an item of the run.
        StorageError: the file cannot be written; what was there is unchanged.
    """
    folder.read_config()
    items = read_items(folder.path, RUN_PROBLEMS)
    run_indices = _run_indices(data, items)
    sequences = data.sequences
    order = pc.call_function("sort_indices", [sequences.ids])
    users = sequences.ids.take(order)
    _check_distinct(users, data)
    rows = order.to_numpy().astype(np.int64)
    starts, lengths = sequences.offsets[rows], sequences.lengths[rows]
    offsets = offsets_of(lengths)
    events = np.empty(sequences.n_events, INDEX_DTYPE)
    parts = sequences.target_parts
    target_parts = None if parts is None else np.empty(sequences.n_events, parts.dtype)
    for first, end in row_blocks(offsets):
        block = span_indices(starts[first:end], lengths[first:end])
        events[offsets[first] : offsets[end]] = run_indices[sequences.items[block]]
        if parts is not None and target_parts is not None:
            target_parts[offsets[first] : offsets[end]] = parts[block]
    cuts = Cuts(sequences.train_end[rows], sequences.valid_end[rows], target_parts)
    metadata = HistoriesMetadata(
        checksum(folder.items),
        data.name,
        data.fingerprint,
        end_us=last_time(data),
        manifest=msgspec.to_builtins(data.manifest),
    )
    names = [n for n in _feature_names(folder) if n in sequences.attributes.column_names]
    features = sequences.attributes.select(names).take(order)
    write_histories(folder.histories, users, offsets, events, features, metadata, cuts)
    stored = StoredHistories(folder.histories, metadata.items, len(items))
    return {
        **stored.summary(),
        "unknown_events": int(np.count_nonzero(events == UNK)),
        "users_in_training": _n_in_training(folder, data, users),
    }


def _n_in_training(folder: RunFolder, data: Dataset, users: pa.Array) -> int:
    """The number of users of another dataset whose ids a transformer of the run has learnt."""
    _, dataset = folder.read_config()
    if data.fingerprint == dataset.get("fingerprint"):
        return 0
    folders = [folder, *([folder.second] if folder.second_path.is_dir() else [])]
    values = [read.read_sequence_values().get(USER, ()) for read in folders]
    learnt = pa.array([user for of_run in values for user in of_run], pa.string())
    is_learnt = pc.call_function("is_in", [users.cast(pa.string())], pc.SetLookupOptions(learnt))
    return int(is_learnt.true_count)


def _run_indices(data: Dataset, items: Items) -> Int32[np.ndarray, " indices"]:
    """The item index in the run of each item index of the dataset; ``UNK`` for unknown items."""
    ids = data.items.table.column("item_id").cast(pa.large_string())
    run_ids = pc.SetLookupOptions(items.table.column("item_id").cast(pa.large_string()))
    rows = pc.call_function("index_in", [ids], run_ids).fill_null(UNK - N_SPECIALS).to_numpy()
    if (rows < 0).all():
        raise RequestError(
            f"none of the {len(rows):,} items of {data.path} is an item of the run",
            "give a dataset whose items have the ids of the training dataset",
        )
    specials = np.full(N_SPECIALS, UNK, INDEX_DTYPE)
    return np.concatenate([specials, (N_SPECIALS + rows).astype(INDEX_DTYPE)])


def _check_distinct(users: pa.Array, data: Dataset) -> None:
    """Raise a ``DatasetError`` if two of the sorted users are equal."""
    repeats = pc.call_function("equal", [users[:-1], users[1:]])
    if repeats.true_count:
        user = users[pc.call_function("index", [repeats], pc.IndexOptions(pa.scalar(True))).as_py()]
        message = f"{data.path} has several sequences of the id {user.as_py()!r}"
        raise DatasetError(message, "prepare a log with one sequence per user")


def _feature_names(folder: RunFolder) -> list[str]:
    """The sequence features that the transformers of the run read, without the user."""
    names = dict.fromkeys(folder.read_sequence_values())
    if folder.second_path.is_dir():
        names |= dict.fromkeys(folder.second.read_sequence_values())
    return [name for name in names if name != USER]
