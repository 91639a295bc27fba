"""``Request``: a request of a caller in item indices, and the ``Query`` of some of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int32

from segue.controls import NO_CONTROLS
from segue.errors import RequestError
from segue.ragged import Ragged
from segue.ranking import Query
from segue.recommender.control_options import NO_REQUEST_CONTROLS, RequestControls
from segue.tokens import INDEX_DTYPE


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


def query_of(requests: Sequence[Request], k: int, *, include_seen: bool) -> Query:
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
