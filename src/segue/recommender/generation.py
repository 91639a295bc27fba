"""Autoregressive generation of sequences, item by item, with locked positions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from jaxtyping import Float32, Int32

from segue.errors import RequestError
from segue.ragged import Ragged
from segue.ranking import Query, Ranked
from segue.recommender.cap_exclusions import CapExclusions, check_no_diversity
from segue.recommender.ensemble import Ensemble, NextItems
from segue.recommender.sampling import Sampling, sample, with_end
from segue.tokens import INDEX_DTYPE, N_SPECIALS, PAD

Exclusions: TypeAlias = Callable[[Int32[np.ndarray, " batch"]], Ragged | None]
"""Called after each position with the item that each row has there (a special token where the row
has ended); returns the items that each row must not have from there on, or None."""

Seeds: TypeAlias = Sequence[int | Sequence[int]] | None
"""A seed per request; None for that of ``Sampling`` for all."""


class Decoder(ABC):
    """Sequences that grow by one item at a time, in the item indices of the model."""

    @abstractmethod
    def begin(self, query: Query, end_temperature: float | None) -> NextItems:
        """Start from the histories of some requests.

        Args:
            query: the requests; ``query.k`` is the number of next items at every step.
            end_temperature: as in ``Ensemble.next_items``.

        Returns:
            The best next items of each sequence.
        """

    @abstractmethod
    def extend(
        self, items: Int32[np.ndarray, " batch"], excluded: Ragged | None = None
    ) -> NextItems:
        """Append an item to each sequence, except where it is a special token.

        Args:
            items: one item per sequence.
            excluded: items that are left out from now on, one row per sequence.

        Returns:
            The best next items, none of which are in the sequence.
        """

    @abstractmethod
    def scores(self, items: Int32[np.ndarray, " batch"]) -> Float32[np.ndarray, " batch"]:
        """The score of one item as the next one of each sequence, whatever is left out."""


class EnsembleDecoder(Decoder):
    """Sequences that are continued by an ensemble.

    With ``Ensemble.caching`` a step costs the transformers one position; with the ensemble itself
    every sequence is encoded again.
    """

    def __init__(self, ensemble: Ensemble) -> None:
        self._ensemble = ensemble

    def begin(self, query: Query, end_temperature: float | None) -> NextItems:
        self._query, self._end_temperature = query, end_temperature
        return self._next_items()

    def extend(
        self, items: Int32[np.ndarray, " batch"], excluded: Ragged | None = None
    ) -> NextItems:
        is_item = items >= N_SPECIALS
        self._query = replace(
            self._query,
            histories=self._query.histories.append(items, is_item),
            seen=self._query.seen.append(items, is_item),
            excluded=_joined(self._query.excluded, excluded),
            times=None,
        )
        return self._next_items()

    def scores(self, items: Int32[np.ndarray, " batch"]) -> Float32[np.ndarray, " batch"]:
        return self._ensemble.scores(self._query, Ragged.from_rows([[i] for i in items.tolist()]))

    def _next_items(self) -> NextItems:
        return self._ensemble.next_items(self._query, end_temperature=self._end_temperature)


def generate(
    ensemble: Ensemble,
    query: Query,
    length: int,
    sampling: Sampling,
    seeds: Seeds = None,
    *,
    locked: Int32[np.ndarray, "batch length"] | None = None,
) -> Ranked:
    """Generate sequences with an ensemble, in blocks whose key-value caches fit into memory.

    Args:
        ensemble: the model.
        query: as in ``generate_sequences``; so are the arguments and results without a line here.
            Caps of its controls apply to each sequence.
        length: number of items.
        sampling: how an item is selected.
        seeds: a seed per request.
        locked: locked items.

    Raises:
        RequestError: a request has diversity, or as in ``generate_sequences``.
    """
    check_no_diversity(query.controls)
    if locked is None:
        locked = np.full((len(query), length), PAD, INDEX_DTYPE)
    generated = [Ranked(*(np.zeros((0, length), dtype) for dtype in (INDEX_DTYPE, np.float32)))]
    for block, block_query in query.blocks(ensemble.rows_per_caching_block(sampling.top_k)):
        exclusions, controls = None, block_query.controls
        if controls is not None and any(row.caps for row in controls):
            exclusions = CapExclusions(controls, locked[block])
            excluded = _joined(block_query.excluded, exclusions.initial)
            block_query = replace(block_query, excluded=excluded)  # noqa: PLW2901
        generated.append(
            generate_sequences(
                EnsembleDecoder(ensemble.caching()),
                block_query,
                length,
                sampling,
                None if seeds is None else seeds[block],
                locked=locked[block],
                exclusions=exclusions,
            )
        )
    items, scores = (np.concatenate(arrays) for arrays in zip(*generated, strict=True))
    return Ranked(items, scores)


def generate_sequences(
    decoder: Decoder,
    query: Query,
    length: int,
    sampling: Sampling,
    seeds: Seeds = None,
    *,
    locked: Int32[np.ndarray, "batch length"] | None = None,
    exclusions: Exclusions | None = None,
) -> Ranked:
    """Generate ``length`` items after each history, without repeats.

    An item is selected from what comes before it only: it does not depend on items that are locked
    at later positions, except that it is none of them.

    Args:
        decoder: the model.
        query: the requests; ``k`` is ignored.
        length: number of items.
        sampling: how an item is selected.
        seeds: a seed per request; by default that of ``sampling`` for all, so that a request
            gets the same sequence whatever others it is computed with.
        locked: the item at each position that is not generated, PAD at the others; the items of a
            row must differ. A sequence does not end before its last locked position.
        exclusions: what to leave out, depending on the items so far.

    Returns:
        The items in order, and the score of each when it was selected. If END was
        generated, it follows the last item. Positions after END, or after all items of the
        catalogue are used, are PAD with the score -inf.

    Raises:
        RequestError: no item is left for a position before a locked one.
    """
    n, greedy = len(query), sampling.temperature == 0
    rngs = [np.random.default_rng(seed) for seed in seeds or [sampling.seed] * n]
    items = np.zeros((n, length), INDEX_DTYPE)
    scores = np.full((n, length), -np.inf, np.float32)
    if not items.size:
        return Ranked(items, scores)
    if locked is None:
        locked = np.zeros((n, length), INDEX_DTYPE)
    last_locked = np.where(locked != PAD, np.arange(length), -1).max(axis=1)
    if (last_locked >= 0).any():
        of_rows = Ragged.from_rows([row[row != PAD] for row in locked])
        query = replace(query, excluded=_joined(query.excluded, of_rows))
    end_temperature = (sampling.temperature or 1.0) if sampling.end_weight else None
    best, end_scores = decoder.begin(query.with_k(1 if greedy else sampling.top_k), end_temperature)
    is_active = np.ones(n, bool)
    for position in range(length):
        candidates = best
        if end_scores is not None:
            candidates = with_end(best, end_scores, position > last_locked, sampling)
        columns = sample(candidates.scores, sampling, rngs)[is_active]
        items[is_active, position] = candidates.items[is_active, columns]
        scores[is_active, position] = candidates.scores[is_active, columns]
        is_locked = locked[:, position] != PAD
        if is_locked.any():
            # Any item stands for one where none is locked.
            its_scores = decoder.scores(np.maximum(locked[:, position], N_SPECIALS))
            items[is_locked, position] = locked[is_locked, position]
            scores[is_locked, position] = its_scores[is_locked]
        is_active &= items[:, position] >= N_SPECIALS
        _check_locked_positions(last_locked[~is_active], position)
        if not is_active.any() or position == length - 1:
            break
        selected = items[:, position]
        excluded = None if exclusions is None else exclusions(selected)
        best, end_scores = decoder.extend(selected, excluded)
    return Ranked(items, scores)


def _check_locked_positions(last_locked: np.ndarray, position: int) -> None:
    """Check that no sequence ended at a position before a locked one.

    Args:
        last_locked: the last locked position of each sequence that ended.
    """
    if (last_locked >= position).any():
        raise RequestError(
            f"no item is left for position {position}, before the locked position "
            f"{int(last_locked.max())}",
            "lock earlier positions, or leave out less",
        )


def _joined(rows: Ragged | None, more: Ragged | None) -> Ragged | None:
    """The values of both per row."""
    if rows is None or more is None:
        return rows if more is None else more
    return rows.join(more)
