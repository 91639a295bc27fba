"""What a recommender answers: the same object in Python, as JSON and over HTTP."""

from __future__ import annotations

from typing import Any

import msgspec


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
        notes: what else a person should know, such as a user that the model never met.
    """

    items: list[Recommendation]
    unknown_items: list[str]
    truncated: int
    model: str
    took_ms: float
    notes: list[str] = []

    def to_json(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return msgspec.to_builtins(self)
