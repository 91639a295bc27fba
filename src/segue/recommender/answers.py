"""The response types ``Answer`` and ``Recommendation``, the same in Python, JSON and HTTP."""

from __future__ import annotations

from typing import Any

import msgspec


class Recommendation(msgspec.Struct, frozen=True):
    """One item of a list, with its score and its rank from 1."""

    item_id: str
    title: str
    score: float
    rank: int


class Answer(msgspec.Struct, frozen=True):
    """A list of recommended or generated items, with information about the request.

    Attributes:
        items: recommendations, best first, or generated items in order.
        unknown_items: item ids of the request that are not in the model's catalogue; each was
            replaced with UNK in the context.
        truncated: number of oldest events that did not fit in the model's context.
        model: the name of the run.
        took_ms: time taken, in milliseconds.
        notes: caveats, such as a user id that was not in the training data.
    """

    items: list[Recommendation]
    unknown_items: list[str]
    truncated: int
    model: str
    took_ms: float
    notes: list[str] = []

    def to_json(self) -> dict[str, Any]:
        """Convert to plain JSON values."""
        return msgspec.to_builtins(self)
