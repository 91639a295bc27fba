"""Item attributes as columns of codes: conditions on them become bit masks, values become caps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, UInt8

from segue.config import nearest_hint
from segue.controls import Cap
from segue.dataset import Items
from segue.errors import RequestError
from segue.ragged import Ragged
from segue.recommender.masks import allowed_bits
from segue.tokens import INDEX_DTYPE, N_SPECIALS

MAX_STORED_MASKS = 64
"""Masks of conditions that are kept, those used last: .3 MB each for two million items."""

NUMBER_TESTS: dict[str, Callable[[Any, float], Any]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "=": np.equal,
    "!=": np.not_equal,
}
TEXT_TESTS = ("=", "!=", "has", "lacks")
LIST_TESTS = ("has", "lacks")
OPERATORS = (*NUMBER_TESTS, "has", "lacks")


class Condition(NamedTuple):
    """A condition on an attribute, such as ``year >= 1990``.

    Attributes:
        attribute: name of a column of the items.
        operator: one of ``OPERATORS``.
        value: as text; a number for a column of numbers.
    """

    attribute: str
    operator: str
    value: str

    def __str__(self) -> str:
        return f"{self.attribute} {self.operator} {self.value}"


@dataclass(frozen=True, eq=False)
class AttributeColumn:
    """The values of an attribute by item of the vocabulary.

    Attributes:
        kind: ``number``, ``text`` or ``list``.
        values: codes of the item's values, by item index.
        distinct: the value of each code: numbers, or texts in lower case.
    """

    kind: str
    values: Ragged
    distinct: np.ndarray

    def any_value(self, is_code: Bool[np.ndarray, " codes"]) -> Bool[np.ndarray, " vocabulary"]:
        """Which items have a value whose code is selected."""
        hits = np.append(0, np.cumsum(is_code[self.values.values]))
        return np.diff(hits[self.values.offsets]) > 0


class ItemAttributes:
    """The attributes of a model's items, read per column on first use.

    Conditions and caps work on them. Text is compared in lower case.
    """

    def __init__(self, items: Items, vocabulary_size: int) -> None:
        """Nothing is read yet.

        Args:
            items: the items of the model, catalogue first.
            vocabulary_size: number of special tokens and catalogue items.
        """
        self._table = items.table
        self.vocabulary_size = vocabulary_size
        self._columns: dict[str, AttributeColumn] = {}
        self._mask = lru_cache(MAX_STORED_MASKS)(self._compute_mask)

    @cached_property
    def names(self) -> list[str]:
        """The attributes that conditions and caps may name; vectors are none."""
        return [
            field.name
            for field in self._table.schema
            if field.name not in ("index", "is_candidate") and _kind(field.type) is not None
        ]

    def condition(self, text: str) -> Condition:
        """Read a condition such as ``year >= 1990`` or ``genres has Jazz``.

        The value may be in double quotes. The longest attribute that the text begins with is the
        one meant, so that names may contain spaces.

        Raises:
            RequestError: no attribute has this name, or what follows is not an operator and a
                value that suits the attribute.
        """
        stripped = text.strip()
        begun = [n for n in self.names if stripped.startswith(n) and _ends_name(stripped[len(n) :])]
        if not begun:
            name = stripped.split(maxsplit=1)[0] if stripped else ""
            message = f"where is {text!r}, but the items have no attribute {name!r}"
            raise RequestError(message, self._nearest(name))
        name = max(begun, key=len)
        rest = stripped[len(name) :].strip()
        operator = next((o for o in _by_length(OPERATORS) if _begins_with(rest, o)), "")
        value = rest[len(operator) :].strip()
        if operator == "=":
            value = value.removeprefix("=").strip()
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = value[1:-1]
        if not operator or not value:
            raise RequestError(
                f"where is {text!r}, expected an attribute, an operator and a value",
                f'operators: {", ".join(OPERATORS)}; such as "year >= 1990" or "genres has Jazz"',
            )
        condition = Condition(name, operator, value)
        self._check(condition, text)
        return condition

    def mask(self, condition: Condition) -> UInt8[np.ndarray, " bytes"]:
        """One bit per item index, 1 for an item that satisfies the condition.

        An item without a value satisfies ``!=`` and ``lacks`` only.
        """
        return self._mask(condition)

    def cap(self, attribute: str, limit: Any) -> Cap:
        """A limit on the number of items with the same value of an attribute.

        Raises:
            RequestError: there is no such attribute, or the limit is not an integer above 0.
        """
        if attribute not in self.names:
            message = f"cap is on {attribute!r}, which is no attribute of the items"
            raise RequestError(message, self._nearest(attribute))
        if not isinstance(limit, int | np.integer) or isinstance(limit, bool) or limit < 1:
            message = f"cap of {attribute} is {limit!r}, expected an integer from 1 up"
            raise RequestError(message, "2 admits at most two items with the same value")
        return Cap(attribute, int(limit), self._column(attribute).values)

    def _check(self, condition: Condition, text: str) -> None:
        kind = _kind(self._table.schema.field(condition.attribute).type)
        allowed = {"number": tuple(NUMBER_TESTS), "text": TEXT_TESTS, "list": LIST_TESTS}[str(kind)]
        if condition.operator not in allowed:
            message = f"where is {text!r}, but {condition.attribute} is a {kind}"
            raise RequestError(message, f"its operators: {', '.join(allowed)}")
        if kind == "number":
            try:
                float(condition.value)
            except ValueError:
                message = f"where is {text!r}, expected a number, because {condition.attribute} is"
                raise RequestError(message, f"such as {condition.attribute} >= 1990") from None

    def _nearest(self, name: str) -> str:
        if not self.names:
            return "the items of this run have no attributes"
        return f"{nearest_hint(name, self.names)}; attributes: {', '.join(self.names)}"

    def _compute_mask(self, condition: Condition) -> UInt8[np.ndarray, " bytes"]:
        column = self._column(condition.attribute)
        is_code = _selected_codes(column, condition)
        is_allowed = column.any_value(is_code)
        if condition.operator in ("!=", "lacks"):
            is_allowed = ~is_allowed
        return allowed_bits(is_allowed)

    def _column(self, name: str) -> AttributeColumn:
        # Two threads may both read a column: the same result is stored twice.
        if name not in self._columns:
            n_items = self.vocabulary_size - N_SPECIALS
            self._columns[name] = _read_column(self._table.column(name).slice(0, n_items))
        return self._columns[name]


def _selected_codes(column: AttributeColumn, condition: Condition) -> Bool[np.ndarray, " codes"]:
    """The codes of the values that equal, contain or compare with the value of a condition.

    For ``!=`` and ``lacks`` they are those of the opposite, which covers items without a value.
    """
    operator = {"!=": "=", "lacks": "has"}.get(condition.operator, condition.operator)
    if column.kind == "number":
        return NUMBER_TESTS[operator](column.distinct, float(condition.value))
    value = condition.value.lower()
    if operator == "has" and column.kind == "text":
        return np.array([value in text for text in column.distinct.tolist()], bool)
    return column.distinct == value


def _read_column(column: pa.ChunkedArray) -> AttributeColumn:
    """The codes of a column; special tokens have no values."""
    kind = _kind(column.type)
    array = column.combine_chunks()
    if kind == "list":
        lengths = pc.call_function("list_value_length", [array]).fill_null(0).to_numpy()
        array = array.flatten().fill_null("")
    else:
        lengths = np.asarray(array.is_valid()).astype(np.int64)
        array = array.drop_null()
    if kind == "number":
        distinct, codes = np.unique(array.to_numpy(zero_copy_only=False), return_inverse=True)
    else:
        array = pc.call_function("utf8_lower", [array.cast(pa.large_string())])
        encoded = array.dictionary_encode()
        codes = encoded.indices.to_numpy(zero_copy_only=False)
        distinct = np.array(encoded.dictionary.to_pylist(), dtype=object)
    offsets = np.concatenate([np.zeros(N_SPECIALS + 1, np.int64), np.cumsum(lengths)])
    values = Ragged(offsets.astype(np.int64), codes.astype(INDEX_DTYPE))
    return AttributeColumn(str(kind), values, distinct)


def _kind(dtype: pa.DataType) -> str | None:
    """``number``, ``text`` (also for ``true`` and ``false``) or ``list`` of text; else None."""
    if pa.types.is_integer(dtype) or pa.types.is_floating(dtype):
        return "number"
    if pa.types.is_string(dtype) or pa.types.is_large_string(dtype) or pa.types.is_boolean(dtype):
        return "text"
    if pa.types.is_list(dtype) or pa.types.is_large_list(dtype):
        return "list" if _kind(dtype.value_type) == "text" else None
    return None


def _by_length(operators: tuple[str, ...]) -> Iterator[str]:
    return iter(sorted(operators, key=len, reverse=True))


def _ends_name(rest: str) -> bool:
    return not rest or rest[0].isspace() or rest[0] in "<>=!"


def _begins_with(rest: str, operator: str) -> bool:
    """Whether a text begins with an operator, which a space follows if it is a word."""
    following = rest[len(operator) :][:1]
    return rest.startswith(operator) and (not operator.isalpha() or following.isspace())
