"""The prepared dataset: a folder of three files.

``manifest.json``    description and checksums: see ``segue.dataset.manifest``
``items.parquet``    one row per item: index, id, title, attributes, training count
``sequences.arrow``  one record batch with one row per sequence, to be memory-mapped
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int64

from segue.config import SeenPolicy, TargetChoice
from segue.dataset.items import Items, PopularityOrder
from segue.dataset.items_file import read_items
from segue.dataset.manifest import DATASET_PROBLEMS, SEQUENCES, Manifest, read_manifest
from segue.dataset.sequences import Sequences
from segue.dataset.sequences_file import check_values, map_sequences, sequences_of
from segue.dataset.splits import SplitRule, rule_of
from segue.dataset.targets import SplitPart, Targets
from segue.tokens import N_SPECIALS


class Dataset:
    """An open prepared dataset, from ``Dataset.open`` or ``segue.prepare``.

    Attributes:
        path: its folder.
        manifest: what it was prepared from, its counts, split and audit.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        sequences: Sequences,
        unchecked: pa.RecordBatch | None = None,
    ) -> None:
        """Create a dataset from its parts.

        Args:
            path: its folder.
            manifest: its description.
            sequences: its sequences.
            unchecked: the mapped batch behind the sequences if its values are to be checked
                before the first use.
        """
        self.path = path
        self.manifest = manifest
        self._sequences = sequences
        self._unchecked = unchecked

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Dataset:
        """Open a folder written by ``prepare``. Its sequences are mapped, not read.

        The manifest and the columns of the sequences are checked here; the values of the
        sequences and the items when they are first used.

        Raises:
            DatasetError: it is missing, damaged, or of another format version.
        """
        folder = Path(path)
        manifest = read_manifest(folder)
        batch = map_sequences(folder)
        sequences = sequences_of(batch, folder / SEQUENCES)
        actual = (len(sequences), sequences.n_events)
        expected = (manifest.counts.sequences, manifest.counts.events)
        if actual != expected:
            raise DATASET_PROBLEMS.damaged(
                folder / SEQUENCES,
                "it has {:,} sequences of {:,} events, ".format(*actual)
                + "expected {:,} of {:,}".format(*expected),
            )
        return cls(folder, manifest, sequences, batch)

    @property
    def sequences(self) -> Sequences:
        """All sequences, memory-mapped. The first access reads and checks every value once.

        Raises:
            DatasetError: a value is out of bounds.
        """
        if self._unchecked is not None:
            n_items, is_windows = self.manifest.counts.items, self.split_rule.needs_target_rows
            path = self.path / SEQUENCES
            check_values(self._unchecked, path, n_items, is_windows=is_windows)
            self._unchecked = None
        return self._sequences

    @cached_property
    def items(self) -> Items:
        """The items, read on first access.

        Raises:
            DatasetError: they cannot be read, or there are more or fewer than the manifest says.
        """
        return read_items(self.path, n_items=self.manifest.counts.items)

    @property
    def name(self) -> str:
        """The name of the folder, for display."""
        return self.path.resolve().name

    @property
    def fingerprint(self) -> str:
        """A hexadecimal checksum of the content: items, sequences and split."""
        return self.manifest.fingerprint

    @property
    def n_catalogue(self) -> int:
        """Number of items with a row of the item embeddings."""
        return self.manifest.counts.catalogue

    @property
    def vocabulary_size(self) -> int:
        """Number of rows of the item embeddings: special tokens and catalogue."""
        return N_SPECIALS + self.n_catalogue

    @cached_property
    def popularity_order(self) -> PopularityOrder:
        """The vocabulary in order of popularity."""
        return PopularityOrder.of(self.items.training_counts[: self.vocabulary_size])

    @cached_property
    def is_candidate(self) -> Bool[np.ndarray, " indices"]:
        """By item index, whether an item may be recommended."""
        return self.items.candidate_mask(self.vocabulary_size)

    @property
    def n_candidates(self) -> int:
        """Number of items that may be recommended."""
        return int(np.count_nonzero(self.is_candidate))

    @property
    def default_seen(self) -> SeenPolicy:
        """How items of the history are treated unless an option says otherwise.

        ``include`` where the audit recommends it, because many events repeat an item of their
        sequence; else the default of the split.
        """
        repeats = self.manifest.audit.get("repeats", {})
        is_included = repeats.get("recommended_seen") == "include"
        return "include" if is_included else self.split_rule.default_seen

    @property
    def split_rule(self) -> SplitRule:
        """The split, as the interface to all that depends on its kind."""
        return rule_of(self.manifest.split)

    def targets(
        self,
        part: SplitPart,
        choice: TargetChoice = "last",
        *,
        rows: Int64[np.ndarray, " chosen"] | None = None,
        earliest: int = 0,
    ) -> Targets:
        """The held-out targets of a part; see ``SplitRule.targets``."""
        return self.split_rule.targets(self.sequences, part, choice, rows=rows, earliest=earliest)

    def target_rows(self, part: SplitPart, *, earliest: int = 0) -> Int64[np.ndarray, " rows"]:
        """The rows of the sequences that have a held-out target; see ``SplitRule.target_rows``."""
        return self.split_rule.target_rows(self.sequences, part, earliest=earliest)
