"""Explanations: answers with the contribution of each event of the history to each item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np
from jaxtyping import Float32, Int32

from segue.dataset import Items
from segue.ragged import Ragged
from segue.ranking import Query, Ranked
from segue.recommender.answers import Answer, Explanation
from segue.recommender.ensemble import Ensemble
from segue.recommender.explaining.contributions import contributions
from segue.recommender.explaining.member_ranks import member_ranks
from segue.recommender.explaining.why import why
from segue.recommender.timing import ms_since
from segue.tokens import INDEX_DTYPE, N_SPECIALS, PAD

UNKNOWN_ID = "<unk>"
"""Stands for an event of a user's history whose item the model does not know."""


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
    members: Mapping[str, Ensemble] | None = None,
) -> list[Explanation]:
    """Explain all items of some answers in one pass.

    Args:
        ensemble: the model.
        items: its items.
        query: the requests, one per answer.
        answers: their answers.
        given_ids: the item ids of each request, without those of its user.
        start_time: when the call began, by ``time.perf_counter``.
        members: each member of the ensemble alone, by name, to rank the items by each of them.
    """
    indices = Ragged.from_rows(
        [items.find([item.item_id for item in answer]).astype(INDEX_DTYPE) for answer in answers]
    )
    by_request = contributions(ensemble, query, indices)
    ranks = [
        None
        if members is None
        else member_ranks(members, query.slice(row, row + 1), indices.row(row))
        for row in range(len(answers))
    ]
    took_ms = ms_since(start_time)
    answers = [msgspec.structs.replace(answer, took_ms=took_ms) for answer in answers]
    explanations = [
        _explanation(
            ensemble, items, query.histories.row(row), answer, indices.row(row), by_event, ids
        )
        for row, (answer, by_event, ids) in enumerate(
            zip(answers, by_request, given_ids, strict=True)
        )
    ]
    return [
        replace(explanation, member_ranks=by_member)
        for explanation, by_member in zip(explanations, ranks, strict=True)
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
