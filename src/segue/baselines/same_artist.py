"""More by the artists that were heard."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int32
from scipy import sparse

from segue.baselines.events import count_items
from segue.baselines.popularity import below_one
from segue.baselines.sets import counts_at, over_backoff
from segue.dataset import Dataset
from segue.errors import DatasetError
from segue.ranking import Queries, ScoringRanker


class SameArtist(ScoringRanker):
    """Scores an item by how many of the history's events are its artist's, then by popularity.

    Artists are told apart by name. An event whose item is outside the catalogue counts for
    its artist like any other.

    Source: "same artists, greatest hits" of Bonnin and Jannach, Automated generation of music
    playlists: survey and experiments, ACM Computing Surveys 47(2), 2014; here the artists
    with more events come first.
    """

    name = "same-artist"

    def __init__(
        self,
        artists: Int32[np.ndarray, " indices"],
        backoff: Float64[np.ndarray, " table"],
        *,
        refit: bool = False,
    ) -> None:
        """Wrap what is known of the items.

        Args:
            artists: a number for the artist of each item index, -1 without one.
            backoff: what every item scores at least, below 1.
        """
        self.refit = refit
        self.table_size = len(backoff)
        self._artists = artists
        self._n_artists = int(artists.max()) + 1
        self._backoff = backoff
        has_one = np.flatnonzero(artists[: len(backoff)] >= 0)
        shape = (self._n_artists, len(backoff))
        self._items_of = counts_at(artists[has_one], has_one, shape)

    @classmethod
    def fit(cls, dataset: Dataset, refit: bool = False) -> SameArtist:
        """Count the items.

        Raises:
            DatasetError: no item has an artist.
        """
        artists = dataset.items.codes("artist")
        if artists is None:
            raise DatasetError(
                "same-artist needs artists, but no item of the dataset has one",
                "leave it out, or prepare the dataset with an items file that names artists",
            )
        # In double precision, where counts of any size leave popularity its order.
        backoff = below_one(count_items(dataset, refit)).astype(np.float64)
        return cls(artists, backoff, refit=refit)

    def scores(self, queries: Queries) -> Float64[np.ndarray, "batch table"]:
        return over_backoff(self._events_by_artist(queries) @ self._items_of, self._backoff)

    def _events_by_artist(self, queries: Queries) -> sparse.csr_matrix:
        """(batch, artists): how many events of each history are whose."""
        offsets, items = queries.histories
        rows = np.repeat(np.arange(len(queries)), np.diff(offsets))
        artists = self._artists[items]
        known = artists >= 0
        return counts_at(rows[known], artists[known], (len(queries), self._n_artists))
