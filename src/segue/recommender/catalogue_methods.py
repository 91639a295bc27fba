"""``CatalogueMethods``: what a model says of its items, without a history."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Float32

from segue.errors import RequestError
from segue.ragged import Ragged
from segue.recommender.answers import Answer
from segue.recommender.ids import Id, id_string
from segue.recommender.loaded_model import LoadedModel
from segue.recommender.requests import Request
from segue.recommender.timing import ms_since
from segue.tokens import N_SPECIALS


class CatalogueMethods(LoadedModel):
    """The methods of ``Recommender`` for items: their vectors, similar ones, and the search."""

    def item_vectors(self) -> Float32[np.ndarray, "items dim"]:
        """The vectors of the catalogue, in float32, in the order of ``item_ids``.

        The vectors of the ensemble's dense members are concatenated, without their weights.
        """
        return self.ensemble.item_vectors()[N_SPECIALS:]

    @property
    def item_ids(self) -> list[str]:
        """The ids of the catalogue, in the order of ``item_vectors``."""
        return self.items.ids[: self.ensemble.vocabulary_size - N_SPECIALS]

    def similar_items(
        self,
        item: Any,
        k: int = 10,
        *,
        exclude: Iterable[Id] = (),
        only: Iterable[Id] | None = None,
        where: str | Iterable[str] = (),
    ) -> Answer:
        """The ``k`` items most similar to one, by the cosine of their vectors.

        The first call computes the vectors scaled to length 1, as large as ``item_vectors``.

        Args:
            item: an item id of the catalogue, a string or an integer.
            k: number of items.
            exclude: item ids that are not listed.
            only: the only item ids that may be listed.
            where: conditions on attributes that all listed items satisfy, as in ``recommend``.

        Raises:
            RequestError: the item is unknown, ``k`` is out of range, or a filter is not possible.
        """
        start_time = time.perf_counter()
        self._check_count("k", k)
        n_others = self.ensemble.n_candidates - 1
        if k > n_others:
            message = f"k is {k}, more than the {n_others} other items of the catalogue"
            raise RequestError(message, "ask for fewer")
        indices, unknown = self._requests.find_items([id_string(item, "item")])
        if unknown:
            message = f"item {unknown[0]!r} is not in the catalogue of {self.name}"
            raise RequestError(message, "give the id of an item of the catalogue")
        options = {"exclude": exclude, "only": only, "where": where}
        filters = self._requests.read_controls(options)
        ranked = self.ensemble.similar_items(
            indices,
            k,
            excluded=Ragged.from_rows([filters.excluded]),
            controls=[filters.controls],
        )
        request = Request(indices[:0], {}, [], filters.notes, filters)
        return self._answers.answers(ranked, [request], None, ms_since(start_time))[0]

    def search(
        self, text: str, limit: int = 10, *, column: str | None = None
    ) -> list[dict[str, Any]]:
        """Find items by the words of their titles, artists and other attributes, as you type.

        Case and accents do not matter. An item matches if it has every word of the text; more
        letters of the last word may follow. One edit is forgiven in a word of five letters or
        more: a missing, extra or wrong letter, or two neighbours exchanged. Matches come in this
        order: the text is the id or the title; all words occur; the last word is the beginning of
        one; the text is the beginning of the id; with edits. Equal ones come by training count.

        Of Chinese, Japanese, Thai and other scripts without spaces, each pair of neighbouring
        characters is a word. The first 1,000 characters and 32 words of the text count. Text
        without letters, digits or symbols matches nothing.

        The index is a file of the run. Where it is missing, the first call builds it, which takes
        about half a minute of one core per million items, in a temporary file if the run cannot
        be written.

        Args:
            text: what was typed; any text is allowed.
            limit: largest number of items.
            column: the attribute to search, or ``item_id``; by default all.

        Returns:
            The items, best first: ``index``, ``item_id``, the attributes that the item has, and
            ``training_count``.

        Raises:
            RequestError: ``limit`` is below 1, the column cannot be searched, or the SQLite of
                this Python has no full-text search.
        """
        indices = self._catalogue_search.search(text, limit, column)
        return [self.items.describe(index) for index in indices.tolist()]
