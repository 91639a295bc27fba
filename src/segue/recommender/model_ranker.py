"""``ModelRanker``: a trained model as a ranker on any dataset, joined by item id."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int32, Int64

from segue.dataset import Dataset, Items
from segue.features import FeatureIds
from segue.ragged import Ragged
from segue.ranking import Queries, Ranked, Ranker
from segue.recommender import search
from segue.recommender.encoder import Encoder
from segue.tokens import INDEX_DTYPE, N_SPECIALS, UNK


class ModelRanker(Ranker):
    """Ranks the catalogue of a dataset, which may not be the model's training dataset.

    Candidates are the items in both catalogues. Items of the dataset that the model does not
    have get the rank 0 and are never listed; items that only the model has are not candidates.
    """

    def __init__(
        self,
        encoder: Encoder,
        items: Items,
        data: Dataset,
        *,
        name: str,
        fingerprint: str,
        use_sequence_features: bool = True,
    ) -> None:
        """Join a model to a dataset.

        Args:
            encoder: the model.
            items: the items of the model, by its own item indices.
            data: the dataset to rank on.
            name: name in results.
            fingerprint: fingerprint of the training dataset.
            use_sequence_features: whether to give the model the sequence features of the
                dataset.
        """
        self.name = name
        self.data_fingerprint = fingerprint
        self.supports_empty_history = encoder.layout.start
        self._encoder = encoder
        self._output_embeddings = encoder.output_embeddings
        self._sequences = data.sequences
        self._use_sequence_features = use_sequence_features
        if not use_sequence_features:
            self.notes += ("sequence features were not used",)
        # Three index spaces: items of the dataset, items of the model, and candidates (rows of
        # the output embeddings used here).
        self._model_index = np.arange(N_SPECIALS + len(data.items), dtype=INDEX_DTYPE)
        self._candidates = self._model_index[: data.vocabulary_size]
        if data.fingerprint != self.data_fingerprint:
            self._model_index[N_SPECIALS:] = items.find(data.items.ids)
            self._candidates = _shared_indices(
                self._model_index[: data.vocabulary_size], len(self._output_embeddings)
            )
            self._output_embeddings = self._output_embeddings[self._model_index[self._candidates]]
            n_shared = len(self._candidates) - N_SPECIALS
            self.notes += (
                f"{n_shared:,} of the {data.n_catalogue:,} candidates are in the model's catalogue",
            )
        self._candidate_index = np.full(len(self._model_index), len(self._candidates), INDEX_DTYPE)
        self._candidate_index[self._candidates] = np.arange(len(self._candidates))

    def ranks(
        self, queries: Queries, targets: Int32[np.ndarray, " batch"]
    ) -> Int64[np.ndarray, " batch"]:
        rows = self._candidate_index[targets]
        is_candidate = rows < len(self._candidates)
        ranks = search.ranks(
            self._hidden(queries),
            self._output_embeddings,
            self._excluded(queries),
            np.where(is_candidate, rows, 0),
        )
        return np.where(is_candidate, ranks, 0)

    def top(self, queries: Queries, k: int) -> Ranked:
        items, scores = search.top(
            self._hidden(queries), self._output_embeddings, self._excluded(queries), k
        )
        return Ranked(self._candidates[items], scores)

    def _hidden(self, queries: Queries) -> Float32[np.ndarray, "batch dim"]:
        offsets, items = queries.histories
        histories = Ragged(offsets, self._model_index[items])
        return self._encoder.hidden(histories, self._feature_ids(queries.rows))

    def _feature_ids(self, rows: Int64[np.ndarray, " batch"]) -> FeatureIds:
        """Sequence features of dataset rows.

        They are encoded per batch, because a dataset may have millions of sequences and a
        validation uses only some thousands of them.
        """
        vocabulary = self._encoder.vocabulary
        if not self._use_sequence_features:
            return vocabulary.encode([{}] * len(rows))
        return vocabulary.encode_rows(self._sequences, rows)

    def _excluded(self, queries: Queries) -> Ragged:
        """Excluded items as candidate indices."""
        offsets, items = queries.excluded
        return Ragged(offsets, self._candidate_index[items])


def _shared_indices(
    model_index: Int32[np.ndarray, " vocabulary"], size: int
) -> Int32[np.ndarray, " candidates"]:
    """Indices of special tokens and of items that the model has.

    Args:
        model_index: model item index of each dataset item index; UNK if the model lacks it.
        size: vocabulary size of the model.
    """
    is_shared = (model_index != UNK) & (model_index < size)
    is_shared[:N_SPECIALS] = True
    return np.flatnonzero(is_shared).astype(INDEX_DTYPE)
