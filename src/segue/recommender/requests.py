"""Requests of callers: item ids, users and sequence features to a ``Query``, with its notes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int32

from segue.controls import NO_CONTROLS
from segue.dataset import Items
from segue.errors import RequestError
from segue.features import USER, SequenceVocabulary
from segue.ragged import Ragged
from segue.ranking import Query
from segue.recommender.control_options import (
    NO_REQUEST_CONTROLS,
    RequestControls,
    read_controls,
)
from segue.recommender.histories import Histories
from segue.recommender.item_attributes import ItemAttributes
from segue.tokens import INDEX_DTYPE, UNK


@dataclass(frozen=True)
class Request:
    """A request of a caller, looked up in the catalogue.

    Attributes:
        history: item indices, oldest first; UNK for unknown ids.
        sequence_features: values by name.
        unknown_items: item ids that are not in the model's catalogue.
        notes: caveats for the answer, such as ignored values.
        controls: filters, examples, caps and dials.
    """

    history: Int32[np.ndarray, " history"]
    sequence_features: Mapping[str, Any]
    unknown_items: list[str]
    notes: list[str]
    controls: RequestControls = NO_REQUEST_CONTROLS


class KnownUser(NamedTuple):
    """What is stored of the user of a request.

    Attributes:
        history: item indices, oldest first; UNK for items outside the catalogue.
        sequence_features: values by name.
        notes: caveats for the answer.
    """

    history: Int32[np.ndarray, " events"]
    sequence_features: Mapping[str, Any]
    notes: list[str]


NO_USER = KnownUser(np.zeros(0, INDEX_DTYPE), {}, [])
"""Of a request without a user."""


class UnanswerableError(RequestError):
    """A request without anything to predict from: no known user, or no history and no START."""


@dataclass(frozen=True)
class RequestReader:
    """Looks up the ids and sequence features of requests.

    Attributes:
        items: the items of the model, catalogue first.
        vocabulary_size: number of special tokens and catalogue items.
        vocabulary: the sequence features of the model, with their values.
        has_start: whether the model can predict from an empty history.
        knows_users: whether the model answers from the id of a user alone.
        always_has_sequence_features: whether every training sequence had its features.
        model: name of the model in messages.
        histories: the histories of users.
        attributes: the attributes of the items, for filters and caps.
    """

    items: Items
    vocabulary_size: int
    vocabulary: SequenceVocabulary
    has_start: bool
    knows_users: bool
    always_has_sequence_features: bool
    model: str
    histories: Histories
    attributes: ItemAttributes

    def read(
        self,
        item_ids: list[str],
        user: str | None,
        sequence_features: Mapping[str, str],
        controls: RequestControls,
    ) -> Request:
        """Look up one request.

        Args:
            item_ids: the events of the request, oldest first.
            user: its user, whose events come before ``item_ids``; None for none.
            sequence_features: values of the request; they take precedence over those of the user.
            controls: filters, examples, caps and dials.

        Raises:
            UnanswerableError: the user is unknown, or the history is empty and the model has no
                START.
            RequestError: the model does not have a sequence feature.
        """
        requested, unknown = self.find_items(item_ids)
        return self.request(requested, unknown, self.find_user(user), sequence_features, controls)

    def request(
        self,
        items: Int32[np.ndarray, " events"],
        unknown_items: list[str],
        user: KnownUser,
        sequence_features: Mapping[str, str],
        controls: RequestControls,
    ) -> Request:
        """A request whose ids are looked up already.

        Args:
            items: item indices of its events, oldest first; UNK for unknown ids.
            unknown_items: the ids of the events outside the catalogue.
            user: what is stored of its user.
            sequence_features: values of the request.
            controls: filters, examples, caps and dials.

        Raises:
            UnanswerableError: the history is empty, and the model has no START.
            RequestError: the model does not have a sequence feature.
        """
        history = np.concatenate([user.history, items]).astype(INDEX_DTYPE)
        if not len(history) and not self.has_start:
            raise UnanswerableError(
                "the history is empty, and this model has no START to predict from",
                "give at least one item",
            )
        notes = user.notes + self.feature_notes(sequence_features)
        features = {**user.sequence_features, **sequence_features}
        if self._lacks_sequence_features(features):
            notes.append(
                f"this request has no {' or '.join(self.vocabulary.values)}, which the model "
                "always had in training (train with training.feature_dropout to allow requests "
                "without)"
            )
        return Request(history, features, unknown_items, notes + controls.notes, controls)

    def read_controls(self, options: Mapping[Any, Any]) -> RequestControls:
        """Look up the controls of a request; see ``control_options.read_controls``."""
        return read_controls(options, self.attributes, self.find_items)

    def find_items(self, item_ids: list[str]) -> tuple[Int32[np.ndarray, " items"], list[str]]:
        """The item indices (UNK for unknown ids), and the ids that are not in the catalogue."""
        indices = self.items.find(item_ids)
        return indices, [item_ids[i] for i in np.flatnonzero(self.are_outside(indices))]

    def are_outside(self, indices: Int32[np.ndarray, " items"]) -> Bool[np.ndarray, " items"]:
        """Which items are not in the catalogue of the model."""
        return (indices == UNK) | (indices >= self.vocabulary_size)

    def find_user(self, user: str | None) -> KnownUser:
        """What is stored of a user, and a note if the model does not know the id.

        Raises:
            UnanswerableError: the user is unknown, and the model does not answer from the id.
        """
        if user is None:
            return NO_USER
        stored = self.histories.find(user)
        if stored is None and not self.knows_users:
            raise UnanswerableError(
                f"user {user!r} is not in {self.histories.source}",
                "give the history itself instead",
            )
        if stored is None:
            return self.known_user(user, NO_USER.history, {})
        return self.known_user(user, self.items.find(stored.item_ids), stored.sequence_features)

    def known_user(
        self, user: str, history: Int32[np.ndarray, " events"], features: Mapping[str, Any]
    ) -> KnownUser:
        """A user with the stored history and sequence features.

        Args:
            history: item indices, oldest first.
            features: values by name; the id replaces an attribute called ``user``.
        """
        notes = []
        if USER in self.vocabulary.values and self.vocabulary.is_unknown(USER, user):
            notes = [f"user {user} was not in the training data: the user id was ignored"]
        return KnownUser(history, {**features, USER: user}, notes)

    def feature_notes(self, requested: Mapping[str, str]) -> list[str]:
        """A note for each value that is ignored.

        Raises:
            RequestError: the model does not have a requested feature.
        """
        for name in requested:
            if name not in self.vocabulary.values:
                message = f"the model {self.model} has no sequence feature {name!r}"
                available = ", ".join(self.vocabulary.values) or "none"
                raise RequestError(message, f"its sequence features: {available}")
        return [
            f"unknown {name} {value!r} was ignored"
            for name, value in requested.items()
            if self.vocabulary.is_unknown(name, value)
        ]

    def _lacks_sequence_features(self, features: Mapping[str, Any]) -> bool:
        """Whether no value of the request has an id, though the model always had some."""
        return (
            self.always_has_sequence_features
            and bool(self.vocabulary.values)
            and all(
                self.vocabulary.is_unknown(name, features.get(name))
                for name in self.vocabulary.values
            )
        )


def query_of(requests: list[Request], k: int, *, include_seen: bool) -> Query:
    """The batch of some requests, in the item indices of the model.

    Args:
        k: number of items.
        include_seen: whether items of a history may be recommended.
    """
    histories = Ragged.from_rows([request.history for request in requests])
    nothing = Ragged.from_rows([np.zeros(0, INDEX_DTYPE)] * len(requests))
    excluded = [request.controls.excluded for request in requests]
    controls = [request.controls.controls for request in requests]
    return Query(
        histories,
        seen=nothing if include_seen else histories,
        rows=np.full(len(requests), -1),
        k=k,
        excluded=Ragged.from_rows(excluded) if any(map(len, excluded)) else None,
        controls=None if all(row is NO_CONTROLS for row in controls) else controls,
        sequence_features=[request.sequence_features for request in requests],
    )
