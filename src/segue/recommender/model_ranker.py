"""``ModelRanker``: a trained model as a ranker on any dataset, joined by item id."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Int32, Int64

from segue.dataset import Dataset, Items
from segue.ragged import Ragged
from segue.ranking import Query, Ranked, Ranker
from segue.recommender.ensemble import Ensemble
from segue.recommender.masks import catalogue_mask
from segue.tokens import INDEX_DTYPE, N_SPECIALS, PAD, UNK


class ModelRanker(Ranker):
    """Ranks the catalogue of a dataset, which may not be the model's training dataset.

    Requests are translated to the item indices of the model, and its lists back. Candidates are
    the candidates of the dataset that the model may recommend too. All others get the rank 0 and
    are never listed; items that only the model has are left out by a mask, so scores are those on
    the training dataset.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        items: Items,
        data: Dataset,
        *,
        name: str,
        fingerprint: str,
        use_sequence_features: bool = True,
    ) -> None:
        """Join a model to a dataset.

        Args:
            ensemble: the model.
            items: the items of the model, by its own item indices.
            data: the dataset to rank on.
            name: name in results.
            fingerprint: fingerprint of the training dataset.
            use_sequence_features: whether to give the model the sequence features of the
                requests.
        """
        self.name = name
        self.data_fingerprint = fingerprint
        self.supports_empty_history = ensemble.encoder.layout.start
        self._ensemble = ensemble
        self._use_sequence_features = use_sequence_features
        if not use_sequence_features:
            self.notes += ("sequence features were not used",)
        self._model_index = np.arange(N_SPECIALS + len(data.items), dtype=INDEX_DTYPE)
        if data.fingerprint != fingerprint:
            self._model_index[N_SPECIALS:] = items.find(data.items.ids)
        shared = self._shared_items(data)
        if data.fingerprint != fingerprint:
            self.notes += (
                f"{len(shared):,} of the {data.n_candidates:,} candidates are in the model's "
                "catalogue",
            )
        # The item of the dataset for each item of the model; PAD for items that are not shared.
        self._dataset_index = np.full(ensemble.vocabulary_size, PAD, INDEX_DTYPE)
        self._dataset_index[self._model_index[shared]] = shared
        self._catalogue = catalogue_mask(self._dataset_index != PAD)

    def ranks(
        self, query: Query, targets: Int32[np.ndarray, " batch"]
    ) -> Int64[np.ndarray, " batch"]:
        is_shared = self._dataset_index[self._in_vocabulary(targets)] != PAD
        ranks = np.zeros(len(query), np.int64)
        ranks[is_shared] = self._ensemble.ranks(
            self._translate(query.select(is_shared)),
            self._model_index[targets[is_shared]],
            self._catalogue,
        )
        return ranks

    def top(self, query: Query) -> Ranked:
        items, scores = self._ensemble.top(self._translate(query), self._catalogue)
        return Ranked(self._dataset_index[items], scores)

    def _shared_items(self, data: Dataset) -> Int32[np.ndarray, " shared"]:
        """The candidates of the dataset that the model may recommend."""
        candidates = np.flatnonzero(data.is_candidate).astype(INDEX_DTYPE)
        return candidates[self._ensemble.is_candidate[self._in_vocabulary(candidates)]]

    def _in_vocabulary(self, items: Int32[np.ndarray, " items"]) -> Int32[np.ndarray, " items"]:
        """The model's item indices; PAD for items outside its catalogue."""
        indices = self._model_index[items]
        is_inside = (indices != UNK) & (indices < self._ensemble.vocabulary_size)
        return np.where(is_inside, indices, PAD)

    def _translate(self, query: Query) -> Query:
        """The same requests in the item indices of the model."""
        query.check_no_controls(self.name)
        return replace(
            query,
            histories=self._translate_items(query.histories),
            seen=self._translate_items(query.seen),
            excluded=None if query.excluded is None else self._translate_items(query.excluded),
            sequence_features=query.sequence_features if self._use_sequence_features else None,
        )

    def _translate_items(self, items: Ragged) -> Ragged:
        return Ragged(items.offsets, self._model_index[items.values])
