"""The arguments and controls of each row of a batch, with those that hold for all rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from segue.errors import RequestError
from segue.recommender.control_options import (
    NAMES,
    NO_REQUEST_CONTROLS,
    RequestControls,
    listed,
    read_controls,
)
from segue.recommender.ids import id_string
from segue.recommender.request_body import RecommendBody, checked_body
from segue.recommender.request_reader import RequestReader

RECOMMEND_COLUMNS = tuple(
    name for name in RecommendBody.model_fields if name not in ("items", "probabilities")
)
"""Options that a row of ``recommend`` may have for itself."""

GENERATE_COLUMNS = tuple(name for name in RECOMMEND_COLUMNS if name not in ("k", "diversity"))
"""Options that a row of ``generate`` may have for itself."""

MAX_STORED_CONTROLS = 32
"""Distinct controls that are kept, because many rows may have the same."""


class RowOptions(NamedTuple):
    """The options of a row besides its history.

    Attributes:
        k: number of items.
        includes_seen: whether items of the history may be listed.
        user: the id of a user whose stored history comes first.
        sequence_features: values by name.
        controls: filters, examples, caps and dials.
    """

    k: int
    includes_seen: bool
    user: str | None
    sequence_features: Mapping[str, str]
    controls: RequestControls


class OptionsReader:
    """Reads the options of rows: those of a row take precedence over those of all rows."""

    def __init__(
        self,
        reader: RequestReader,
        shared: Mapping[str, Any],
        k: int,
        includes_seen: bool,
        check_k: Callable[[int], object],
    ) -> None:
        """Read the options of all rows.

        Args:
            reader: looks up ids and attributes.
            shared: ``sequence_features`` and the controls of all rows, by name.
            k: number of items.
            includes_seen: whether items of the history may be listed.
            check_k: raises a ``RequestError`` for an impossible number of items.

        Raises:
            RequestError: an option is not possible.
        """
        self._reader = reader
        self._check_k = check_k
        self._stored: dict[str, RequestControls] = {}
        self._shared = {name: value for name, value in shared.items() if value is not None}
        features = self._shared.pop("sequence_features", {})
        reader.feature_notes(features)
        controls = self._controls(self._shared)
        self._default = RowOptions(k, includes_seen, None, features, controls)

    def read(self, own: Mapping[str, Any]) -> RowOptions:
        """The options of a row.

        Args:
            own: the options that the row has for itself, as in ``RecommendBody``.

        Raises:
            RequestError: one is unknown, of a wrong type or not possible.
        """
        if not own:
            return self._default
        try:
            body = checked_body(RecommendBody, dict(own))
        except RequestError as error:
            raise RequestError(f"column {error.message}", error.hint) from None
        given = body.model_dump(exclude_unset=True)
        if "k" in given:
            self._check_k(given["k"])
        features = given.get("sequence_features") or {}
        self._reader.feature_notes(features)
        controls = {name: given[name] for name in NAMES if name in given}
        return RowOptions(
            given.get("k", self._default.k),
            given.get("include_seen", self._default.includes_seen),
            id_string(given["user"], "user") if "user" in given else None,
            {**self._default.sequence_features, **features},
            self._controls({**self._shared, **controls}) if controls else self._default.controls,
        )

    def _controls(self, options: Mapping[str, Any]) -> RequestControls:
        if not options:
            return NO_REQUEST_CONTROLS
        key = repr(sorted(options.items()))
        if key not in self._stored:
            if len(self._stored) >= MAX_STORED_CONTROLS:
                self._stored.clear()
            reader = self._reader
            self._stored[key] = read_controls(options, reader.attributes, reader.find_items)
        return self._stored[key]


def plain_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Controls and sequence features as JSON values; generators are read.

    Raises:
        RequestError: ids are not a list.
    """
    given = {name: value for name, value in options.items() if value is not None}
    features = given.pop("sequence_features", None)
    return listed(given) | ({} if features is None else {"sequence_features": features})
