"""Parsers of option values; choices of options agree with the configuration."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.cli import evaluate, prepare
from segue.cli.options import (
    item_ids,
    parse_counts,
    parse_cutoffs,
    parse_duration,
    parse_names,
    parse_size,
    sequence_features,
)
from segue.config import ConfigSection, EvaluationConfig, SourceConfig, SplitConfig
from segue.errors import RequestError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("30m", 1800), ("2h", 7200), ("1.5d", 129_600), (" 1 m ", 60)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"), [("1KB", 1000), ("600MB", 600_000_000), ("2gb", 2 * 10**9), ("10B", 10)]
)
def test_sizes_are_powers_of_ten(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "30", "m", "-1m", "0m", "1 week", "1e3s", "nan h", "30m30s"])
def test_invalid_durations(text: str) -> None:
    with pytest.raises(ValueError, match="as in 30m"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "2", "GB", "2GiB", "-2GB", "0GB", "2 GB RAM"])
def test_invalid_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="as in 2GB"):
        parse_size(text)


@given(st.lists(st.integers(1, 10**6), min_size=1))
def test_cutoffs_are_read_as_written(numbers: list[int]) -> None:
    assert parse_cutoffs(",".join(map(str, numbers))) == tuple(numbers)


@pytest.mark.parametrize("text", ["", "a", "5,,10", "0", "5,-1", "1.5"])
def test_invalid_cutoffs(text: str) -> None:
    with pytest.raises(ValueError, match="integers of at least 1, as in 5,10,20"):
        parse_cutoffs(text)


@given(st.lists(st.integers(0, 10**6), min_size=1))
def test_counts_may_be_zero(numbers: list[int]) -> None:
    assert parse_counts(",".join(map(str, numbers))) == tuple(numbers)


@pytest.mark.parametrize("text", ["", "a", "0,", "-1", "0.5"])
def test_invalid_counts(text: str) -> None:
    with pytest.raises(ValueError, match="integers of at least 0, as in 0,1,5"):
        parse_counts(text)


def test_names_and_item_ids() -> None:
    assert parse_names(" a, b c ,,d") == ["a", "b c", "d"]
    assert item_ids("a, b", ["c,d", " e "]) == ["a", "b", "c,d", " e "]
    assert item_ids(None, None) == item_ids(None, []) == []


@pytest.mark.parametrize(
    ("items", "item"), [("", None), (" , ", ["a"]), (None, ["a", ""]), ("a", [" "])]
)
def test_an_empty_item_id_is_an_error(items: str | None, item: list[str] | None) -> None:
    with pytest.raises(RequestError, match="an item id is empty"):
        item_ids(items, item)


@pytest.mark.parametrize(
    ("title", "features"), [(None, {}), ("", {}), (" ", {}), ("rain", {"name": "rain"})]
)
def test_a_blank_title_is_no_feature(title: str | None, features: dict[str, str]) -> None:
    assert sequence_features(title, None) == features


def choices(annotation: Any) -> set[str]:
    """The values of all Literals in an annotation."""
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    if get_origin(annotation) is Annotated:
        return choices(get_args(annotation)[0])
    return set().union(*(choices(inner) for inner in get_args(annotation)))


@pytest.mark.parametrize(
    ("option", "section", "key"),
    [
        (prepare.Format, SourceConfig, "format"),
        (prepare.Split, SplitConfig, "kind"),
        (prepare.Catalogue, SplitConfig, "catalogue"),
        (evaluate.Task, EvaluationConfig, "task"),
        (evaluate.Seen, EvaluationConfig, "seen"),
        (evaluate.UnknownTargets, EvaluationConfig, "unknown_targets"),
        (evaluate.Targets, EvaluationConfig, "targets"),
    ],
)
def test_choices_are_those_of_the_configuration(
    option: Any, section: type[ConfigSection], key: str
) -> None:
    assert choices(option)
    assert choices(option) == choices(section.model_fields[key].annotation)
