"""Bodies of responses as the objects that the methods of ``Recommender`` return."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec
import numpy as np
from jaxtyping import Float32

from segue.errors import ServerError
from segue.recommender.answers import Answer, Explanation

T = TypeVar("T")


class StoredEvents(msgspec.Struct, frozen=True):
    """What became of the events of a call.

    Attributes:
        results: ``event_id`` and ``status`` of each, in order: ``stored``, ``already_stored``, or
            ``conflict`` for an id that is stored with another content, which stays.
        stored: number of events that are new.
        already_stored: number of events that were stored before.
        conflicts: number of events that were not stored because of a conflict.
    """

    results: list[dict[str, str]]
    stored: int
    already_stored: int
    conflicts: int


class Many(msgspec.Struct, Generic[T]):
    """The answers to many requests."""

    answers: list[T]


class ExplainedAnswer(Answer, frozen=True, kw_only=True):
    """An answer with the contributions of events: a row per item, a column per event."""

    events: list[str]
    contributions: list[list[float]]
    member_ranks: dict[str, list[int]] | None = None

    def explanation(self) -> Explanation:
        """The answer and the contributions apart."""
        answer = Answer(**{name: getattr(self, name) for name in Answer.__struct_fields__})
        shape = (len(self.items), len(self.events))
        contributions = np.array(self.contributions, np.float32).reshape(shape)
        return Explanation(answer, self.events, contributions, self.member_ranks)


class ScoredItem(msgspec.Struct):
    """A candidate; one outside the catalogue has no score."""

    score: float | None


class Scores(msgspec.Struct):
    """The candidates in the order of the request."""

    items: list[ScoredItem]

    def array(self) -> Float32[np.ndarray, " candidates"]:
        """The scores; NaN where there is none."""
        scores = [np.nan if item.score is None else item.score for item in self.items]
        return np.array(scores, np.float32)


class EventPage(msgspec.Struct):
    """Some events of a user, and where the next ones begin."""

    events: list[dict[str, Any]]
    next: str | None = None


def decoded(body: bytes, kind: type[T] | Any) -> Any:
    """A body as an object.

    Raises:
        ServerError: it is something else.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        message = f"the server sent what is not an answer of Segue: {error}"
        hint = "are both of the same version?"
        raise ServerError(message, hint, code="unexpected_response") from None


def flat_item(item: dict[str, Any]) -> dict[str, Any]:
    """An item with its attributes, as ``Recommender.search`` returns it."""
    return {"item_id": item["item_id"], "title": item["title"], **item["attributes"]}
