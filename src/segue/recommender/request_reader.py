"""``RequestReader``: item ids, users, sequence features and controls of callers to requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Bool, Int32

from segue.dataset import Items
from segue.errors import RequestError
from segue.features import USER, SequenceVocabulary
from segue.recommender.control_options import RequestControls, listed, merged, read_controls
from segue.recommender.histories import Histories
from segue.recommender.ids import histories_of, id_string, one_per_history
from segue.recommender.item_attributes import ItemAttributes
from segue.recommender.requests import NO_USER, KnownUser, Request, UnanswerableError
from segue.tokens import INDEX_DTYPE, UNK


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

    def read_all(
        self,
        items: Any,
        user: Any,
        sequence_features: Any,
        controls: Any = None,
        shared_controls: Mapping[str, Any] | None = None,
    ) -> tuple[list[Request], bool]:
        """Look up one history or many, and say whether many were given.

        Args:
            items: as in ``Recommender.recommend``, looked-up requests included; so are the
                arguments without a line here.
            user: the id of a user, or a list of ids.
            sequence_features: a mapping, or a list of mappings.
            controls: of one history, or a list with those of each.
            shared_controls: of all histories.

        Raises:
            RequestError: as in ``read``, or an argument has another form.
        """
        shared = listed(shared_controls or {})
        if isinstance(items, list) and items and isinstance(items[0], Request):
            self._check_looked_up(items, user, sequence_features, controls, shared or None)
            return items, True
        histories, has_many = histories_of(items)
        of_histories = partial(one_per_history, n_histories=len(histories), has_many=has_many)
        features = of_histories("sequence_features", sequence_features)
        for values in features:
            if not isinstance(values, Mapping | None):
                message = f"sequence_features is {values!r}, expected a mapping of names to values"
                raise RequestError(message, 'give {"name": "rainy day"}, for example')
        read = self.read_controls(shared)
        all_controls = [
            read if own is None else self.read_controls(merged(shared, own))
            for own in of_histories("controls", controls)
        ]
        rows = zip(histories, of_histories("user", user), features, all_controls, strict=True)
        requests = [
            self.read(
                history,
                None if user_id is None else id_string(user_id, "user"),
                values or {},
                its_controls,
            )
            for history, user_id, values, its_controls in rows
        ]
        return requests, has_many

    @staticmethod
    def _check_looked_up(rows: list[Any], *arguments: Any) -> None:
        """Check that requests come alone: what they were looked up with is part of them."""
        if not all(isinstance(row, Request) for row in rows):
            message = "items has requests from look_up and other values, expected one kind"
            raise RequestError(message, "look up each history")
        if any(value is not None for value in arguments):
            raise RequestError(
                "a user, sequence features or controls are given beside requests from look_up",
                "give them to look_up",
            )

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
