"""Autoregressive generation of sequences: greedy decoding and top-k sampling."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, Int32, Int64

from segue.errors import RequestError
from segue.ranking import Query, Ranked
from segue.recommender.ensemble import Ensemble, NextItems
from segue.tokens import END, INDEX_DTYPE, N_SPECIALS

MAX_OPTION = 1e30
"""Largest temperature and end weight; larger values overflow."""


@dataclass(frozen=True)
class Sampling:
    """How the next item is selected from the model's distribution.

    Attributes:
        temperature: divides the scores; 0 always takes the best item, 1 samples from the
            model's distribution, values above 1 from a flatter one.
        top_k: number of best items to sample from.
        end_weight: factor on the probability of END; 0 never ends the sequence.
        seed: the same seed gives the same sequence.
    """

    temperature: float = 1.0
    top_k: int = 50
    end_weight: float = 0.0
    seed: int = 0

    def check(self, *, has_end: bool) -> None:
        """Validate the options.

        Args:
            has_end: whether the model was trained to predict END.

        Raises:
            RequestError: an option is out of range.
        """
        if self.top_k < 1:
            raise RequestError(f"top_k is {self.top_k}, expected 1 or more", "50 is usual")
        for name, value in (("temperature", self.temperature), ("end_weight", self.end_weight)):
            if not 0 <= value <= MAX_OPTION:
                message = f"{name} is {value}, expected a number from 0 to {MAX_OPTION:g}"
                raise RequestError(message, "0 and 1 are usual")
        if self.end_weight and not has_end:
            raise RequestError(
                f"end_weight is {self.end_weight}, but the model does not predict END",
                "leave it out, or train with model.end=true",
            )
        if self.seed < 0:
            raise RequestError(f"seed is {self.seed}, expected 0 or more", "give another one")


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
    def extend(self, items: Int32[np.ndarray, " batch"]) -> NextItems:
        """Append an item to each sequence, except where it is a special token.

        Returns:
            The best next items, none of which are in the sequence.
        """


class EncodingDecoder(Decoder):
    """Encodes every sequence again at each step."""

    def __init__(self, ensemble: Ensemble) -> None:
        self._ensemble = ensemble

    def begin(self, query: Query, end_temperature: float | None) -> NextItems:
        self._query, self._end_temperature = query, end_temperature
        return self._next_items()

    def extend(self, items: Int32[np.ndarray, " batch"]) -> NextItems:
        is_item = items >= N_SPECIALS
        self._query = replace(
            self._query,
            histories=self._query.histories.append(items, is_item),
            seen=self._query.seen.append(items, is_item),
            times=None,
        )
        return self._next_items()

    def _next_items(self) -> NextItems:
        return self._ensemble.next_items(self._query, end_temperature=self._end_temperature)


def generate_sequences(
    decoder: Decoder,
    query: Query,
    length: int,
    sampling: Sampling,
    seeds: Sequence[int | Sequence[int]] | None = None,
) -> Ranked:
    """Generate ``length`` items after each history, without repeats.

    Args:
        decoder: the model.
        query: the requests; ``k`` is ignored.
        length: number of items.
        sampling: how an item is selected.
        seeds: a seed per request; by default that of ``sampling`` for all, so that a request
            gets the same sequence whatever others it is computed with.

    Returns:
        The generated items in order, and the score of each when it was selected. If END was
        generated, it follows the last item. Positions after END, or after all items of the
        catalogue are used, are PAD with the score -inf.
    """
    n, greedy = len(query), sampling.temperature == 0
    rngs = [np.random.default_rng(seed) for seed in seeds or [sampling.seed] * n]
    items = np.zeros((n, length), INDEX_DTYPE)
    scores = np.full((n, length), -np.inf, np.float32)
    if not items.size:
        return Ranked(items, scores)
    end_temperature = (sampling.temperature or 1.0) if sampling.end_weight else None
    best, end_scores = decoder.begin(query.with_k(1 if greedy else sampling.top_k), end_temperature)
    is_active = np.ones(n, bool)
    for position in range(length):
        candidates = best if end_scores is None else _with_end(best, end_scores, sampling)
        selected = _sample(candidates.scores, sampling.temperature, rngs)[is_active]
        items[is_active, position] = candidates.items[is_active, selected]
        scores[is_active, position] = candidates.scores[is_active, selected]
        is_active &= items[:, position] >= N_SPECIALS
        if not is_active.any() or position == length - 1:
            break
        best, end_scores = decoder.extend(items[:, position])
    return Ranked(items, scores)


def _with_end(
    best: Ranked, end_scores: Float32[np.ndarray, " batch"], sampling: Sampling
) -> Ranked:
    """Append END to the best items of each row where it scores at least as high as the last one.

    Its score counts with or without ``end_weight``, whichever is higher.

    The log of the weight is multiplied by the temperature, by which all scores are divided
    later, so that the weight is a factor on the probability at any temperature. For greedy
    decoding it is a factor on the probability at temperature 1.
    """
    weighted = end_scores + np.float32((sampling.temperature or 1.0) * np.log(sampling.end_weight))
    is_in_top_k = np.maximum(end_scores, weighted) >= best.scores[:, -1]
    end_column = np.where(is_in_top_k, weighted, -np.inf).astype(np.float32)[:, None]
    items = np.pad(best.items, ((0, 0), (0, 1)), constant_values=END)
    return Ranked(items, np.concatenate([best.scores, end_column], axis=1))


def _sample(
    scores: Float32[np.ndarray, "batch k"], temperature: float, rngs: list[np.random.Generator]
) -> Int64[np.ndarray, " batch"]:
    """Sample a column per row from the softmax of ``scores / temperature`` (Gumbel-max trick).

    The noise is multiplied by the temperature instead of dividing the scores by it, which would
    overflow at temperatures near 0.
    """
    noise = np.stack([rng.gumbel(size=scores.shape[1]) for rng in rngs])
    return np.argmax(scores + temperature * noise, axis=1)
