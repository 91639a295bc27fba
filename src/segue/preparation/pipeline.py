"""``prepare``: convert an interaction log to a prepared dataset.

The log is read once into raw columns on disk. Then the split is drawn, items are numbered by
training count, and the three files of the dataset are written from the raw columns. The same
source and options give the same bytes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, Unpack

import msgspec
import numpy as np
import pyarrow as pa
from jaxtyping import Int64

import segue
from segue.config import ArrowStream, PrepareConfig, PrepareOptions, prepare_config
from segue.dataset.dataset import Dataset
from segue.dataset.items import build_items_table, item_order
from segue.dataset.items_file import write_items
from segue.dataset.manifest import (
    FORMAT_VERSION,
    ITEMS,
    SEQUENCES,
    Manifest,
    file_record,
    write_manifest,
)
from segue.dataset.manifest_schema import Counts
from segue.dataset.sequences import Cuts, Sequences
from segue.dataset.sequences_file import read_sequences, write_sequences
from segue.dataset.splits import Split, SplitRule, resolve_split, rule_of
from segue.dataset.targets import SplitPart
from segue.dataset.training_events import training_mask
from segue.errors import DatasetError, quantity
from segue.preparation.audit import audit
from segue.preparation.event_spill import EventSpill
from segue.preparation.ingest import Ingested, ingest
from segue.preparation.item_encoder import ITEMS_PER_BLOCK, ItemEncoder
from segue.preparation.staging import staged
from segue.ragged import offsets_of, row_blocks
from segue.sources.schema import Source
from segue.storage.paths import checked_path
from segue.tokens import INDEX_DTYPE, N_SPECIALS, UNK

PARTS: tuple[SplitPart, ...] = ("validation", "test")


def prepare(
    log: str | os.PathLike[str] | ArrowStream | None,
    out: str | os.PathLike[str],
    *,
    config: PrepareConfig | None = None,
    **options: Unpack[PrepareOptions],
) -> Dataset:
    """Read a log, draw its split and write a prepared dataset.

    Args:
        log: the log's file or folder; ``-`` for standard input, None for the built-in world. Or the
            event store of a server: its file, ``sqlite:///FILE`` or ``postgresql://...``. Or a
            table in memory, with one event per row: a pandas or polars data frame, a pyarrow
            table, record batch or reader, a DuckDB relation, or anything else with the Arrow C
            stream interface (``__arrow_c_stream__``). The index of a data frame is left out.
        out: the dataset's folder. A folder that contains a dataset and nothing else is replaced
            once the new dataset is complete. Any other non-empty folder is refused.
        config: all options in one object; an option that is also given by name takes precedence.
        options: the options of ``segue prepare``. How to read the log: ``format``,
            ``user_column``, ``item_column``, ``time_column``, ``rating_column``,
            ``event_column``, ``columns``, ``header``, ``separator``, ``quote``, ``escape``,
            ``comment``, ``encoding``, ``bad_times``, ``items_file`` (a path or, like ``log``, a
            table), ``memory_limit`` (bytes, or text such as ``2GB``). What to keep:
            ``event_type``, ``event_weight``, ``min_rating``, ``session_gap`` (seconds, or text
            such as ``30m``), ``drop_consecutive_repeats``, ``min_item_events``,
            ``min_sequence_events``. What to hold out: ``split``, ``validation_share``,
            ``test_share``, ``window``, ``seed``. What can be recommended: ``catalogue``. The
            size of the built-in world: ``sequences``, ``items``, ``mean_length``.

    Returns:
        The dataset, open.

    Raises:
        ConfigError: an option is unknown, has an impossible value, or does not apply to the log.
        SourceError: the log cannot be read in its format.
        EventStoreError: the log is a database without an event store, or cannot be reached.
        DatasetError: the filters or the split need times or ratings that the log does not have,
            no events are left to train on or to predict, or ``out`` contains other files.
        ResourceError: the ids of the log or the items file do not fit within ``memory_limit``.
        StorageError: ``out`` cannot be written. No partial dataset remains.
    """
    from segue.sources import open_log
    from segue.sources.events.frames import frame_file, is_frame

    with ExitStack() as stack:
        items_file = options.get("items_file")
        if is_frame(items_file):
            options["items_file"] = stack.enter_context(
                frame_file(items_file, "items_file.parquet")
            )
        config = prepare_config(config, options)
        source = stack.enter_context(open_log(log, config.source))
        return prepare_source(source, out, config)


def prepare_source(source: Source, out: str | os.PathLike[str], config: PrepareConfig) -> Dataset:
    """Like ``prepare``, from an open source."""
    # realpath, because Path.resolve raises a RuntimeError for a loop of symbolic links.
    path = Path(os.path.realpath(checked_path(out, DatasetError)))
    with staged(path) as folder:
        _write_dataset(source, folder, config)
    return Dataset.open(path)


def _write_dataset(source: Source, folder: Path, config: PrepareConfig) -> None:
    """Write the three files of a dataset into an empty folder."""
    spill = folder / "spill"
    spill.mkdir()
    ingested = ingest(source, config, spill)
    rule, cuts = _draw_split(ingested, config, source)
    n_items, n_catalogue, empty_attributes = _write_items(
        folder, ingested, rule, cuts, config.split.catalogue
    )
    _write_sequences(folder, ingested, cuts)
    shutil.rmtree(spill)

    sequences = read_sequences(folder)
    findings = audit(sequences, rule, n_items, n_catalogue)
    _check_parts(findings, sequences, rule, ingested.report["warnings"])
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        segue_version=segue.__version__,
        fingerprint=_fingerprint(folder, rule.split),
        source={
            "format": source.format,
            "fingerprint": source.fingerprint(),
            "report": _report_empty(ingested.report, empty_attributes),
        },
        options=_options(config),
        counts=Counts(len(sequences), sequences.n_events, n_items, n_catalogue),
        split=rule.split,
        audit=findings,
        files={name: file_record(folder / name) for name in (ITEMS, SEQUENCES)},
    )
    write_manifest(folder, manifest)


def _draw_split(
    ingested: Ingested, config: PrepareConfig, source: Source
) -> tuple[SplitRule, Cuts]:
    """Draw the split of the options, by default leave-one-out for users and else holdout."""
    are_users = source.sequences_are_users and config.filters.session_gap_s is None
    split = resolve_split(config.split, "leave-one-out" if are_users else "holdout")
    split, cuts = rule_of(split).cut(ingested.log.lengths, ingested.log.column("times"))
    return rule_of(split), cuts


def _write_items(
    folder: Path,
    ingested: Ingested,
    rule: SplitRule,
    cuts: Cuts,
    catalogue: Literal["train", "all"],
) -> tuple[int, int, list[str]]:
    """Number the items, write them, and replace the codes in the log by item indices.

    The dataset has every item with an event or a description, except those that
    ``min_item_events`` dropped.

    Returns:
        The number of items, the size of the catalogue, and the names of attributes that no
        item has. Those are not written.
    """
    log, encoder = ingested.log, ingested.encoder
    has_events = log.item_counts(len(encoder)) > 0
    in_dataset = ingested.admitted & (has_events | encoder.described())
    # Ties are sorted by id: the order of appearance would reveal which items occur in the test
    # part.
    codes = encoder.codes_by_id()
    training_counts = _training_counts(log, rule, cuts, len(encoder))
    order, n_catalogue = item_order(codes[in_dataset[codes]], training_counts, catalogue)
    attributes = encoder.attributes(order)
    write_items(folder, _item_tables(encoder, order, training_counts, attributes))
    indices = np.full(len(encoder), UNK, INDEX_DTYPE)
    indices[order] = np.arange(N_SPECIALS, N_SPECIALS + len(order))
    log.translate_items(indices)
    empty_attributes = [name for name in encoder.names() if name not in attributes]
    return len(order), n_catalogue, empty_attributes


def _report_empty(report: dict[str, Any], empty_attributes: list[str]) -> dict[str, Any]:
    """Add a warning about attributes that no item has to the report."""
    if not empty_attributes:
        return report
    names = ", ".join(empty_attributes)
    warning = f"no item has a value of these attributes, which were left out: {names}"
    return report | {"warnings": [*report["warnings"], warning]}


def _item_tables(
    encoder: ItemEncoder,
    order: Int64[np.ndarray, " items"],
    training_counts: Int64[np.ndarray, " codes"],
    attributes: list[str],
) -> Iterator[pa.Table]:
    """``Items.table`` in blocks of rows, from the codes in the order of the item indices."""

    def block(start: int) -> pa.Table:
        codes = order[start : start + ITEMS_PER_BLOCK]
        table = encoder.table(codes, attributes)
        return build_items_table(table, training_counts[codes], N_SPECIALS + start)

    return map(block, range(0, max(len(order), 1), ITEMS_PER_BLOCK))


def _training_counts(
    log: EventSpill, rule: SplitRule, cuts: Cuts, n_codes: int
) -> Int64[np.ndarray, " codes"]:
    """Training events per item code."""
    counts = np.zeros(n_codes, np.int64)
    offsets = offsets_of(log.lengths)
    for (first, end), events in zip(row_blocks(offsets), log.blocks(), strict=True):
        mask = training_mask(rule, cuts, offsets, first, end)
        counts += np.bincount(events.items[mask], minlength=n_codes)
    return counts


def _write_sequences(folder: Path, ingested: Ingested, cuts: Cuts) -> None:
    items = ingested.log.column("items")
    assert items is not None
    sequences = Sequences(
        ids=ingested.rows.column("sequence_id").combine_chunks(),
        offsets=offsets_of(ingested.log.lengths),
        items=items,
        times=ingested.log.column("times"),
        ratings=ingested.log.column("ratings"),
        train_end=cuts.train_end,
        valid_end=cuts.valid_end,
        target_parts=cuts.target_parts,
        attributes=ingested.rows.drop_columns(["sequence_id"]),
    )
    write_sequences(folder, sequences)


def _check_parts(
    findings: dict[str, Any], sequences: Sequences, rule: SplitRule, warnings: list[str]
) -> None:
    """Raise if the split leaves nothing to train on or to predict, or no test part it should have.

    A validation part may be missing, which the audit says: then a run keeps its last weights.
    The error repeats the warnings about rows that were left out, which may be the reason.
    """
    parts = findings["parts"]
    has_targets = {part: bool(parts[part]["targets"]) for part in PARTS}
    size = (
        f"{quantity(len(sequences), 'sequence')}, the longest of "
        f"{quantity(int(sequences.lengths.max()), 'event')}"
    ) + "".join(f"; {warning}" for warning in warnings if warning.startswith("left out"))
    if not parts["train"]["events"]:
        raise DatasetError(
            f"the split {rule.kind!r} leaves nothing to train on: {size}",
            f"it needs several sequences of at least {quantity(rule.min_length, 'event')}; "
            "choose another split, or filter less",
        )
    if not any(map(rule.has_part, PARTS)):
        raise DatasetError(
            f"the split {rule.kind!r} leaves nothing to predict: both of its shares are 0",
            "choose a --test-share or a --validation-share above 0",
        )
    reason, remedy = rule.why_empty("test")
    if not any(has_targets.values()):
        raise DatasetError(
            f"the split {rule.kind!r} leaves nothing to predict: {size}", f"{reason}: {remedy}"
        )
    if not has_targets["test"] and rule.has_part("test"):
        raise DatasetError(
            f"the test part of the split {rule.kind!r} has no target: {reason}",
            f"{remedy}; --test-share 0 does without a test part",
        )


def _fingerprint(folder: Path, split: Split) -> str:
    """A checksum of all bytes of items and sequences, and of the split."""
    digest = hashlib.blake2b(msgspec.json.encode(split), digest_size=16)
    for name in (ITEMS, SEQUENCES):
        with (folder / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "blake2b").digest())
    return digest.hexdigest()


def _options(config: PrepareConfig) -> dict[str, Any]:
    """The options that determine the content: no memory limit, file names instead of paths."""
    options = config.model_dump(mode="json")
    del options["source"]["memory_limit"]
    if config.source.items_file is not None:
        options["source"]["items_file"] = Path(config.source.items_file).name
    return options
