"""The options of ``prepare`` and ``evaluate``: keyword arguments, named as on the command line."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypedDict, runtime_checkable

from segue.config.evaluation import EvaluationConfig, SeenPolicy, TargetChoice, Task, UnknownTargets
from segue.config.loading import leaf_keys, nearest_hint, set_key, validated
from segue.config.preparation import BadTimes, Catalogue, LogFormat, PrepareConfig, SplitKind
from segue.config.section import ConfigSectionT
from segue.errors import ConfigError


@runtime_checkable
class ArrowStream(Protocol):
    """A table in memory: a data frame, a pyarrow table or reader, a DuckDB relation."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Export the table through the Arrow C stream interface."""
        ...


class PrepareOptions(TypedDict, total=False):
    """The options of ``prepare``: the keys of ``PrepareConfig``, without their sections."""

    format: LogFormat | None
    split: SplitKind | None
    catalogue: Catalogue
    validation_share: float | None
    test_share: float
    window: int
    seed: int
    min_item_events: int
    min_sequence_events: int
    min_rating: float | None
    event_type: Iterable[str]
    event_weight: Iterable[str]
    session_gap: float | str | None
    drop_consecutive_repeats: bool
    user_column: str | None
    item_column: str | None
    time_column: str | None
    rating_column: str | None
    event_column: str | None
    columns: str | Iterable[str]
    header: bool | None
    separator: str | None
    quote: str | None
    escape: str | None
    comment: str | None
    encoding: str | None
    bad_times: BadTimes
    items_file: str | os.PathLike[str] | ArrowStream | None
    memory_limit: int | str
    sequences: int
    items: int
    mean_length: int


class EvaluationOptions(TypedDict, total=False):
    """The options of ``evaluate``: the keys of ``EvaluationConfig``."""

    task: Task | None
    seen: SeenPolicy | None
    unknown_targets: UnknownTargets
    targets: TargetChoice | None
    ks: Iterable[int] | None
    given: Iterable[int] | None
    given_random: Iterable[int] | None
    list_length: int | None
    max_sequences: int | None
    beyond_accuracy: bool
    resamples: int
    seed: int


_FIELD_NAMES = {"split": "kind", "session_gap": "session_gap_s"}
"""Names of the fields that have another name than their option."""

PREPARE_KEYS = {
    option: tuple(
        key
        for key in leaf_keys(PrepareConfig)
        if key.split(".")[-1] == _FIELD_NAMES.get(option, option)
    )
    for option in PrepareOptions.__annotations__
}
"""The dotted keys of ``PrepareConfig`` that each option of ``prepare`` sets. ``seed`` sets two."""

EVALUATION_KEYS = {option: (option,) for option in EvaluationOptions.__annotations__}
"""The key of ``EvaluationConfig`` that each option of ``evaluate`` sets."""

EVALUATE_ARGUMENTS = (
    "part",
    "baselines",
    "fit_on_validation",
    "use_sequence_features",
    "without_ensemble",
    "members",
    "tune",
)
"""Keyword arguments of ``evaluate`` that are not options, suggested if one is misspelt."""


def prepare_config(config: PrepareConfig | None, options: Mapping[str, Any]) -> PrepareConfig:
    """The configuration of a call of ``prepare``: ``config``, by default the defaults, changed.

    Raises:
        ConfigError: an option is unknown or has an impossible value.
    """
    return _with_options(config or PrepareConfig(), options, PREPARE_KEYS)


def evaluation_config(
    config: EvaluationConfig | None, options: Mapping[str, Any]
) -> EvaluationConfig:
    """The configuration of a call of ``evaluate``; see ``prepare_config``.

    Raises:
        ConfigError: an option is unknown or has an impossible value.
    """
    return _with_options(
        config or EvaluationConfig(), options, EVALUATION_KEYS, arguments=EVALUATE_ARGUMENTS
    )


def _with_options(
    config: ConfigSectionT,
    options: Mapping[str, Any],
    keys: Mapping[str, tuple[str, ...]],
    *,
    arguments: tuple[str, ...] = (),
) -> ConfigSectionT:
    values = config.model_dump()
    for name, value in options.items():
        if name not in keys:
            raise ConfigError(f"unknown option {name!r}", nearest_hint(name, [*keys, *arguments]))
        for key in keys[name]:
            set_key(values, key, value)
    return validated(type(config), values)
