"""Which cases of a large group are fast."""

from __future__ import annotations

from itertools import product

from slow_cases import representatives


def test_all_values_of_both_parameters_are_chosen() -> None:
    cases = [{"row": row, "column": column} for row, column in product(range(6), range(4))]
    chosen = [cases[number] for number in representatives(cases, 6)]
    assert {case["row"] for case in chosen} == set(range(6))
    assert {case["column"] for case in chosen} == set(range(4))


def test_cases_of_one_parameter_are_the_first() -> None:
    assert representatives([{"value": number} for number in range(9)], 3) == [0, 1, 2]


def test_no_case_is_chosen_twice() -> None:
    assert sorted(representatives([{"a": 0}, {"a": 0}, {"a": 1}], 3)) == [0, 1, 2]
