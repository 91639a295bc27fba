"""A model as a ranker: asked in the indices of any dataset, joined by item id."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int32, Int64

from segue import retrieval
from segue.axes import INDEX_DTYPE, N_SPECIALS, UNK, Ragged
from segue.dataset import Dataset, Items
from segue.features import Bag
from segue.ranking import Queries, Ranked, Ranker
from segue.recommender.network import Network


class ModelRanker(Ranker):
    """A recommender that is asked in the indices of a dataset, perhaps not its own.

    Candidates are the dataset's. Those that the model does not know are nowhere in its
    lists, and what the model alone knows does not compete.
    """

    def __init__(
        self,
        network: Network,
        items: Items,
        data: Dataset,
        *,
        name: str,
        fingerprint: str,
        told: bool = True,
    ) -> None:
        """Join a network to a dataset.

        Args:
            items: those of the network's table.
            name: what results call it.
            fingerprint: of the dataset that it was trained on.
            told: whether it is told of the sequences what it reads of them.
        """
        self.name = name
        self.data_fingerprint = fingerprint
        self.begins = network.layout.start
        self._network = network
        self._table = network.output_table
        self._sequences = data.sequences
        self._told = told
        if not told:
            self.notes += ("told nothing of the sequences but their events",)
        # Three spaces of indices: the dataset's, the model's, and rows of the table.
        self._to_model = np.arange(N_SPECIALS + len(data.items), dtype=INDEX_DTYPE)
        self._candidates = self._to_model[: data.table_size]
        if data.fingerprint != self.data_fingerprint:
            self._to_model[N_SPECIALS:] = items.find(data.items.ids)
            self._candidates = _shared(self._to_model[: data.table_size], len(self._table))
            self._table = self._table[self._to_model[self._candidates]]
            known = len(self._candidates) - N_SPECIALS
            self.notes += (f"knows {known:,} of the {data.n_catalogue:,} candidates",)
        self._to_row = np.full(len(self._to_model), len(self._candidates), INDEX_DTYPE)
        self._to_row[self._candidates] = np.arange(len(self._candidates))

    def ranks(
        self, queries: Queries, targets: Int32[np.ndarray, " batch"]
    ) -> Int64[np.ndarray, " batch"]:
        wanted = self._to_row[targets]
        is_known = wanted < len(self._candidates)
        found = retrieval.ranks(
            self._states(queries),
            self._table,
            self._excluded(queries),
            np.where(is_known, wanted, 0),
        )
        return np.where(is_known, found, 0)

    def top(self, queries: Queries, k: int) -> Ranked:
        items, scores = retrieval.top(
            self._states(queries), self._table, self._excluded(queries), k
        )
        return Ranked(self._candidates[items], scores)

    def _states(self, queries: Queries) -> Float32[np.ndarray, "batch dim"]:
        offsets, items = queries.histories
        histories = Ragged(offsets, self._to_model[items])
        return self._network.hidden(histories, self._told_of(queries.rows))

    def _told_of(self, rows: Int64[np.ndarray, " batch"]) -> Bag:
        """What the model is told of some sequences, encoded when they are asked about: a dataset
        may have millions, and a validation asks about some thousands."""
        vocabulary = self._network.vocabulary
        if not self._told:
            return vocabulary.encode([{}] * len(rows))
        return vocabulary.encode_rows(self._sequences, rows)

    def _excluded(self, queries: Queries) -> Ragged:
        offsets, items = queries.excluded
        return Ragged(offsets, self._to_row[items])


def _shared(to_model: Int32[np.ndarray, " table"], size: int) -> Int32[np.ndarray, " candidates"]:
    """The indices whose items are in a model's table of ``size`` rows; special tokens first."""
    is_shared = (to_model != UNK) & (to_model < size)
    is_shared[:N_SPECIALS] = True
    return np.flatnonzero(is_shared).astype(INDEX_DTYPE)
