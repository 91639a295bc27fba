"""From a foreign log to a prepared dataset.

The log is read once into raw columns on disk; the split is drawn; items are numbered by
their training count; and the three files are written from the raw columns. The same
source and options give the same bytes.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import pyarrow as pa
from jaxtyping import Int64

import segue
from segue.axes import INDEX_DTYPE, N_SPECIALS, UNK, offsets_of
from segue.config import PrepareConfig
from segue.dataset import splits
from segue.dataset.audit import audit
from segue.dataset.encoding import ITEMS_AT_ONCE, ItemEncoder
from segue.dataset.ingest import Ingested, ingest
from segue.dataset.manifest import (
    FORMAT_VERSION,
    ITEMS,
    SEQUENCES,
    Counts,
    Manifest,
    file_record,
    write_manifest,
)
from segue.dataset.parts import training_mask
from segue.dataset.prepared import Dataset, read_sequences, write_items, write_sequences
from segue.dataset.sequences import Sequences, row_blocks
from segue.dataset.spill import EventLog
from segue.dataset.splits import Cuts, Split
from segue.dataset.staging import staged
from segue.dataset.vocabulary import item_order, item_table
from segue.errors import DatasetError
from segue.sources.schema import Source
from segue.wording import counted


def prepare(
    source: str | Path | None, output: str | Path, config: PrepareConfig | None = None
) -> Dataset:
    """Read a log, draw its split and write a prepared dataset.

    Args:
        source: the log's file or folder; None for the built-in world.
        output: the dataset's folder. One that holds a dataset and nothing else is replaced,
            once the new one is complete; any other folder that is not empty is refused.
        config: which reader, filters, split and catalogue; defaults for what is left out.

    Raises:
        SourceError: the log cannot be read as what it was taken for.
        DatasetError: the filters or the split need what the log does not have, nothing is
            left to train on or to predict, or ``output`` holds something else.
        StorageError: ``output`` cannot be written. Nothing half written stays behind.
    """
    from segue.sources import open_source  # opening a dataset needs no reader of logs

    config = config or PrepareConfig()
    opened = open_source(None if source is None else Path(source), config.source)
    return prepare_source(opened, output, config)


def prepare_source(source: Source, output: str | Path, config: PrepareConfig) -> Dataset:
    """Like ``prepare``, from a source that is already open."""
    output = Path(output).resolve()
    with staged(output) as folder:
        _write_dataset(source, folder, config)
    return Dataset.open(output)


def _write_dataset(source: Source, folder: Path, config: PrepareConfig) -> None:
    """Write the three files of a dataset into an empty folder."""
    spill = folder / "spill"
    spill.mkdir()
    ingested = ingest(source, config, spill)
    split, cuts = _draw_split(ingested, config, source)
    n_items, n_catalogue, empty = _write_items(folder, ingested, cuts, config.split.catalogue)
    _write_sequences(folder, ingested, cuts)
    shutil.rmtree(spill)

    sequences = read_sequences(folder)
    findings = audit(sequences, split, n_items, n_catalogue)
    _check_parts(findings, sequences, split)
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        segue_version=segue.__version__,
        fingerprint=_fingerprint(folder, split),
        source={
            "format": source.format,
            "fingerprint": source.fingerprint(),
            "report": _with_empty(ingested.report, empty),
        },
        options=_options(config),
        counts=Counts(len(sequences), sequences.n_events, n_items, n_catalogue),
        split=split,
        audit=findings,
        files={name: file_record(folder / name) for name in (ITEMS, SEQUENCES)},
    )
    write_manifest(folder, manifest)


def _draw_split(ingested: Ingested, config: PrepareConfig, source: Source) -> tuple[Split, Cuts]:
    """Draw the split that the options name, or the default one of such a log."""
    are_users = source.sequences_are_users and config.filters.session_gap_s is None
    split = Split.of(config.split, default="leave-one-out" if are_users else "holdout")
    return splits.cut(split, ingested.log.lengths, ingested.log.column("times"))


def _write_items(
    folder: Path, ingested: Ingested, cuts: Cuts, catalogue: Literal["train", "all"]
) -> tuple[int, int, list[str]]:
    """Number the items, write them, and give the log's events their final indices.

    An item is known that has an event, or that the source describes; unless
    ``min_item_events`` dropped it.

    Returns:
        How many items there are, how many of them are in the catalogue, and the names of
        attributes that no item has, which are not written.
    """
    log, encoder = ingested.log, ingested.encoder
    met = log.item_counts(len(encoder)) > 0
    known = ingested.admitted & (met | encoder.described())
    # Ties go by id: the order of appearance would tell which items turn up in the test part.
    codes = encoder.by_id()
    training_counts = _training_counts(log, cuts, len(encoder))
    order, n_catalogue = item_order(codes[known[codes]], training_counts, catalogue)
    attributes = encoder.attributes(order)
    write_items(folder, _item_tables(encoder, order, training_counts, attributes))
    indices = np.full(len(encoder), UNK, INDEX_DTYPE)
    indices[order] = np.arange(N_SPECIALS, N_SPECIALS + len(order))
    log.translate_items(indices)
    empty = [name for name in encoder.names() if name not in attributes]
    return len(order), n_catalogue, empty


def _with_empty(report: dict[str, Any], empty: list[str]) -> dict[str, Any]:
    """The report with a warning of attributes that no item has."""
    if not empty:
        return report
    said = f"no item has a value of these attributes, which were left out: {', '.join(empty)}"
    return report | {"warnings": [*report["warnings"], said]}


def _item_tables(
    encoder: ItemEncoder,
    order: Int64[np.ndarray, " items"],
    training_counts: Int64[np.ndarray, " codes"],
    attributes: list[str],
) -> Iterator[pa.Table]:
    """The table of ``Items`` in parts, from the codes in the order of the indices."""

    def part(begin: int) -> pa.Table:
        codes = order[begin : begin + ITEMS_AT_ONCE]
        table = encoder.table(codes, attributes)
        return item_table(table, training_counts[codes], N_SPECIALS + begin)

    return map(part, range(0, max(len(order), 1), ITEMS_AT_ONCE))


def _training_counts(log: EventLog, cuts: Cuts, n_codes: int) -> Int64[np.ndarray, " codes"]:
    counts = np.zeros(n_codes, np.int64)
    offsets = offsets_of(log.lengths)
    for (first, end), events in zip(row_blocks(offsets), log.blocks(), strict=True):
        training = training_mask(cuts, offsets, first, end)
        counts += np.bincount(events.items[training], minlength=n_codes)
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


def _check_parts(findings: dict[str, Any], sequences: Sequences, split: Split) -> None:
    """Refuse a split that leaves nothing to train on, or nothing to predict."""
    parts = findings["parts"]
    if not parts["train"]["events"]:
        lacking = "nothing to train on"
    elif not parts["validation"]["targets"] and not parts["test"]["targets"]:
        lacking = "nothing to predict"
    else:
        return
    least = splits.MIN_LENGTHS[split.kind]
    raise DatasetError(
        f"the split {split.kind!r} leaves {lacking}: {counted(len(sequences), 'sequence')}, "
        f"the longest of {counted(int(sequences.lengths.max()), 'event')}",
        f"it needs several sequences of at least {counted(least, 'event')}; "
        "choose another split, or filter less",
    )


def _fingerprint(folder: Path, split: Split) -> str:
    """A checksum of every byte of the items and sequences, and of the split."""
    digest = hashlib.blake2b(msgspec.json.encode(split), digest_size=16)
    for name in (ITEMS, SEQUENCES):
        with (folder / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "blake2b").digest())
    return digest.hexdigest()


def _options(config: PrepareConfig) -> dict[str, Any]:
    """The options that decide the content: no memory limit, and no path of the machine."""
    options = config.model_dump(mode="json")
    del options["source"]["memory_limit"]
    if config.source.items_file is not None:
        options["source"]["items_file"] = Path(config.source.items_file).name
    return options
