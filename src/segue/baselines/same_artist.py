"""Same-artist baseline: the most popular items by the artists of the history."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int32, Int64
from scipy import sparse

from segue.baselines.interaction_matrix import count_matrix
from segue.baselines.tie_breaking import break_ties_of_sparse, tie_breakers
from segue.dataset import Dataset
from segue.dataset.training_events import count_training_events
from segue.errors import DatasetError
from segue.ranking import Query, ScoringRanker


class SameArtist(ScoringRanker):
    """Scores an item by the number of history events of its artist, then by popularity.

    Artists are identified by name. Events of items outside the catalogue count for their
    artist too.

    Source: "same artists, greatest hits" of Bonnin and Jannach, Automated generation of music
    playlists: survey and experiments, ACM Computing Surveys 47(2), 2014; here artists
    with more history events rank first.
    """

    name = "same-artist"

    def __init__(
        self,
        artists: Int32[np.ndarray, " indices"],
        counts: Int64[np.ndarray, " vocabulary"],
        *,
        fit_on_validation: bool = False,
    ) -> None:
        """Create the ranker from item artists and popularity scores.

        Args:
            artists: artist number of each item index; -1 for items without an artist.
            counts: by item its training count.
            fit_on_validation: whether validation events were counted.
        """
        self.fit_on_validation = fit_on_validation
        self.vocabulary_size = len(counts)
        self._artists = artists
        self._n_artists = int(artists.max()) + 1
        self._tie_breakers = tie_breakers(counts)
        with_artist = np.flatnonzero(artists[: len(counts)] >= 0)
        shape = (self._n_artists, len(counts))
        self._items_by_artist = count_matrix(artists[with_artist], with_artist, shape)

    @classmethod
    def fit(cls, dataset: Dataset, fit_on_validation: bool = False) -> SameArtist:
        """Read the artists of the items and count the training events.

        Raises:
            DatasetError: no item has an artist.
        """
        artists = dataset.items.category_codes("artist")
        if artists is None:
            raise DatasetError(
                "same-artist needs artists, but no item of the dataset has one",
                "leave it out, or prepare the dataset with an items file that names artists",
            )
        counts = count_training_events(dataset, fit_on_validation)
        return cls(artists, counts, fit_on_validation=fit_on_validation)

    def scores(self, query: Query) -> Float64[np.ndarray, "batch vocabulary"]:
        events = self._events_by_artist(query) @ self._items_by_artist
        return break_ties_of_sparse(events, self._tie_breakers)

    def _events_by_artist(self, query: Query) -> sparse.csr_matrix:
        """Number of history events per artist: (batch, artists)."""
        offsets, items = query.histories
        rows = np.repeat(np.arange(len(query)), np.diff(offsets))
        artists = self._artists[items]
        has_artist = artists >= 0
        return count_matrix(rows[has_artist], artists[has_artist], (len(query), self._n_artists))
