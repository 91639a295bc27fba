"""``FactorRanker``: scores as inner products of a state of the history with item vectors."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64

from segue.baselines.item_item import HistoryRanker, HistoryWeights
from segue.baselines.tie_breaking import break_ties
from segue.ranking import Query


class FactorRanker(HistoryRanker):
    """Scores an item by the inner product of its vector with the state of the request.

    Attributes:
        vectors: one vector per item index; zeros for items without training events.
    """

    def __init__(
        self,
        name: str,
        vectors: Float32[np.ndarray, "vocabulary factors"],
        counts: Int64[np.ndarray, " vocabulary"],
        history_weights: HistoryWeights,
        *,
        fit_on_validation: bool = False,
    ) -> None:
        """Create the ranker from item vectors.

        Args:
            name: as in ``HistoryRanker``; so are the arguments without a line here.
            vectors: one vector per item index.
        """
        super().__init__(name, counts, history_weights, fit_on_validation=fit_on_validation)
        self.vectors = vectors

    @abstractmethod
    def states(self, query: Query) -> Float[np.ndarray, "batch factors"]:
        """One state per request, in float32; zeros for an empty history."""

    def scores(self, query: Query) -> Float64[np.ndarray, "batch vocabulary"]:
        return break_ties(self.states(query) @ self.vectors.T, self._tie_breakers)
