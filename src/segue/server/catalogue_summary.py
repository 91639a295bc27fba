"""What a page of controls needs to know of a catalogue: attributes, popularity, examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64

from segue.recommender import Recommender
from segue.tokens import N_SPECIALS

MAX_VALUES = 60
"""Values of an attribute that are listed, the most frequent ones."""
MAX_TEXT = 200
"""Longer values are not listed."""
N_STEPS = 4
"""Limits between levels of popularity, hence five levels."""
N_POPULAR, N_EXAMPLES, EXAMPLE_LENGTH = 48, 3, 4
_OUTSIDE = ("index", "item_id", "is_candidate")


def summarise(model: Recommender) -> dict[str, Any]:
    """The shape ``CatalogueShape`` of a model, without what only the server knows.

    Examples are a popular item and popular ones that are similar to it, so they contain nothing of
    a user.
    """
    popular = _popular(model)
    return {
        "attributes": attributes_of(model),
        "popularity_steps": popularity_steps(_counts(model)),
        "popular": popular,
        "examples": _examples(model, popular),
    }


def attributes_of(model: Recommender) -> list[dict[str, Any]]:
    """The attributes of the catalogue that conditions and caps may name, with their values."""
    n_items = model.ensemble.vocabulary_size - N_SPECIALS
    table = model.items.table.slice(0, n_items)
    columns = {name: table.column(name) for name in table.column_names if name not in _OUTSIDE}
    described = [describe_column(name, column) for name, column in columns.items()]
    return [attribute for attribute in described if attribute is not None]


def describe_column(name: str, column: pa.ChunkedArray) -> dict[str, Any] | None:
    """One attribute; None if conditions do not support its type, or no item has a value."""
    array, kind = column.combine_chunks(), "text"
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        array, kind = array.flatten(), "list"
    if pa.types.is_integer(array.type) or pa.types.is_floating(array.type):
        return None if kind == "list" else _describe_numbers(name, array)
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.string())
    if not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
        return None
    array = array.drop_null()
    array = array.filter(pc.call_function("not_equal", [array, ""]))
    if not len(array):
        return None
    counted = pc.call_function("value_counts", [array])
    # Chosen in Arrow: a catalogue may have millions of titles, each of them once.
    table = pa.table({"value": counted.field("values"), "n_items": counted.field("counts")})
    order = pc.SelectKOptions(MAX_VALUES, [("n_items", "descending"), ("value", "ascending")])
    frequent = table.take(pc.call_function("select_k_unstable", [table], order)).to_pylist()
    values = [value for value in frequent if len(value["value"]) <= MAX_TEXT]
    return _attribute(name, kind, n_values=len(table), values=values)


def _describe_numbers(name: str, array: pa.Array) -> dict[str, Any] | None:
    numbers = array.drop_null().cast(pa.float64()).to_numpy()
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers):
        return None
    limits = {"minimum": float(numbers.min()), "maximum": float(numbers.max())}
    return _attribute(name, "number", n_values=len(np.unique(numbers)), **limits)


def _attribute(name: str, kind: str, **values: Any) -> dict[str, Any]:
    empty = {"minimum": None, "maximum": None, "values": []}
    return {"name": name, "kind": kind} | empty | values


def popularity_steps(counts: Int64[np.ndarray, " items"]) -> list[int]:
    """The training counts from which an item is at the next level of popularity, ascending.

    The items of each level have about as many training events together as those of any other: few
    items are at the highest level, most at the lowest.
    """
    ascending = np.sort(counts)
    shares = np.cumsum(ascending) / max(1, ascending.sum())
    levels = np.arange(1, N_STEPS + 1) / (N_STEPS + 1)
    positions = np.minimum(np.searchsorted(shares, levels), len(ascending) - 1)
    return ascending[positions].tolist()


def _counts(model: Recommender) -> Int64[np.ndarray, " items"]:
    return model.items.training_counts[N_SPECIALS : model.ensemble.vocabulary_size]


def _popular(model: Recommender) -> list[str]:
    """The ids of the most popular items that may be recommended, the most popular first."""
    mask = model.items.candidate_mask(model.ensemble.vocabulary_size)
    order = np.argsort(-_counts(model), kind="stable")
    best = [at for at in order.tolist() if mask[at + N_SPECIALS]][:N_POPULAR]
    return [model.items.ids[at] for at in best]


def _examples(model: Recommender, popular: list[str]) -> list[list[str]]:
    """Popular items, each with others of them that are similar; no item is in two examples."""
    examples: list[list[str]] = []
    rest = list(popular)
    while rest and len(examples) < N_EXAMPLES:
        first, rest = rest[0], rest[1:]
        answer = model.similar_items(first, EXAMPLE_LENGTH - 1, only=rest) if rest else None
        similar = [item.item_id for item in answer.items] if answer is not None else []
        examples.append([first, *similar])
        rest = [item_id for item_id in rest if item_id not in similar]
    return examples
