"""The metrics and the baseline of next-movie (Recformers).

Source: the blog post "Transformers for Recommender Systems - Part 1", which predicts the next movie
of a user of MovieLens-1M.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from segue.baselines.popularity import Popularity
from segue.baselines.top_rated import HEAD_QUANTILE
from segue.dataset import Dataset
from segue.tokens import N_SPECIALS

PUBLISHED_MODEL, PUBLISHED_BASELINE = "published model", "published baseline"
PUBLISHED: dict[str, dict[str, float]] = {
    PUBLISHED_MODEL: {
        "mrr@3": 0.0790383, "hr@3": 0.120252, "ndcg@3": 0.0895683,
        "mrr@5": 0.0915386, "hr@5": 0.175549, "ndcg@5": 0.112223,
        "mrr@10": 0.10491, "hr@10": 0.277059, "ndcg@10": 0.144872,
    },
    PUBLISHED_BASELINE: {
        "mrr@3": 0.000148018, "hr@3": 0.000183747, "ndcg@3": 0.000157374,
        "mrr@5": 0.000253162, "hr@5": 0.000622697, "ndcg@5": 0.000342393,
        "mrr@10": 0.000517913, "hr@10": 0.00278682, "ndcg@10": 0.00101894,
    },
}  # fmt: skip
"""The last table of the post. Its column "MAP" is the hit rate and is left out: it exceeds the MRR,
which is impossible for the average precision of a single target."""

AS_PUBLISHED = "top-rated as published"


def items_hit_as_tokens(ids: Sequence[str]) -> Int64[np.ndarray, " items"]:
    """The item that each id hits if it is compared with token numbers.

    Token ``t`` is the ``t``-th smallest id, from 0.

    Args:
        ids: the item ids, which are numbers.

    Returns:
        For each id an index into ``ids``; -1 if the id is not a token number.
    """
    numbers = np.array([int(item_id) for item_id in ids])
    index_of_token = np.argsort(numbers)
    is_token = numbers < len(ids)
    return np.where(is_token, index_of_token[np.where(is_token, numbers, 0)], -1)


def top_rated_as_published(data: Dataset) -> Popularity:
    """The post's baseline, with its mistake: the ids of the best movies are taken for tokens.

    It ranks the movies with the most ratings by their mean rating, over all ratings, test ones
    included. The movie that is recommended is the one whose token number is the id of the ranked
    one. In the post an id that is not a token number is a recommendation without a hit. Here it
    is left out, and later ones move up; none is among the first 15.
    """
    assert data.sequences.ratings is not None
    items, ratings = data.sequences.items, data.sequences.ratings
    counts = np.bincount(items, minlength=data.vocabulary_size)
    head = np.flatnonzero(counts >= np.quantile(counts[counts > 0], HEAD_QUANTILE))
    means = np.bincount(items, ratings, data.vocabulary_size)[head] / counts[head]
    hits = items_hit_as_tokens(data.items.ids)[head - N_SPECIALS]
    scores = np.zeros(data.vocabulary_size, np.float32)
    scores[N_SPECIALS + hits[hits >= 0]] = means[hits >= 0]
    return Popularity(AS_PUBLISHED, scores)
