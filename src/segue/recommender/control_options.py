"""The controls of a caller: filters, examples, caps and dials, by item id and attribute name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict

import numpy as np
from jaxtyping import Bool, Int32, UInt8

from segue.config import nearest_hint
from segue.controls import NO_CONTROLS, Controls
from segue.errors import RequestError, quantity
from segue.recommender.ids import Id, id_strings
from segue.recommender.item_attributes import ItemAttributes
from segue.recommender.masks import allowed_bits
from segue.tokens import INDEX_DTYPE, N_SPECIALS, UNK

NAMED_IDS = 5
"""Unknown ids that a note names."""

FindItems = Callable[[list[str]], tuple[Int32[np.ndarray, " items"], list[str]]]
"""Item indices of ids (UNK for unknown ones), and the ids that are not in the catalogue."""


class ControlOptions(TypedDict, total=False):
    """The controls of a request. All apply before the list is cut, so it has ``k`` items.

    Attributes:
        exclude: item ids that are not listed.
        only: the only item ids that may be listed, such as the candidates of another system.
        where: a condition on an attribute of the items or several, all of which must hold:
            ``"year >= 1990"``, ``"genres has Jazz"``, ``"artist != Miles Davis"``. Operators are
            ``=``, ``!=``, ``<``, ``<=``, ``>`` and ``>=`` for numbers; ``=``, ``!=``, ``has`` and
            ``lacks`` (a part of the text) for text; ``has`` and ``lacks`` (one of the values) for
            lists. Text is compared in lower case. An item without a value satisfies ``!=`` and
            ``lacks`` only.
        cap: the largest number of listed items with one value of an attribute, by attribute:
            ``{"artist": 2}``.
        diversity: from 0 to 1, how much an item that is similar to those listed before it falls
            back (maximal marginal relevance).
        popularity: from -1 (discovery) through 0 to 1 (mainstream).
        like: item ids whose similar items score higher; they are not listed themselves.
        unlike: item ids whose similar items score lower; they are not listed themselves.
    """

    exclude: Iterable[Id]
    only: Iterable[Id] | None
    where: str | Iterable[str]
    cap: Mapping[str, int]
    diversity: float
    popularity: float
    like: Iterable[Id]
    unlike: Iterable[Id]


NAMES = tuple(ControlOptions.__annotations__)


@dataclass(frozen=True, eq=False)
class RequestControls:
    """The controls of one request in item indices.

    Attributes:
        excluded: item indices that are not listed.
        controls: all else.
        filters: the conditions and lists that allow some items only, in words; empty if none do.
        notes: caveats for the answer, such as unknown ids.
    """

    excluded: Int32[np.ndarray, " excluded"] = field(
        default_factory=lambda: np.zeros(0, INDEX_DTYPE)
    )
    controls: Controls = NO_CONTROLS
    filters: str = ""
    notes: list[str] = field(default_factory=list)


NO_REQUEST_CONTROLS = RequestControls()


def read_controls(
    options: Mapping[str, Any], attributes: ItemAttributes, find_items: FindItems
) -> RequestControls:
    """Look up the ids and attributes of some controls.

    Args:
        options: as in ``ControlOptions``; a value of None stands for none.
        attributes: the attributes of the model's items.
        find_items: looks up item ids.

    Raises:
        RequestError: a name is unknown, a number is out of range, a condition cannot be read or
            does not suit its attribute, or ids are not a list.
    """
    for name in options:
        if name not in NAMES:
            raise RequestError(f"unknown control {name!r}", nearest_hint(name, list(NAMES)))
    given = {name: value for name, value in options.items() if value is not None}
    if not given:
        return NO_REQUEST_CONTROLS
    notes: list[str] = []

    def indices(name: str) -> Int32[np.ndarray, " items"]:
        items, unknown = find_items(id_strings(given.get(name, ()), name))
        if unknown:
            notes.append(_unknown_note(name, unknown))
        return items[items != UNK]

    conditions = _conditions(given.get("where", ()))
    filters = [attributes.condition(text) for text in conditions]
    masks = [attributes.mask(condition) for condition in filters]
    if "only" in given:
        masks.append(_only(indices("only"), attributes.vocabulary_size))
    liked, disliked = (_inside(indices(name), attributes) for name in ("like", "unlike"))
    cap = given.get("cap", {})
    if not isinstance(cap, Mapping):
        message = f"cap is {cap!r}, expected a mapping of attributes to numbers"
        raise RequestError(message, 'give {"artist": 2}, for example')
    controls = Controls(
        allowed=np.bitwise_and.reduce(masks) if masks else None,
        popularity=_number("popularity", given.get("popularity", 0), -1),
        liked=liked,
        disliked=disliked,
        caps=tuple(attributes.cap(str(name), limit) for name, limit in cap.items()),
        diversity=_number("diversity", given.get("diversity", 0), 0),
    )
    described = [f"where {condition}" for condition in filters] + ["only"] * ("only" in given)
    excluded = np.concatenate([indices("exclude"), liked, disliked]).astype(INDEX_DTYPE)
    return RequestControls(excluded, controls, " and ".join(described), notes)


def merged(shared: Mapping[str, Any], own: Any) -> Mapping[str, Any]:
    """The controls of one of many histories: its own ones take precedence.

    Raises:
        RequestError: ``own`` is not a mapping.
    """
    if own is None:
        return shared
    if not isinstance(own, Mapping):
        message = f"controls has {own!r}, expected a mapping or None per history"
        raise RequestError(message, 'give {"exclude": ["12"]}, for example')
    return {**shared, **own}


def count_allowed(
    mask: UInt8[np.ndarray, " bytes"], is_candidate: Bool[np.ndarray, " vocabulary"]
) -> int:
    """How many candidates a mask allows."""
    return int(np.bitwise_count(mask & allowed_bits(is_candidate)).sum())


def _conditions(where: Any) -> list[str]:
    conditions = [where] if isinstance(where, str) else where
    if not isinstance(conditions, Iterable) or isinstance(conditions, Mapping | bytes):
        raise RequestError(f"where is {where!r}, expected conditions", 'such as "year >= 1990"')
    conditions = list(conditions)
    for condition in conditions:
        if not isinstance(condition, str):
            message = f"where has {condition!r}, expected a condition as text"
            raise RequestError(message, 'such as "year >= 1990"')
    return conditions


def _inside(
    items: Int32[np.ndarray, " items"], attributes: ItemAttributes
) -> Int32[np.ndarray, " inside"]:
    """The items of the catalogue, which have vectors."""
    return items[items < attributes.vocabulary_size]


def _only(items: Int32[np.ndarray, " items"], size: int) -> UInt8[np.ndarray, " bytes"]:
    is_allowed = np.zeros(size, bool)
    is_allowed[items[(items >= N_SPECIALS) & (items < size)]] = True
    return allowed_bits(is_allowed)


def _number(name: str, value: Any, low: int) -> float:
    is_number = isinstance(value, int | float | np.integer | np.floating)
    if not is_number or isinstance(value, bool) or not low <= value <= 1:
        raise RequestError(
            f"{name} is {value!r}, expected a number from {low} to 1", "0 is neutral"
        )
    return float(value)


def _unknown_note(name: str, unknown: list[str]) -> str:
    named = ", ".join(repr(item_id) for item_id in unknown[:NAMED_IDS])
    more = f" and {len(unknown) - NAMED_IDS:,} more" if len(unknown) > NAMED_IDS else ""
    ids = quantity(len(unknown), "unknown id")
    return f"{ids} of {name} ignored: {named}{more}"
