"""What a model is told of a sequence: who it belongs to, its name, its attributes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from segue.dataset import Sequences
from segue.dataset.ingest import SESSION_OF
from segue.features.bags import MAX_CODES, Bag, bag_of, joined, known_values
from segue.features.checks import check_known, teaches_nothing

USER = "user"
"""The sequence feature that is the sequence's own id."""
IDS = (USER, SESSION_OF)
"""Features that are ids: whole values, of which no word means anything."""
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class SequenceVocabulary:
    """The values that a model knows of each sequence feature.

    A text stands for itself and for each of its words, in lower case, so that a playlist's
    name shares what it has in common with others; ids (``IDS``) stay whole.

    Attributes:
        values: for each feature its values, in the order of their codes.
    """

    values: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, sequences: Sequences, features: Sequence[str]) -> SequenceVocabulary:
        """Collect the values that occur in sequences with a training event.

        Raises:
            ConfigError: there is no such attribute, or no two of the sequences share a word of it.
        """
        trained = pa.array(sequences.train_end > 0)
        values = {}
        for name in features:
            check_known(name, [USER, *sequences.attributes.column_names], "sequence", ())
            if name == USER:
                values[name] = sequences.ids.filter(trained).to_pylist()
            else:
                column = sequences.attributes.column(name).filter(trained)
                values[name] = list(
                    known_values([_parts(name, each) for each in column.to_pylist()])
                )
                if not values[name]:
                    why = "no two training sequences share a word of it"
                    raise teaches_nothing(name, "sequence", why)
        return cls(values)

    @property
    def n_codes(self) -> int:
        """Rows of the table of codes; the first stands for nothing."""
        return 1 + sum(map(len, self.values.values())) if self.values else 0

    def encode(self, rows: Sequence[Mapping[str, Any]]) -> Bag:
        """Codes of sequences described by some of the features; what is unknown is left out."""
        bags = []
        for name, slots in zip(self.values, self.slots, strict=True):
            parts = [_parts(name, row.get(name)) for row in rows]
            bags.append(bag_of(parts, self._codes[name], slots.stop - slots.start))
        sizes = [len(codes) for codes in self._codes.values()]
        return joined(bags, sizes, len(rows))[0]

    def encode_rows(
        self, sequences: Sequences, rows: Int64[np.ndarray, " rows"] | None = None
    ) -> Bag:
        """Codes of sequences of a dataset; attributes that it lacks are left out.

        Args:
            rows: which of them, a negative number for one of which nothing is known; all of
                them when absent.
        """
        wanted = np.arange(len(sequences)) if rows is None else rows
        chosen = pa.array(wanted, mask=wanted < 0)
        columns = {
            name: sequences.attributes.column(name).take(chosen).to_pylist()
            for name in self.values
            if name in sequences.attributes.column_names
        }
        if USER in self.values:
            columns[USER] = sequences.ids.take(chosen).to_pylist()
        said = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        return self.encode(said or [{}] * len(wanted))

    def is_unknown(self, name: str, value: str) -> bool:
        """Whether nothing is known of a value, not even a word of it."""
        codes = self._codes[name]
        return not any(part in codes for part in _parts(name, value))

    @property
    def slots(self) -> list[slice]:
        """The columns of a bag that belong to each feature."""
        widths = [1 if name in IDS else MAX_CODES for name in self.values]
        ends = np.cumsum([0, *widths]).tolist()
        return [slice(begin, end) for begin, end in itertools.pairwise(ends)]

    @cached_property
    def _codes(self) -> dict[str, dict[str, int]]:
        return {
            name: {value: code for code, value in enumerate(values)}
            for name, values in self.values.items()
        }


def _parts(name: str, value: Any) -> list[str]:
    """What a value of a feature is taken apart into."""
    if name in IDS:
        return [value] if value is not None else []
    return _words(value)


def _words(value: Any) -> list[str]:
    """A text in lower case, and its words where there are several."""
    if value is None:
        return []
    words = _WORD.findall(str(value).casefold())
    return list(dict.fromkeys([" ".join(words), *words])) if words else []
