"""The recommender: a trained model that answers in the caller's own ids.

What users hold, what the trainer validates with and what a server serves are one object.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import msgspec
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Float32, Int32, Int64

from segue import retrieval
from segue.axes import INDEX_DTYPE, N_SPECIALS, UNK, Ragged
from segue.batches import Layout
from segue.checkpoints import load_weights
from segue.config import ModelConfig
from segue.dataset import Dataset, Items
from segue.dataset.prepared import read_items
from segue.errors import DatasetError, RequestError
from segue.generation import Sampling, continue_sequences
from segue.model import Transformer
from segue.ranking import Queries, Ranked, Ranker
from segue.run_folder import RunFolder
from segue.runtime import use_compilation_cache

HISTORIES_PER_BLOCK = 256
"""Histories encoded together at most."""


class Recommendation(msgspec.Struct, frozen=True):
    """One place of a list."""

    item_id: str
    title: str
    score: float
    rank: int


class Answer(msgspec.Struct, frozen=True):
    """A list of items, and what became of the question.

    Attributes:
        items: the best first, or in the order of a continuation.
        unknown_items: ids of the prompt that the model does not know; each stood as
            ``<unk>`` in the context.
        truncated: how many of the oldest events were beyond the model's context.
        model: the name of the run.
        took_ms: time taken, in milliseconds.
    """

    items: list[Recommendation]
    unknown_items: list[str]
    truncated: int
    model: str
    took_ms: float

    def to_json(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return msgspec.to_builtins(self)


class Recommender:
    """Recommends and continues. Load one with ``Recommender.load``."""

    def __init__(
        self,
        model: Transformer | tuple[nnx.GraphDef[Transformer], nnx.State],
        config: ModelConfig,
        items: Items,
        *,
        name: str,
        dataset: dict[str, Any],
    ) -> None:
        """Wrap a model.

        Args:
            model: the model, or its graph and parameters.
            items: the item table whose first rows are the model's.
            name: what answers and results call it.
            dataset: ``fingerprint``, ``path`` and ``table_size`` of what it was trained on.
        """
        self._graph, self._params = model if isinstance(model, tuple) else nnx.split(model)
        self.items = items
        self.name = name
        self.layout = Layout.of(config, dataset["table_size"])
        self._dataset = dataset

    @classmethod
    def load(cls, run: str | Path) -> Recommender:
        """Open the run folder that ``segue.train`` returned.

        Raises:
            RunError: the folder is not a complete run, or a file in it was altered.
        """
        use_compilation_cache()
        folder = RunFolder(run)
        folder.verify()
        config, dataset = folder.read_config()
        abstract = nnx.eval_shape(
            lambda: Transformer(config.model, dataset["table_size"], rngs=nnx.Rngs(0))
        )
        graph, shapes = nnx.split(abstract)
        params = load_weights(folder.weights, shapes)
        items = read_items(folder.path)
        return cls((graph, params), config.model, items, name=folder.path.name, dataset=dataset)

    @cached_property
    def dataset(self) -> Dataset:
        """The prepared dataset that the model was trained on, for the histories of its users.

        Raises:
            DatasetError: it is not where it was, or it has changed.
        """
        dataset = Dataset.open(self._dataset["path"])
        if dataset.fingerprint != self._dataset["fingerprint"]:
            raise DatasetError(
                f"{dataset.path} is not the dataset that {self.name} was trained on",
                "give the history itself instead of a user",
            )
        return dataset

    def recommend(
        self,
        items: Sequence[str] = (),
        k: int = 10,
        *,
        user: str | None = None,
        include_seen: bool = False,
    ) -> Answer:
        """The ``k`` items most likely to come next.

        Args:
            items: a history as item ids, oldest first.
            k: how many.
            user: the id of a sequence of the training dataset; its history comes before
                ``items``.
            include_seen: whether items of the history may be recommended again.

        Raises:
            RequestError: ``k`` is below 1 or beyond the catalogue, the user is unknown, or
                there is nothing to go by and the model has no START.
        """
        began = time.perf_counter()
        self._check_count("k", k)
        history, unknown = self._history(items, user)
        excluded = Ragged.of([np.zeros(0, INDEX_DTYPE) if include_seen else history])
        best = self.top(Ragged.of([history]), excluded, k)
        return self._answer(best, history, unknown, began)

    def continue_sequence(
        self,
        items: Sequence[str] = (),
        length: int = 20,
        *,
        user: str | None = None,
        temperature: float = 1.0,
        top_k: int = 50,
        seed: int = 0,
    ) -> Answer:
        """Lengthen a sequence item by item; nothing in it comes twice.

        Args:
            items: the sequence so far, as item ids, oldest first.
            length: how many items to add.
            user: the id of a sequence of the training dataset to continue.
            temperature: 0 takes the best item at each place.
            top_k: sample among so many best items only, or all if there are fewer.
            seed: the same seed gives the same continuation.

        Raises:
            RequestError: a number is out of range, the user is unknown, or there is nothing
                to go by and the model has no START.
        """
        began = time.perf_counter()
        self._check_count("length", length)
        if top_k < 1:
            raise RequestError(f"top_k is {top_k}, expected 1 or more", "50 is usual")
        if not 0 <= temperature < math.inf:
            message = f"temperature is {temperature}, expected a number from 0 up"
            raise RequestError(message, "0 takes the best item each time, 1 is usual")
        if seed < 0:
            raise RequestError(f"seed is {seed}, expected 0 or more", "give another one")
        history, unknown = self._history(items, user)
        continued = continue_sequences(
            self.top, Ragged.of([history]), length, Sampling(temperature, top_k, seed)
        )
        return self._answer(continued, history, unknown, began)

    def ranker(self, data: Dataset) -> Ranker:
        """This model, ready to be evaluated on a dataset; items are joined by their ids."""
        return _ModelRanker(self, data)

    def hidden(self, histories: Ragged) -> Float32[np.ndarray, "batch dim"]:
        """The state that predicts what follows each history (indices of this model)."""
        states = [
            self._hidden_block(histories.slice(begin, begin + HISTORIES_PER_BLOCK))
            for begin in range(0, histories.n_rows, HISTORIES_PER_BLOCK)
        ]
        return np.concatenate(states)

    def _hidden_block(self, histories: Ragged) -> Float32[np.ndarray, "batch dim"]:
        tokens, last = self.layout.prompts(histories)
        # Blocks of a power of two: few shapes, so little is compiled.
        missing = (1 << (len(tokens) - 1).bit_length()) - len(tokens)
        tokens = np.pad(tokens, ((0, missing), (0, 0)))
        hidden = _last_hidden(self._graph, self._params, tokens, np.pad(last, (0, missing)))
        return np.asarray(hidden)[: len(last)]

    def top(self, histories: Ragged, excluded: Ragged, k: int) -> Ranked:
        """The ``k`` best next items of each history (indices of this model)."""
        return retrieval.top(self.hidden(histories), self.output_table, excluded, k)

    @cached_property
    def output_table(self) -> Float[Array, "table dim"]:
        """What hidden states are multiplied with to score the items (indices of this model)."""
        return nnx.merge(self._graph, self._params).output_table

    def _check_count(self, name: str, value: int) -> None:
        catalogue = self.layout.table_size - N_SPECIALS
        if value < 1:
            raise RequestError(f"{name} is {value}, expected 1 or more", "ask for more")
        if value > catalogue:
            message = f"{name} is {value}, beyond the catalogue of {catalogue} items"
            raise RequestError(message, "ask for fewer")

    def _history(
        self, items: Sequence[str], user: str | None
    ) -> tuple[Int32[np.ndarray, " history"], list[str]]:
        if isinstance(items, str):
            message = f"items is the text {items!r}, expected a list of item ids"
            raise RequestError(message, f"give [{items!r}]")
        if other := [item for item in items if not isinstance(item, str)]:
            raise RequestError(f"item id {other[0]!r} is no text", "write ids as in the log: '7'")
        known = self.items.find(list(items))
        outside = (known == UNK) | (known >= self.layout.table_size)
        unknown = [item for item, is_out in zip(items, outside, strict=True) if is_out]
        history = np.concatenate([self._user_history(user), known]).astype(INDEX_DTYPE)
        if not len(history) and not self.layout.start:
            raise RequestError(
                "the prompt is empty, and this model has no START to begin from",
                "give at least one item",
            )
        return history, unknown

    def _user_history(self, user: str | None) -> Int32[np.ndarray, " history"]:
        if user is None:
            return np.zeros(0, INDEX_DTYPE)
        row = self.dataset.sequences.find(user)
        if row is None:
            raise RequestError(
                f"user {user!r} is not in the dataset {self.dataset.name}",
                "give the history itself instead; no user row is needed",
            )
        return self.dataset.sequences.row(row)

    def _answer(
        self,
        ranked: Ranked,
        history: Int32[np.ndarray, " history"],
        unknown: list[str],
        began: float,
    ) -> Answer:
        filled = ranked.items[0] >= N_SPECIALS
        indices, scores = ranked.items[0][filled], ranked.scores[0][filled]
        ids = [self.items.ids[index - N_SPECIALS] for index in indices]
        rows = zip(ids, self.items.titles(indices), scores.tolist(), strict=True)
        return Answer(
            items=[Recommendation(*row, rank=rank) for rank, row in enumerate(rows, start=1)],
            unknown_items=unknown,
            truncated=self.layout.truncated(len(history)),
            model=self.name,
            took_ms=round(1e3 * (time.perf_counter() - began), 3),
        )


class _ModelRanker(Ranker):
    """A recommender that is asked in the indices of a dataset, perhaps not its own.

    Candidates are the dataset's. Those that the model does not know are nowhere in its
    lists, and what the model alone knows does not compete.
    """

    def __init__(self, recommender: Recommender, data: Dataset) -> None:
        self.name = recommender.name
        self.data_fingerprint = recommender._dataset["fingerprint"]
        self._hidden = recommender.hidden
        self._table = recommender.output_table
        # Three spaces of indices: the dataset's, the model's, and rows of the table.
        self._to_model = np.arange(N_SPECIALS + len(data.items), dtype=INDEX_DTYPE)
        self._candidates = self._to_model[: data.table_size]
        if data.fingerprint != self.data_fingerprint:
            self._to_model[N_SPECIALS:] = recommender.items.find(data.items.ids)
            self._candidates = _shared(self._to_model[: data.table_size], len(self._table))
            self._table = self._table[self._to_model[self._candidates]]
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
        return self._hidden(Ragged(offsets, self._to_model[items]))

    def _excluded(self, queries: Queries) -> Ragged:
        offsets, items = queries.excluded
        return Ragged(offsets, self._to_row[items])


def _shared(to_model: Int32[np.ndarray, " table"], size: int) -> Int32[np.ndarray, " candidates"]:
    """The indices whose items are in a model's table of ``size`` rows; special tokens first."""
    is_shared = (to_model != UNK) & (to_model < size)
    is_shared[:N_SPECIALS] = True
    return np.flatnonzero(is_shared).astype(INDEX_DTYPE)


@partial(jax.jit, static_argnums=0)
def _last_hidden(
    graph: nnx.GraphDef[Transformer],
    params: nnx.State,
    tokens: Int32[Array, "batch length"],
    last: Int32[Array, " batch"],
) -> Float[Array, "batch dim"]:
    hidden = nnx.merge(graph, params)(tokens)
    return jnp.take_along_axis(hidden, last[:, None, None], axis=1)[:, 0]
