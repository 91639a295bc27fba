"""Values of options, and that choices are those of the configuration."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.cli import evaluate_options, prepare_options
from segue.cli.options import about, counts, cutoffs, duration_s, item_ids, size_bytes, words
from segue.config import EvaluationConfig, Part, SourceConfig, SplitConfig
from segue.errors import RequestError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("30m", 1800), ("2h", 7200), ("1.5d", 129_600), (" 1 m ", 60)],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"), [("1KB", 1000), ("600MB", 600_000_000), ("2gb", 2 * 10**9), ("10B", 10)]
)
def test_sizes_are_powers_of_ten(text: str, size: int) -> None:
    assert size_bytes(text) == size


@pytest.mark.parametrize("text", ["", "30", "m", "-1m", "0m", "1 week", "1e3s", "nan h", "30m30s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="as in 30m"):
        duration_s(text)


@pytest.mark.parametrize("text", ["", "2", "GB", "2GiB", "-2GB", "0GB", "2 GB RAM"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="as in 2GB"):
        size_bytes(text)


@given(st.lists(st.integers(1, 10**6), min_size=1))
def test_cutoffs_are_read_as_written(numbers: list[int]) -> None:
    assert cutoffs(",".join(map(str, numbers))) == tuple(numbers)


@pytest.mark.parametrize("text", ["", "a", "5,,10", "0", "5,-1", "1.5"])
def test_what_are_no_cutoffs(text: str) -> None:
    with pytest.raises(ValueError, match="as in 5,10,20"):
        cutoffs(text)


@given(st.lists(st.integers(0, 10**6), min_size=1))
def test_counts_may_be_nothing(numbers: list[int]) -> None:
    assert counts(",".join(map(str, numbers))) == tuple(numbers)


@pytest.mark.parametrize("text", ["", "a", "0,", "-1", "0.5"])
def test_what_are_no_counts(text: str) -> None:
    with pytest.raises(ValueError, match="from 0 on, as in 0,1,5"):
        counts(text)


def test_words_and_ids() -> None:
    assert words(" a, b c ,,d") == ["a", "b c", "d"]
    assert item_ids("a, b", ["c,d", " e "]) == ["a", "b", "c,d", " e "]
    assert item_ids(None, None) == item_ids(None, []) == []


@pytest.mark.parametrize(
    ("items", "item"), [("", None), (" , ", ["a"]), (None, ["a", ""]), ("a", [" "])]
)
def test_an_empty_id_is_refused(items: str | None, item: list[str] | None) -> None:
    with pytest.raises(RequestError, match="an item id is empty"):
        item_ids(items, item)


@pytest.mark.parametrize(
    ("title", "known"), [(None, {}), ("", {}), (" ", {}), ("rain", {"name": "rain"})]
)
def test_an_empty_title_is_none(title: str | None, known: dict[str, str]) -> None:
    assert about(title, None) == known


def choices(annotation: Any) -> set[str]:
    """The words of a Literal, wherever in an annotation it is."""
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    if get_origin(annotation) is Annotated:
        return choices(get_args(annotation)[0])
    return set().union(*(choices(inner) for inner in get_args(annotation)))


@pytest.mark.parametrize(
    ("option", "part", "key"),
    [
        (prepare_options.Format, SourceConfig, "format"),
        (prepare_options.Split, SplitConfig, "kind"),
        (prepare_options.Catalogue, SplitConfig, "catalogue"),
        (evaluate_options.Task, EvaluationConfig, "task"),
        (evaluate_options.Seen, EvaluationConfig, "seen"),
        (evaluate_options.UnknownTargets, EvaluationConfig, "unknown_targets"),
        (evaluate_options.Targets, EvaluationConfig, "targets"),
    ],
)
def test_choices_are_those_of_the_configuration(option: Any, part: type[Part], key: str) -> None:
    assert choices(option)
    assert choices(option) == choices(part.model_fields[key].annotation)
