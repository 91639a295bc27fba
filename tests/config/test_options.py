"""The options of ``prepare`` and ``evaluate``: keywords that change a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from segue.config import (
    EvaluationConfig,
    EvaluationOptions,
    PrepareConfig,
    evaluation_config,
    prepare_config,
)
from segue.config.loading import leaf_keys
from segue.config.options import EVALUATION_KEYS, PREPARE_KEYS
from segue.errors import ConfigError


def value_at(config: PrepareConfig, key: str) -> Any:
    value: Any = config
    for name in key.split("."):
        value = getattr(value, name)
    return value


def test_the_options_set_every_key() -> None:
    set_keys = [key for keys in PREPARE_KEYS.values() for key in keys]
    assert sorted(set_keys) == sorted(leaf_keys(PrepareConfig))
    assert list(EvaluationOptions.__annotations__) == list(EvaluationConfig.model_fields)
    assert EVALUATION_KEYS.keys() == EvaluationConfig.model_fields.keys()


@pytest.mark.parametrize(
    ("option", "value", "key", "stored"),
    [
        ("format", "tabular", "source.format", "tabular"),
        ("split", "holdout", "split.kind", "holdout"),
        ("catalogue", "all", "split.catalogue", "all"),
        ("min_item_events", 5, "filters.min_item_events", 5),
        ("session_gap", "30m", "filters.session_gap_s", 1800.0),
        ("session_gap", 90, "filters.session_gap_s", 90.0),
        ("memory_limit", "600MB", "source.memory_limit", 600_000_000),
        ("memory_limit", 1000, "source.memory_limit", 1000),
        ("items_file", Path("titles.csv"), "source.items_file", "titles.csv"),
        ("event_type", ["buy", "view"], "source.event_type", ("buy", "view")),
        ("mean_length", 12, "source.demo.mean_length", 12),
        ("seed", 7, "split.seed", 7),
        ("seed", 7, "source.demo.seed", 7),
    ],
)
def test_an_option_sets_its_key(option: str, value: Any, key: str, stored: Any) -> None:
    config = prepare_config(None, {option: value})
    assert value_at(config, key) == stored
    assert type(value_at(config, key)) is type(stored)
    for unchanged in set(leaf_keys(PrepareConfig)) - set(PREPARE_KEYS[option]):
        assert value_at(config, unchanged) == value_at(PrepareConfig(), unchanged)


def test_options_take_precedence_over_a_configuration() -> None:
    config = prepare_config(None, {"min_rating": 3, "seed": 4})
    changed = prepare_config(config, {"seed": 5})
    assert (changed.split.seed, changed.filters.min_rating) == (5, 3)
    evaluation = evaluation_config(EvaluationConfig(ks=(3,), seed=1), {"ks": [5, 10]})
    assert evaluation == EvaluationConfig(ks=(5, 10), seed=1)


def test_one_kind_of_given_events_alone_excludes_the_other() -> None:
    def given(**options: Any) -> tuple[Any, Any]:
        config = evaluation_config(None, options)
        return config.given, config.given_random

    assert given() == (None, None)
    assert given(given=[0, 5]) == ((0, 5), ())
    assert given(given_random=[3]) == ((), (3,))
    assert given(given=[1], given_random=[3]) == ((1,), (3,))
    assert given(given=()) == ((), None)


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"splti": "holdout"}, "unknown option 'splti'", "did you mean 'split'?"),
        ({"kind": "holdout"}, "unknown option 'kind'", ""),
        ({"split": "hold"}, "configuration split.kind: .*'holdout'.*got 'hold'", ""),
        ({"session_gap": "30"}, "filters.session_gap_s: .*as in 30m, got '30'", ""),
        ({"session_gap": 0}, "filters.session_gap_s: .*greater than 0", ""),
        ({"memory_limit": "2 apples"}, "source.memory_limit: .*as in 2GB, got '2 apples'", ""),
        ({"event_type": "buy"}, "source.event_type: .*tuple, got 'buy'", ""),
        ({"min_item_events": 0}, "filters.min_item_events: .*greater than 0, got 0", ""),
        ({"separator": ""}, "source.separator: this cannot separate columns", ""),
        ({"separator": "\n"}, "source.separator: this cannot separate columns", ""),
        ({"quote": "ab"}, "source.quote: expected a single character, got 'ab'", ""),
        ({"escape": "xx"}, "source.escape: expected a single character, got 'xx'", ""),
        ({"encoding": "base64"}, "source.encoding: expected an encoding of text", ""),
        ({"columns": "user"}, "source.columns: expected the names of at least two columns", ""),
        ({"min_rating": float("nan")}, "filters.min_rating: .*finite number, got nan", ""),
        ({"session_gap": float("inf")}, "filters.session_gap_s: .*finite number, got inf", ""),
        ({"items_file": ["a"]}, "source.items_file: ", ""),
        ({"items": 150}, "source.demo: items 150 are too few", ""),
    ],
)
def test_a_wrong_option_of_prepare_is_one_line(
    options: dict[str, Any], message: str, hint: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        prepare_config(None, options)
    assert hint in caught.value.hint
    assert "\n" not in str(caught.value)


def test_a_wrong_option_of_evaluate_is_one_line() -> None:
    with pytest.raises(ConfigError, match="unknown option 'max_sequence'") as caught:
        evaluation_config(None, {"max_sequence": 3})
    assert caught.value.hint == "did you mean 'max_sequences'?"
    with pytest.raises(ConfigError, match="unknown option 'basline'") as caught:
        evaluation_config(None, {"basline": None})
    assert caught.value.hint == "did you mean 'baselines'?"
    with pytest.raises(ConfigError, match=r"configuration ks: .*tuple, got 5"):
        evaluation_config(None, {"ks": 5})
