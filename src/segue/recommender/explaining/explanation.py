"""``Explanation``: an answer, with the contribution of each event of the history to each item."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Int32

from segue.dataset import Items
from segue.ragged import Ragged
from segue.ranking import Query, Ranked
from segue.recommender.answers import Answer, Recommendation
from segue.recommender.ensemble import Ensemble
from segue.recommender.explaining.contributions import contributions
from segue.recommender.explaining.why import Why, why
from segue.tables import pandas_of
from segue.tokens import INDEX_DTYPE, N_SPECIALS, PAD

UNKNOWN_ID = "<unk>"
"""Stands for an event of a user's history whose item the model does not know."""


@dataclass(frozen=True, repr=False)
class Explanation:
    """Why the items of an answer are recommended.

    Attributes:
        answer: the items, each with ``why``.
        events: the item id of each event of the history, oldest first, that of the user included.
        contributions: in nats, one row per item of the answer and one column per event: the score
            of the item minus its score for the history without the event. Without it, later events
            move up, and older ones into the context; seen items stay excluded. The contributions
            of two events that say the same are small, because either can stand in for the other:
            so they do not add up to the score. An item that occurs several times has a
            contribution per event.
    """

    answer: Answer
    events: list[str]
    contributions: Float32[np.ndarray, "items events"]

    def __iter__(self) -> Iterator[Recommendation]:
        """Iterate over the items of the answer."""
        return iter(self.answer)

    def __len__(self) -> int:
        """Number of items of the answer."""
        return len(self.answer)

    def __getitem__(self, position: int) -> Recommendation:
        """The item of the answer at a position, from 0."""
        return self.answer[position]

    def __repr__(self) -> str:
        """The numbers of items and events, and why each item is recommended."""
        lines = [f"  {item.rank}. {item.title}: {_text(item.why)}" for item in self]
        head = f"Explanation of {len(self)} items by {len(self.events)} events"
        return "\n".join([head, *lines])

    def to_arrow(self) -> pa.Table:
        """The contributions as a table with one row per item and event.

        Its columns are ``item_id``, ``rank``, ``position`` (of the event, from 0, oldest first),
        ``event`` (its item id) and ``contribution``, in nats. The table of the items is
        ``answer.to_arrow()``.
        """
        n_items, n_events = self.contributions.shape
        ids = [item.item_id for item in self]
        return pa.table(
            {
                "item_id": pa.array(ids, pa.string()).take(_repeated(n_items, n_events)),
                "rank": np.repeat(np.arange(1, n_items + 1), n_events),
                "position": np.tile(np.arange(n_events), n_items),
                "event": pa.array(self.events * n_items, pa.string()),
                "contribution": self.contributions.ravel().astype(np.float64),
            }
        )

    def to_pandas(self) -> Any:
        """Convert to a pandas data frame with the columns of ``to_arrow``.

        Raises:
            RequestError: pandas is not installed.
        """
        return pandas_of(self.to_arrow())

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain values: those of the answer, ``events`` and ``contributions``."""
        values = {"events": self.events, "contributions": self.contributions.tolist()}
        return self.answer.to_dict() | values


def _text(reason: Why | None) -> str:
    return "no event has a contribution above 0" if reason is None else reason.text


def _repeated(n_items: int, n_events: int) -> pa.Array:
    return pa.array(np.repeat(np.arange(n_items), n_events))


def rank_candidates(ensemble: Ensemble, query: Query, candidates: Ragged) -> Ranked:
    """The given candidates of each request, best first, whether they were seen or not."""
    n_candidates = np.diff(candidates.offsets)
    shape = (len(query), max(1, n_candidates.max(initial=0)))
    is_item = np.arange(shape[1]) < n_candidates[:, None]
    items, scores = np.full(shape, PAD, INDEX_DTYPE), np.full(shape, -np.inf, np.float32)
    items[is_item], scores[is_item] = candidates.values, ensemble.scores(query, candidates)
    order = np.argsort(-scores, axis=1, kind="stable")
    return Ranked(
        np.take_along_axis(items, order, axis=1), np.take_along_axis(scores, order, axis=1)
    )


def explain_answers(
    ensemble: Ensemble,
    items: Items,
    query: Query,
    answers: Sequence[Answer],
    given_ids: Sequence[Sequence[str]],
    start_time: float,
) -> list[Explanation]:
    """Explain all items of some answers in one pass.

    Args:
        ensemble: the model.
        items: its items.
        query: the requests, one per answer.
        answers: their answers.
        given_ids: the item ids of each request, without those of its user.
        start_time: when the call began, by ``time.perf_counter``.
    """
    indices = Ragged.from_rows(
        [items.find([item.item_id for item in answer]).astype(INDEX_DTYPE) for answer in answers]
    )
    by_request = contributions(ensemble, query, indices)
    took_ms = round(1e3 * (time.perf_counter() - start_time), 3)
    answers = [msgspec.structs.replace(answer, took_ms=took_ms) for answer in answers]
    return [
        _explanation(
            ensemble, items, query.histories.row(row), answer, indices.row(row), by_event, ids
        )
        for row, (answer, by_event, ids) in enumerate(
            zip(answers, by_request, given_ids, strict=True)
        )
    ]


def _explanation(
    ensemble: Ensemble,
    items: Items,
    history: Int32[np.ndarray, " events"],
    answer: Answer,
    indices: Int32[np.ndarray, " items"],
    by_event: Float32[np.ndarray, "items events"],
    given_ids: Sequence[str],
) -> Explanation:
    ids, titles = _ids_and_titles(items, history)
    if given_ids:
        is_unknown = history[len(history) - len(given_ids) :] < N_SPECIALS
        ids[-len(given_ids) :] = given_ids
        titles[-len(given_ids) :] = [
            given if unknown else title
            for given, title, unknown in zip(
                given_ids, titles[-len(given_ids) :], is_unknown.tolist(), strict=True
            )
        ]
    explained = [
        msgspec.structs.replace(
            item, why=why(item.title, index, row, history, ids, titles, ensemble.sparse)
        )
        for item, index, row in zip(answer, indices.tolist(), by_event, strict=True)
    ]
    return Explanation(msgspec.structs.replace(answer, items=explained), ids, by_event)


def _ids_and_titles(
    items: Items, history: Int32[np.ndarray, " events"]
) -> tuple[list[str], list[str]]:
    is_item = history >= N_SPECIALS
    ids, titles = [UNKNOWN_ID] * len(history), [UNKNOWN_ID] * len(history)
    indices = history[is_item]
    for position, index, title in zip(
        np.flatnonzero(is_item).tolist(), indices.tolist(), items.titles(indices), strict=True
    ):
        ids[position], titles[position] = items.ids[index - N_SPECIALS], title
    return ids, titles
