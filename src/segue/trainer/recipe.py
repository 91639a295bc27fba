"""The default recipe: a configuration chosen from the statistics of a dataset, with reasons."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from segue.config import Config, resolve_config
from segue.config.loading import dotted_key
from segue.config.quantities import to_seconds
from segue.config.training import MemberName
from segue.dataset import Dataset
from segue.dataset.training_events import readable_lengths
from segue.errors import ConfigError, quantity

DEFAULT_BUDGET_S = 1_800.0
"""Core-seconds of a run: 15 minutes of two cores."""
COVERED_SHARE = 0.9
"""Share of the sequences whose events fit into the context."""
MIN_CONTEXT, MAX_CONTEXT = 5, 50
"""Longer contexts take more time per event and gain nothing within minutes."""
MAX_CONTINUED_CONTEXT = 100
"""The same for sequences of rare items: what they are about takes many events to say."""
EVENTS_PER_BATCH = 800
"""Labels per batch. Many small updates learn faster than few large ones: docs/experiments.md."""
MIN_BATCH_SIZE, MAX_BATCH_SIZE = 16, 256
MANY_ITEMS = 30_000
"""Items from which the softmax is sampled and the updates of the embeddings are sparse: exact, they
take longer than all the rest of a step."""
MAX_LINEAR_ITEMS = 20_000
"""Largest catalogue with linear members, whose fit takes time with the cube of the items."""
MAX_PURESVD_ITEMS = 200_000
"""Largest catalogue with PureSVD, whose item vectors take 2 kB each."""
MAX_SECOND_SEQUENCES = 100_000
"""Most sequences with a second transformer, whose embedding of each has a dense update per step."""
FEW_EVENTS = 50
"""Training events per item below which a transformer overfits within a few epochs."""
RARE_EVENTS = 10
"""Training events per item below which, where whole sequences are held out, a label is one of
several next events: which one exactly comes next cannot be learned."""
HORIZON = 20
INITIALISATION = "singular-vectors"
RARE_LEARNING_RATE_SCALE = 0.2
"""For sparse updates of the embeddings of rare items, which begin as singular vectors: with few
events of each, they are better left near these. docs/experiments.md."""
SECOND_CONTEXT = 5
"""Events that the second transformer reads: the embedding of the user stands for the earlier ones.
"""
MIN_STEPS = 300
"""Steps that even the smallest log is trained for."""
VALIDATION_SEQUENCES = 200
"""Of held-out sequences, each with many targets."""
SMALL_BUDGET_S = 300.0
"""Budget below which there are fewer members, and few steps, which need a higher learning rate."""
SECONDS_PER_TRIAL, MAX_TRIALS = 60.0, 20
"""Core-seconds of the budget per set of parameters that is tried, and most sets per member."""
FIT_SHARE = 0.02
"""Share of the budget for the fits of a member."""


class Recipe(NamedTuple):
    """A configuration and why it was chosen.

    Attributes:
        config: the configuration.
        reasons: one line per group of settings.
    """

    config: Config
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Statistics:
    """What the default recipe depends on.

    Attributes:
        n_sequences: sequences with training events.
        n_events: training events.
        n_items: items of the catalogue.
        n_candidates: items that may be recommended.
        covering_length: a length, in events, that ``COVERED_SHARE`` of the sequences do not exceed.
        holds_out_sequences: whether the split holds out whole sequences.
        window: the events that a target is predicted from, if the split limits them.
        item_columns: attributes of the items.
        sequence_columns: attributes of the sequences.
    """

    n_sequences: int
    n_events: int
    n_items: int
    n_candidates: int
    covering_length: int
    holds_out_sequences: bool
    window: int | None
    item_columns: tuple[str, ...]
    sequence_columns: tuple[str, ...]

    @property
    def continues_rare_items(self) -> bool:
        """Whether whole sequences are held out of a catalogue of rare items, such as playlists."""
        return self.holds_out_sequences and self.n_events < RARE_EVENTS * self.n_items

    @classmethod
    def of(cls, data: Dataset) -> Statistics:
        """The statistics of the training part of a dataset."""
        lengths = readable_lengths(data.sequences)
        lengths = lengths[lengths > 0]
        quantile = np.quantile(lengths, COVERED_SHARE, method="higher") if len(lengths) else 1
        return cls(
            n_sequences=len(lengths),
            n_events=int(lengths.sum()),
            n_items=data.n_catalogue,
            n_candidates=data.n_candidates,
            covering_length=int(quantile),
            holds_out_sequences=data.split_rule.whole_sequences,
            window=data.split_rule.window,
            item_columns=tuple(data.items.table.column_names),
            sequence_columns=tuple(data.sequences.attributes.column_names),
        )


@dataclass(frozen=True)
class GivenOptions:
    """The options of ``train`` that determine the configuration."""

    preset: str | None = None
    config: Config | str | os.PathLike[str] | None = None
    budget: float | int | str | None = None
    ensemble: bool | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        """Whether any of them was given."""
        return self != GivenOptions()


def choose_recipe(data: Dataset, given: GivenOptions) -> Recipe:
    """The configuration of a run: the default recipe of its dataset, or exactly what is given.

    Raises:
        ConfigError: an option is invalid.
    """
    statistics = Statistics.of(data)
    changes = {dotted_key(key): value for key, value in given.changes.items()}
    if given.budget is not None:
        changes["training.budget_s"] = given.budget
    budget_s = changes.get("training.budget_s")
    if budget_s is not None:
        changes["training.budget_s"] = budget_s = budget_seconds(budget_s)
    if given.ensemble is False:
        changes |= {
            "ensemble.members": (),
            "ensemble.second_context": 0,
            "ensemble.puresvd_factors": 0,
        }
    if given.preset is None and given.config is None:
        return default_recipe(statistics, changes)
    if given.ensemble:
        settings, _ = _members(statistics, budget_s or DEFAULT_BUDGET_S)
        del settings["ensemble.second_context"]
        changes = settings | {"ensemble.puresvd_factors": 0} | changes
    return Recipe(resolve_config(given.preset, given.config, changes), ())


def default_recipe(statistics: Statistics, changes: Mapping[str, Any]) -> Recipe:
    """The recipe for a dataset.

    Args:
        statistics: of the dataset.
        changes: values by dotted configuration key, which stay as they are; the rest is chosen.
    """
    budget_s = changes.get("training.budget_s") or DEFAULT_BUDGET_S
    choices = [
        _batches(statistics),
        _catalogue(statistics, changes),
        _model(statistics, budget_s),
        _members(statistics, budget_s),
    ]
    settings = {key: value for chosen, _ in choices for key, value in chosen.items()}
    if not changes.keys() & {"training.max_steps", "training.epochs"}:
        settings["training.budget_s"] = budget_s
    elif changes.get("training.budget_s") is None:
        settings["ensemble.second_context"] = 0  # nothing would limit its time
    config = resolve_config(None, None, settings | dict(changes))
    reasons = [_with_given(reason, chosen, changes) for chosen, reason in choices[:-1]]
    if config.ensemble.is_fitted:
        reasons.append(_with_given(choices[-1][1], choices[-1][0], changes))
    return Recipe(config, tuple(reasons))


def _with_given(reason: str, chosen: Mapping[str, Any], changes: Mapping[str, Any]) -> str:
    """A reason, with the keys of its group that were given instead of chosen."""
    given = [f"{key} {changes[key]} as given" for key in chosen if key in changes]
    return "; ".join([reason, *given])


def default_members(
    statistics: Statistics, budget_s: float = DEFAULT_BUDGET_S
) -> tuple[MemberName, ...]:
    """The count-based and linear models that are tried beside the transformer."""
    if statistics.n_items > MAX_PURESVD_ITEMS:
        return ("co-occurrence", "item-knn")
    if statistics.n_items > MAX_LINEAR_ITEMS:
        return ("co-occurrence", "item-knn", "puresvd")
    if budget_s < SMALL_BUDGET_S:
        return ("co-occurrence", "tale")
    return ("co-occurrence", "ease", "tale")


_Choice = tuple[dict[str, Any], str]


def _batches(statistics: Statistics) -> _Choice:
    longest = MAX_CONTINUED_CONTEXT if statistics.continues_rare_items else MAX_CONTEXT
    context = min(max(statistics.window or statistics.covering_length, MIN_CONTEXT), longest)
    mean_length = min(context, statistics.n_events / max(statistics.n_sequences, 1))
    rows = int(EVENTS_PER_BATCH / max(mean_length, 1))
    batch_size = min(max(rows, MIN_BATCH_SIZE), MAX_BATCH_SIZE)
    is_small = statistics.n_events < FEW_EVENTS * statistics.n_items
    steps_per_epoch = -(-statistics.n_sequences // batch_size)
    epochs = max(20, -(-MIN_STEPS // max(steps_per_epoch, 1))) if is_small else 100
    settings: dict[str, Any] = {
        "model.context": context,
        "model.dropout": 0.3 if is_small else 0.2,
        "training.batch_size": batch_size,
        "training.epochs": epochs,
    }
    if statistics.n_candidates < 10:  # the default, NDCG@10, needs as many
        settings["training.validation_metric"] = "mrr"
    reason = (
        f"context {context}, {batch_size} rows per batch: {COVERED_SHARE:.0%} of the "
        f"{quantity(statistics.n_sequences, 'sequence')} have at most "
        f"{quantity(statistics.covering_length, 'event')}; dropout {settings['model.dropout']} for "
        f"{statistics.n_events / statistics.n_items:.3g} events per item"
    )
    return settings, reason


def _catalogue(statistics: Statistics, changes: Mapping[str, Any]) -> _Choice:
    n_items = quantity(statistics.n_items, "item")
    loss = changes.get("loss.kind", "sampled-softmax")
    if statistics.n_items < MANY_ITEMS or loss != "sampled-softmax":
        return {"loss.kind": "softmax"}, f"exact softmax and dense updates: {n_items}"
    settings = {
        "loss.kind": "sampled-softmax",
        "loss.negatives": 2048,
        "loss.negative_sampler": "log-uniform",
        "optimizer.embedding_updates": "sparse",
        "training.unknown_rate": "good-turing",
    }
    reason = f"2,048 sampled negatives and sparse updates: {n_items}"
    starts_as_vectors = changes.get("model.initialisation", INITIALISATION) == INITIALISATION
    is_sparse = changes.get("optimizer.embedding_updates") != "dense"
    if statistics.continues_rare_items and starts_as_vectors and is_sparse:
        settings["optimizer.sparse_learning_rate_scale"] = RARE_LEARNING_RATE_SCALE
        reason += f", {RARE_LEARNING_RATE_SCALE} of the learning rate for rare ones"
    return settings, reason


def _model(statistics: Statistics, budget_s: float) -> _Choice:
    settings: dict[str, Any] = {
        "model.layers": 2,
        "model.heads": 2,
        "model.width": 128,
        "model.feed_forward": 256,
        "model.initialisation": INITIALISATION,
        "optimizer.learning_rate": 4e-3 if budget_s < SMALL_BUDGET_S else 2e-3,
        "optimizer.schedule": "cosine",
        "optimizer.warmup_steps": 100,
    }
    reasons = ["2 layers of width 128, embeddings from singular vectors"]
    if not statistics.holds_out_sequences:
        return settings, reasons[0]
    settings["training.validation_sequences"] = VALIDATION_SEQUENCES
    features = [name for name in ("artist",) if name in statistics.item_columns]
    names = [name for name in ("name",) if name in statistics.sequence_columns]
    if features:
        settings["model.item_features"] = features
        reasons.append(f"item features {', '.join(features)}")
    if names:
        settings |= {"model.sequence_features": names, "training.feature_dropout": 0.3}
        reasons.append(f"sequence features {', '.join(names)}")
    if statistics.continues_rare_items:
        settings |= {"training.horizon": HORIZON, "optimizer.learning_rate": 1e-3}
        reasons.append(f"labels from the next {HORIZON} events, because items are rare")
    return settings, "; ".join(reasons)


def _members(statistics: Statistics, budget_s: float) -> _Choice:
    members = default_members(statistics, budget_s)
    trials = min(max(int(budget_s / SECONDS_PER_TRIAL), 1), MAX_TRIALS)
    # Where whole sequences are held out, no user is known; large tables make steps slow.
    has_second = (
        not statistics.holds_out_sequences
        and statistics.n_items < MANY_ITEMS
        and statistics.n_sequences <= MAX_SECOND_SEQUENCES
    )
    second_context = min(SECOND_CONTEXT, statistics.window or SECOND_CONTEXT) * has_second
    settings = {
        "ensemble.members": members,
        "ensemble.second_context": second_context,
        "ensemble.trials": trials,
        "ensemble.max_fit_s": FIT_SHARE * budget_s,
    }
    reason = (
        f"ensemble with {', '.join(members)}: {quantity(trials, 'set')} of parameters tried per "
        "member, and weights fitted, on the validation part"
    )
    if second_context:
        reason += f"; a second transformer reads the last {second_context} events and the user"
    return settings, reason


def budget_seconds(budget: float | int | str) -> float:
    """The core-seconds of a budget given as a number or as text such as ``30m``.

    Raises:
        ConfigError: it is no such text, or not above 0.
    """
    try:
        seconds = float(to_seconds(budget))
    except ValueError as error:
        raise ConfigError(f"budget {budget!r}: {error}") from None
    if not 0 < seconds < float("inf"):
        raise ConfigError(f"budget is {budget!r}, expected core-seconds above 0", "30m is usual")
    return seconds
