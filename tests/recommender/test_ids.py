"""Ids from any iterable: what is accepted, and what is refused with which message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from segue.errors import RequestError
from segue.recommender import Recommender
from segue.recommender.ids import histories_of, id_string, id_strings, one_per_history


class Column:
    """A column of a data frame as far as an iteration goes: one dimension, NumPy scalars."""

    ndim = 1

    def __init__(self, values: list[Any]) -> None:
        self._values = np.array(values)

    def __iter__(self) -> Any:
        return iter(self._values)


class Frame:
    """A data frame: its iteration gives names of columns, not values."""

    columns = ("item_id",)

    def __iter__(self) -> Any:
        return iter(self.columns)


@pytest.mark.parametrize("values", [
    ["1", "22"], [1, 22], ("1", 22), np.array([1, 22]), np.array(["1", "22"]),
    np.array([1, 22], np.uint8), pa.array([1, 22]), pa.array(["1", "22"]),
    pa.chunked_array([["1"], ["22"]]), Column([1, 22]), Column(["1", "22"]), iter([1, "22"]),
    [" 1", "22\u00a0"], ["1.0", "22.00"], [1.0, 22.0], np.array([1, 22], np.float32),
    pa.array([1.0, 22.0]), range(1, 23, 21), (value for value in ("1", "22")),
    map(int, ("1", "22")),
])  # fmt: skip
def test_ids_become_a_list_of_strings(values: Any) -> None:
    ids = id_strings(values)
    assert ids == ["1", "22"]
    assert all(type(item_id) is str for item_id in ids)


@pytest.mark.parametrize("values", [[], (), np.array([], np.int64), pa.array([], pa.string())])
def test_an_empty_history_is_empty(values: Any) -> None:
    assert id_strings(values) == []


@pytest.mark.parametrize(("values", "message"), [
    ("1193", "items is the single value '1193', expected a list"),
    (7, "items is the single value 7, expected a list"),
    (b"7", "items is the single value b'7', expected a list"),
    (None, "items is of type NoneType, expected a list"),
    (7.0, "items is of type float, expected a list"),
    ({"7": 1}, "items is a dict, which has no order"),
    ({"7", "8"}, "items is a set, which has no order"),
    (np.array([[1, 2]]), "items has 2 dimensions, expected one"),
    (Frame(), r"items is a table \(Frame\), expected one column"),
    (pa.table({"item_id": ["7"]}), r"items is a table \(Table\), expected one column"),
    ([7.5], "item id 7.5 is not a whole number, expected a string or an integer"),
    ([float("inf")], "item id inf is not a whole number"),
    ([2.0**53], "item id 9007199254740992.0 is a float so large that its last digits may be lost"),
    ([float("nan")], "item id nan stands for a missing id"),
    (["7", " NULL "], "item id ' NULL ' stands for a missing id"),
    ([""], "item id '' stands for a missing id"),
    ([b"7"], "item id b'7' is of type bytes"),
    ([True], "item id True is of type bool"),
    ([None], "item id .*None.* stands for a missing id"),
    (["7", ["8"]], r"item id \['8'\] is of type list"),
    (pa.array(["7", None]), "item id .*None.* stands for a missing id"),
    (np.array([1.5]), "item id .*1.5.* is not a whole number"),
])  # fmt: skip
def test_other_values_are_refused(values: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        id_strings(values)


def test_a_large_integer_keeps_every_digit() -> None:
    assert id_string(2**63 + 1, "user") == "9223372036854775809"
    assert id_string(np.int64(-5), "user") == "-5"


@pytest.mark.parametrize(("values", "histories", "has_many"), [
    ([], [[]], False),
    (["1", 2], [["1", "2"]], False),
    ((value for value in ("1", "2")), [["1", "2"]], False),
    (np.array([1, 2]), [["1", "2"]], False),
    (pa.array([1, 2]), [["1", "2"]], False),
    ([["1", "2"], [], (3,)], [["1", "2"], [], ["3"]], True),
    ([[]], [[]], True),
    ((iter([value]) for value in (1, 2)), [["1"], ["2"]], True),
    (np.array([[1, 2], [3, 4]]), [["1", "2"], ["3", "4"]], True),
    (pa.array([["1"], ["2", "3"]]), [["1"], ["2", "3"]], True),
])  # fmt: skip
def test_one_history_or_many(values: Any, histories: list[list[str]], has_many: bool) -> None:
    assert histories_of(values) == (histories, has_many)


@pytest.mark.parametrize(("values", "message"), [
    ("1193", "items is the single value '1193'"),
    ([["1"], "2"], r"items\[1\] is the single value '2'"),
    ([["1"], {"2"}], r"items\[1\] is a set, which has no order"),
    ({"1", "2"}, "items is a set, which has no order"),
    (pa.table({"item_id": ["7"]}), "items is a table"),
    (7, "items is the single value 7"),
])  # fmt: skip
def test_neither_one_history_nor_many(values: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        histories_of(values)


def test_an_argument_has_one_value_per_history() -> None:
    assert one_per_history("user", "a", 1, has_many=False) == ["a"]
    assert one_per_history("user", None, 2, has_many=True) == [None, None]
    assert one_per_history("user", ("a", None), 2, has_many=True) == ["a", None]
    for value in ("ab", ["a"], {"a": 1, "b": 2}):
        with pytest.raises(RequestError, match=r"expected a list with one value per history \(2\)"):
            one_per_history("user", value, 2, has_many=True)


def test_a_batch_without_histories_is_no_history(cycle_run: Path) -> None:
    model = Recommender.load(cycle_run)
    assert model.recommend(np.zeros((0, 5), int), k=3) == []
    assert len(model.recommend([], k=3)) == 3  # one empty history


@pytest.mark.parametrize("k", [5.0, "5", True, None])
def test_k_is_an_integer(cycle_run: Path, k: Any) -> None:
    with pytest.raises(RequestError, match=r"k is .*, expected an integer"):
        Recommender.load(cycle_run)._check_count("k", k)
