"""Item attributes as columns of codes: conditions on them become bit masks, values become caps."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
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
from segue.storage.reading import one_line
from segue.tokens import INDEX_DTYPE, N_SPECIALS

MAX_STORED_MASKS = 64
"""Masks of conditions that are kept, those used last: .3 MB each for two million items."""
MAX_SHOWN = 80
"""Characters of a condition in a message."""
MAX_DIGITS = 400
"""Digits of a whole number in a condition that are read exactly; more are not finite as a float."""
HIDDEN = ("index", "is_candidate")
"""Columns of the items that are no attributes."""
MAX_COMPARED = 2_000
"""Distinct values that the hint for a value without items is looked for in."""

NUMBER_TESTS: dict[str, Callable[[Any, Any], Any]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "=": np.equal,
    "!=": np.not_equal,
}
OPERATORS = {
    "number": tuple(NUMBER_TESTS),
    "date": tuple(NUMBER_TESTS),
    "text": ("=", "!=", "has", "lacks"),
    "list": ("has", "lacks"),
}
"""The operators of each kind of attribute."""
OPPOSITES = {"!=": "=", "lacks": "has"}
_OPERATOR = r"(>=|<=|!=|==|=|<|>|has(?=\s)|lacks(?=\s))"
_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")
EXAMPLE = '"year >= 1990" or "genres has Jazz"'


class Condition(NamedTuple):
    """A condition on an attribute, such as ``year >= 1990``.

    Attributes:
        attribute: name of a column of the items.
        operator: one of ``OPERATORS``.
        value: as text; a number for a column of numbers, a year, month or day for dates.
    """

    attribute: str
    operator: str
    value: str

    def __str__(self) -> str:
        return one_line(f"{self.attribute} {self.operator} {self.value}", MAX_SHOWN)


@dataclass(frozen=True, eq=False)
class AttributeColumn:
    """The values of an attribute by item of the vocabulary.

    Attributes:
        kind: a key of ``OPERATORS``.
        values: codes of the item's values, by item index.
        distinct: the value of each code: numbers, dates such as 1990-05-12, or folded texts.
    """

    kind: str
    values: Ragged
    distinct: pa.Array

    def codes(self, operator: str, value: str) -> Bool[np.ndarray, " codes"]:
        """The codes of the values that equal, contain or compare with a value."""
        if self.kind == "number":
            distinct = self.distinct.to_numpy(zero_copy_only=False)
            is_whole = re.fullmatch(rf"[+-]?\d{{1,{MAX_DIGITS}}}", value) is not None
            # Whole numbers beyond 2^53 are not exact as floats.
            return NUMBER_TESTS[operator](distinct, int(value) if is_whole else float(value))
        if self.kind == "date":  # compared to the year, month or day, as the value has it
            periods = np.array([date[: len(value)] for date in self.distinct.to_pylist()], str)
            return NUMBER_TESTS[operator](periods, value)
        (folded,) = _folded(pa.array([value], pa.large_string()))
        if operator == "has" and self.kind == "text":
            options = pc.MatchSubstringOptions(folded.as_py())
            is_match = pc.call_function("match_substring", [self.distinct], options)
        else:
            is_match = pc.call_function("equal", [self.distinct, folded])
        return is_match.to_numpy(zero_copy_only=False)


class ItemAttributes:
    """The attributes of a model's items, read per column on first use.

    Conditions and caps work on them. Text is compared without case and accents.
    """

    def __init__(self, items: Items, vocabulary_size: int) -> None:
        """Nothing is read yet.

        Args:
            items: the items of the model, catalogue first.
            vocabulary_size: number of special tokens and catalogue items.
        """
        self.vocabulary_size = vocabulary_size
        self._table = items.table
        self._columns: dict[str, AttributeColumn] = {}
        self._mask = lru_cache(MAX_STORED_MASKS)(self._compute_mask)
        self._note = lru_cache(MAX_STORED_MASKS)(self._compute_note)

    @cached_property
    def names(self) -> list[str]:
        """The attributes that conditions and caps may name."""
        names = [name for name in self._table.column_names if name not in HIDDEN]
        return [name for name in names if _kind(self._table.schema.field(name).type) is not None]

    def condition(self, text: str) -> Condition:
        """Read a condition such as ``year >= 1990`` or ``genres has Jazz``.

        The attribute and the value may be in quotes, single or double. Without, the attribute
        meant is the longest one that the text begins with, so that names may contain spaces.

        Raises:
            RequestError: no attribute has this name, or what follows is not an operator and a
                value that suits the attribute.
        """
        stripped, shown = text.strip(), f"where is {one_line(repr(text), MAX_SHOWN)}"
        matches = [
            (name, match)
            for name in self._table.column_names
            if name not in HIDDEN and (match := re.match(_named(name), stripped, re.DOTALL))
        ]
        if not matches:
            quoted = re.match(r"""(["'])(.*?)\1""", stripped)
            name = quoted[2] if quoted else stripped.split(maxsplit=1)[0] if stripped else ""
            raise self._unknown(f"{shown}, but the items have no attribute", name)
        name, match = max(matches, key=lambda pair: len(pair[0]))
        kind = _kind(self._table.schema.field(name).type)
        if kind is None:
            dtype = self._table.schema.field(name).type
            message = f"{shown}, but conditions do not support {name}, which is of type {dtype}"
            raise RequestError(message, f"attributes: {', '.join(self.names)}")
        parsed = re.fullmatch(rf"{_OPERATOR}\s*(.*)", match["rest"], re.DOTALL)
        if parsed is None or not parsed[2].strip() or parsed[2][0] in "<>=!":
            operators = ", ".join(OPERATORS[kind])
            raise RequestError(
                f"{shown}, expected an attribute, an operator and a value",
                f"such as {EXAMPLE}; operators of {name}: {operators}",
            )
        operator, value = parsed[1].replace("==", "="), self._value(parsed[2].strip(), shown)
        _check(name, kind, operator, value, shown)
        return Condition(name, operator, value)

    def mask(self, condition: Condition) -> UInt8[np.ndarray, " bytes"]:
        """One bit per item index, 1 for an item that satisfies the condition.

        An item without a value satisfies ``!=`` and ``lacks`` only.
        """
        return self._mask(condition)

    def note(self, condition: Condition) -> str | None:
        """That no item has the text of a condition, which may be misspelt; else None."""
        return self._note(condition)

    def cap(self, attribute: str, limit: Any) -> Cap:
        """A limit on the number of items with the same value of an attribute.

        Raises:
            RequestError: there is no such attribute, or the limit is not an integer above 0.
        """
        if attribute in self._table.column_names and attribute not in self.names:
            raise RequestError(
                f"cap is on {attribute}, whose type {self._table.schema.field(attribute).type} is "
                "not supported",
                f"attributes: {', '.join(self.names)}",
            )
        if attribute not in self.names:
            raise self._unknown("cap is on an attribute that the items do not have:", attribute)
        if not isinstance(limit, int | np.integer) or isinstance(limit, bool) or limit < 1:
            message = f"cap of {attribute} is {limit!r}, expected an integer from 1 up"
            raise RequestError(message, "2 admits at most two items with the same value")
        return Cap(attribute, int(limit), self._column(attribute).values)

    def _value(self, text: str, shown: str) -> str:
        if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
            return text[1:-1]
        names = "|".join(re.escape(name) for name in self.names)
        if re.search(rf"\s(and|or)\s+({names})\s*{_OPERATOR}", text, re.IGNORECASE):
            hint = "give several conditions, all of which must hold, or put the value in quotes"
            raise RequestError(f"{shown}, expected one condition", hint)
        return text

    def _unknown(self, message: str, name: str) -> RequestError:
        if not self.names:
            hint = "the items of this run have no attributes"
        else:
            hint = nearest_hint(name, self.names)
            if hint.startswith("did you mean"):
                hint += f"; attributes: {', '.join(self.names)}"
        return RequestError(f"{message} {one_line(repr(name), MAX_SHOWN)}", hint)

    def _compute_mask(self, condition: Condition) -> UInt8[np.ndarray, " bytes"]:
        column = self._column(condition.attribute)
        is_opposite = condition.operator in OPPOSITES
        operator = OPPOSITES.get(condition.operator, condition.operator)
        is_code = column.codes(operator, condition.value)
        return allowed_bits(column.values.any(is_code[column.values.values]) ^ is_opposite)

    def _compute_note(self, condition: Condition) -> str | None:
        column = self._column(condition.attribute)
        operator = OPPOSITES.get(condition.operator, condition.operator)
        if column.kind in ("number", "date") or column.codes(operator, condition.value).any():
            return None
        message = f"no item has {condition.attribute} {one_line(repr(condition.value), MAX_SHOWN)}"
        if len(column.distinct) > MAX_COMPARED:
            return message
        (folded,) = _folded(pa.array([condition.value], pa.large_string())).to_pylist()
        hint = nearest_hint(folded, column.distinct.to_pylist())
        return f"{message} ({hint})" if hint.startswith("did you mean") else message

    def _column(self, name: str) -> AttributeColumn:
        # Two threads may both read a column: the same result is stored twice.
        if name not in self._columns:
            n_items = self.vocabulary_size - N_SPECIALS
            self._columns[name] = _read_column(self._table.column(name).slice(0, n_items))
        return self._columns[name]


def _named(name: str) -> str:
    """A pattern for a condition on an attribute, whose name may be in quotes."""
    escaped = re.escape(name)
    return rf"""(?:(?P<quote>["']){escaped}(?P=quote)|{escaped}(?!\w))\s*(?P<rest>.*)"""


def _folded(texts: pa.Array) -> pa.Array:
    """Texts without case and accents; each distinct one is folded once."""
    encoded = texts.dictionary_encode()
    distinct = [_fold(text) for text in encoded.dictionary.to_pylist()]
    return pa.array(distinct, pa.large_string()).take(encoded.indices)


def _fold(text: str) -> str:
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    marks = filter(unicodedata.combining, decomposed)
    return unicodedata.normalize("NFKD", decomposed.translate(dict.fromkeys(map(ord, marks))))


def _check(name: str, kind: str, operator: str, value: str, shown: str) -> None:
    """Check that an operator and a value suit the kind of an attribute."""
    if operator not in OPERATORS[kind]:
        hint = f"its operators: {', '.join(OPERATORS[kind])}"
        raise RequestError(f"{shown}, but {name} is a {kind}", hint)
    if kind == "date" and not _DATE.fullmatch(value):
        message = f"{shown}, expected a year, month or day, because {name} is a date"
        raise RequestError(message, f"such as {name} >= 1990 or {name} < 1990-05-12")
    if kind != "number":
        return
    try:
        is_finite = bool(np.isfinite(float(value)))
    except ValueError:
        is_finite = False
    if not is_finite:
        message = f"{shown}, expected a number, because {name} is one"
        raise RequestError(message, f"such as {name} >= 1990")


def _read_column(column: pa.ChunkedArray) -> AttributeColumn:
    """The codes of a column. Special tokens and items without a value have none.

    Missing elements of a list, numbers that are not a number and empty texts are no values.
    """
    kind = str(_kind(column.type))
    array = column.combine_chunks()
    lengths = np.ones(len(array), np.int64)
    if kind == "list":
        lengths = pc.call_function("list_value_length", [array]).fill_null(0).to_numpy()
        array = array.flatten()
    if kind == "number" and not pa.types.is_integer(array.type):
        array = array.cast(pa.float64())
    elif kind == "date":
        array = array.cast(pa.date32(), safe=False).cast(pa.large_string())
    elif kind != "number":
        array = _folded(array.cast(pa.large_string()))
    if kind == "number":
        is_value = pc.call_function("is_finite", [array]).fill_null(False)
    else:
        is_value = pc.call_function("not_equal", [array, pa.scalar("")]).fill_null(False)
    encoded = array.filter(is_value).dictionary_encode()
    rows = np.repeat(np.arange(len(lengths)), lengths)[is_value.to_numpy(zero_copy_only=False)]
    counts = np.bincount(rows, minlength=len(lengths))
    offsets = np.concatenate([np.zeros(N_SPECIALS + 1, np.int64), np.cumsum(counts)])
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(INDEX_DTYPE)
    return AttributeColumn(kind, Ragged(offsets, codes), encoded.dictionary)


def _kind(dtype: pa.DataType) -> str | None:
    """``number``, ``date``, ``text`` (also for ``true`` and ``false``), ``list``; else None.

    Elements of a list are texts or integers, which are compared as text.
    """
    if pa.types.is_dictionary(dtype):
        return _kind(dtype.value_type)
    if pa.types.is_integer(dtype) or pa.types.is_floating(dtype) or pa.types.is_decimal(dtype):
        return "number"
    if pa.types.is_string(dtype) or pa.types.is_large_string(dtype) or pa.types.is_boolean(dtype):
        return "text"
    if pa.types.is_date(dtype) or pa.types.is_timestamp(dtype):
        return "date"
    if pa.types.is_list(dtype) or pa.types.is_large_list(dtype):
        is_text = _kind(dtype.value_type) == "text" or pa.types.is_integer(dtype.value_type)
        return "list" if is_text else None
    return None
