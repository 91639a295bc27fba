"""The default recipe: what it chooses from the statistics of a dataset, and what stays as given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from segue.config import Config, load_config
from segue.dataset import Dataset
from segue.errors import ConfigError
from segue.trainer.recipe import (
    DEFAULT_BUDGET_S,
    GivenOptions,
    Statistics,
    choose_recipe,
    default_recipe,
)

MOVIES = Statistics(
    n_sequences=6_040,
    n_events=987_531,
    n_items=3_416,
    n_candidates=3_416,
    covering_length=390,
    holds_out_sequences=False,
    window=None,
    item_columns=("title", "genres"),
    sequence_columns=(),
)


@pytest.mark.parametrize(
    "statistics",
    [
        MOVIES,
        replace(MOVIES, n_sequences=1, n_events=1, covering_length=1),
        replace(MOVIES, n_items=2, n_candidates=2, n_sequences=3, n_events=6, covering_length=2),
        replace(MOVIES, n_items=2_262_292, n_sequences=800_000, covering_length=120),
        replace(MOVIES, window=5),
        replace(MOVIES, holds_out_sequences=True, sequence_columns=("name",)),
    ],
)
def test_every_recipe_is_a_valid_configuration_with_reasons(statistics):
    recipe = default_recipe(statistics, {})
    assert isinstance(recipe.config, Config)
    assert recipe.config.training.budget_s == DEFAULT_BUDGET_S
    assert 3 <= len(recipe.reasons) <= 5
    assert all("\n" not in reason for reason in recipe.reasons)


def test_large_catalogues_are_sampled():
    small, large = (
        default_recipe(replace(MOVIES, n_items=n), {}).config for n in (3_416, 2_262_292)
    )
    assert (small.loss.kind, small.optimizer.embedding_updates) == ("softmax", "dense")
    assert (large.loss.kind, large.optimizer.embedding_updates) == ("sampled-softmax", "sparse")
    assert "ease" in small.ensemble.members
    assert "ease" not in large.ensemble.members


def test_a_second_transformer_reads_the_user_where_users_are_known():
    def context(**changes: object) -> int:
        return default_recipe(replace(MOVIES, **changes), {}).config.ensemble.second_context

    assert context() == 5
    assert context(window=3) == 3
    assert context(holds_out_sequences=True) == 0
    assert context(n_items=50_000) == 0
    assert context(n_sequences=200_000) == 0
    without_budget = default_recipe(MOVIES, {"training.epochs": 3})
    assert without_budget.config.ensemble.second_context == 0


def test_given_keys_stay_and_the_rest_is_chosen():
    recipe = default_recipe(MOVIES, {"model.width": 32, "training.max_steps": 10})
    chosen = default_recipe(MOVIES, {})
    assert recipe.config.model.width == 32
    assert recipe.config.training.budget_s is None
    assert recipe.config.model == chosen.config.model.model_copy(update={"width": 32})


def test_a_preset_is_trained_exactly_as_it_is_named(cycles: Dataset):
    recipe = choose_recipe(cycles, GivenOptions(preset="sasrec"))
    assert recipe.config == load_config("sasrec")
    assert not recipe.reasons


def test_members_are_added_to_a_preset_on_request(cycles: Dataset):
    recipe = choose_recipe(cycles, GivenOptions(preset="playlist-warm", ensemble=True))
    assert recipe.config.ensemble.members
    assert recipe.config.ensemble.puresvd_factors == 0
    assert recipe.config.training == load_config("playlist-warm").training


@pytest.mark.parametrize("preset", [None, "playlist-warm"])
def test_the_ensemble_can_be_left_out(cycles: Dataset, preset: str | None):
    recipe = choose_recipe(cycles, GivenOptions(preset=preset, ensemble=False))
    assert not recipe.config.ensemble.is_fitted
    assert recipe.config.ensemble.puresvd_factors == 0
    assert not any("ensemble" in reason for reason in recipe.reasons)


def test_given_members_take_precedence(cycles: Dataset):
    changes = {"ensemble.members": ("tale",)}
    for preset in (None, "sasrec"):
        given = GivenOptions(preset=preset, ensemble=True, changes=changes)
        assert choose_recipe(cycles, given).config.ensemble.members == ("tale",)


def test_reasons_say_what_was_given():
    recipe = default_recipe(MOVIES, {"model.width": 32})
    assert any("model.width 32 as given" in reason for reason in recipe.reasons)


def test_a_given_loss_of_a_large_catalogue_has_updates_that_fit():
    large = replace(MOVIES, n_items=50_000, n_candidates=50_000)
    config = default_recipe(large, {"loss.kind": "softmax"}).config
    assert config.optimizer.embedding_updates == "dense"


PLAYLISTS = replace(
    MOVIES,
    n_sequences=4_525,
    n_events=300_000,
    n_items=150_000,
    n_candidates=150_000,
    covering_length=140,
    holds_out_sequences=True,
)


def test_rare_items_stay_near_their_singular_vectors_and_contexts_are_long():
    rare = default_recipe(PLAYLISTS, {}).config
    assert (rare.model.context, rare.training.horizon) == (100, 20)
    assert rare.optimizer.sparse_learning_rate_scale < 1
    often = default_recipe(replace(PLAYLISTS, n_events=3_000_000), {}).config
    assert (often.model.context, often.training.horizon) == (50, 1)
    assert often.optimizer.sparse_learning_rate_scale == 1


@pytest.mark.parametrize(
    "given", [{"optimizer.embedding_updates": "dense"}, {"model.initialisation": "normal"}]
)
def test_rare_items_have_the_usual_learning_rate_where_they_begin_otherwise(given: dict[str, str]):
    config = default_recipe(PLAYLISTS, given).config
    assert config.optimizer.sparse_learning_rate_scale == 1


def test_the_smallest_log_has_enough_steps():
    small = replace(MOVIES, n_sequences=200, n_events=900, n_items=100, covering_length=8)
    training = default_recipe(small, {}).config.training
    assert 300 <= training.epochs * -(-200 // training.batch_size) <= 320


@pytest.mark.parametrize("budget", ["5m", 300, 300.0])
def test_a_budget_may_be_a_configuration_key(cycles: Dataset, budget):
    changes = {"budget_s": budget}
    assert choose_recipe(cycles, GivenOptions(changes=changes)).config.training.budget_s == 300


def test_keys_without_a_section_and_unknown_ones(cycles: Dataset, tmp_path: Path):
    assert choose_recipe(cycles, GivenOptions(changes={"width": 32})).config.model.width == 32
    with pytest.raises(ConfigError, match="unknown configuration key"):
        choose_recipe(cycles, GivenOptions(changes={"widht": 32}))


def test_a_small_budget_has_fewer_members_and_trials():
    small, usual = (
        default_recipe(MOVIES, {"training.budget_s": budget_s}).config.ensemble
        for budget_s in (90.0, 1800.0)
    )
    assert set(small.members) < set(usual.members)
    assert (small.trials, usual.trials) == (1, 20)
    assert small.max_fit_s < usual.max_fit_s
