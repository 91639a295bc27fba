"""The training and validation batches that a dataset and a configuration give."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

import numpy as np
import pytest

from genre_world import prepare_genres
from segue.batches import Batches, SequenceBatches, TargetBatches
from segue.config import Config, PrepareConfig, SplitConfig, TrainingConfig
from segue.dataset import Dataset
from segue.errors import ConfigError, DatasetError
from segue.features import NO_FEATURES, Features, SequenceVocabulary
from segue.preparation import prepare
from segue.tokens import END, N_SPECIALS, PAD, START, UNK
from segue.trainer import train
from segue.trainer.data import batch_options, training_batches, validation_batches
from segue.trainer.inputs import log_shares
from small_datasets import dataset_of
from small_runs import write_cycles


def configured(model: dict | None = None, **training) -> Config:
    sections = {"model": {"context": 6, **(model or {})}, "training": training}
    return Config.model_validate(sections)


def features_of(data: Dataset, *names: str) -> Features:
    """The sequence features of these names."""
    vocabulary = SequenceVocabulary.of(data.sequences, names)
    model = configured().model
    return Features.of(data.items, data.vocabulary_size, model, vocabulary, data.sequences)


def values_of(batches: Batches, name: str) -> np.ndarray:
    """All tokens or labels of all batches."""
    buckets = [bucket for number in range(len(batches)) for bucket in batches[number]]
    return np.concatenate([getattr(bucket, name).ravel() for bucket in buckets])


FLATTEN = {"head": "flatten", "tied_output": False}


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("windows")
    split = SplitConfig(kind="windows", validation_share=0.2, window=3)
    log = write_cycles(folder / "log.csv")
    return prepare(log, folder / "data", config=PrepareConfig(split=split))


@pytest.fixture(scope="module")
def holdout(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return prepare_genres(tmp_path_factory.mktemp("holdout"), kind="holdout", validation_share=0.2)


# --- training ---


def test_rows_are_sequences_unless_the_split_or_the_head_needs_targets(cycles, windows):
    def kind(data: Dataset, config: Config) -> type[Batches]:
        return type(training_batches(data, config, NO_FEATURES))

    assert kind(cycles, configured()) is SequenceBatches
    assert kind(cycles, configured(rows="sequences")) is SequenceBatches
    assert kind(cycles, configured(rows="targets")) is TargetBatches
    assert kind(cycles, configured(FLATTEN)) is TargetBatches
    assert kind(windows, configured()) is TargetBatches
    assert kind(windows, configured(FLATTEN, rows="targets")) is TargetBatches


def test_rows_cannot_be_sequences_if_each_has_one_label(cycles, windows, tmp_path):
    for data, model, reason in (
        (windows, {}, "the split windows"),
        (cycles, FLATTEN, "the head flat"),
    ):
        config = configured(model, rows="sequences", validation_metric="loss")
        with pytest.raises(ConfigError, match=f"rows is 'sequences', but {reason}") as caught:
            train(data, tmp_path / "run", config=config)
        assert "'targets'" in caught.value.hint
        assert not (tmp_path / "run").exists(), "a refused run writes nothing"


def test_batches_are_drawn_as_the_configuration_says(cycles):
    """Every option of batches has the name and the value that it has in the configuration."""
    values = {
        "batch_size": 7,
        "epochs": 4,
        "seed": 3,
        "window": "random",
        "horizon": 2,
        "bucket_by_length": True,
        "unknown_rate": 0.3,
        "feature_dropout": 0.4,
        "rating_scale": (1.0, 5.0),
    }
    options = batch_options(TrainingConfig(**values), cycles)
    assert asdict(options) == values


def test_histories_are_as_long_as_the_window_of_the_split_or_the_context(cycles, windows):
    for data, window in ((windows, 3), (cycles, 6)):
        batches = training_batches(data, configured({"start": False}, rows="targets"), NO_FEATURES)
        buckets = [bucket for i in range(batches.batches_per_epoch) for bucket in batches[i]]
        assert max((bucket.tokens != PAD).sum(axis=1).max() for bucket in buckets) == window


@pytest.mark.parametrize(
    ("name", "kind"), [("item_features", "item"), ("sequence_features", "seq")]
)
def test_an_unknown_feature_is_refused_before_anything_is_written(cycles, tmp_path, name, kind):
    config = configured({name: ("artist",)}, validation_metric="loss")
    with pytest.raises(ConfigError, match=f"model.{kind}.*_features names 'artist'"):
        train(cycles, tmp_path / "run", config=config)
    assert not (tmp_path / "run").exists()


def test_a_feature_without_common_values_is_refused_before_anything_is_written(tmp_path):
    log = {f"u{user}": list("abcde") for user in range(4)}
    artists = {item: f"The {item}" for item in "abcde"}
    data = dataset_of(tmp_path, log, SplitConfig(kind="leave-one-out"), artists=artists)
    config = configured({"item_features": ("artist",)}, validation_metric="loss")
    with pytest.raises(
        ConfigError, match="item_features names 'artist', which carries no information"
    ):
        train(data, tmp_path / "run", config=config)
    assert not (tmp_path / "run").exists()


def test_ratings_outside_the_scale_are_refused_before_anything_is_written(genres, cycles, tmp_path):
    config = configured(rating_scale=(1.0, 4.0), validation_metric="loss")
    for data, message in ((genres, "outside the scale 1 to 4"), (cycles, "the log has no ratings")):
        with pytest.raises(DatasetError, match=message):
            train(data, tmp_path / "run", config=config)
        assert not (tmp_path / "run").exists()


def test_labels_are_weighted_by_rating_if_configured(genres):
    batch = training_batches(genres, configured(rating_scale=(1.0, 5.0)), NO_FEATURES)[0]
    weights = np.concatenate(
        [bucket.weights[bucket.labels != PAD] for bucket in batch if bucket.weights is not None]
    )
    weights = np.unique(weights)
    np.testing.assert_allclose(weights, [0.2, 0.4, 0.6, 0.8, 1.0], rtol=1e-6)
    assert training_batches(genres, configured(), NO_FEATURES)[0][0].weights is None


def test_batches_contain_the_sequence_features(genres):
    batch = training_batches(genres, configured(), features_of(genres, "gender"))[0]
    features = [bucket.sequence_features for bucket in batch]
    ids = {int(number) for ids, _ in filter(None, features) for number in ids[:, 0]}
    assert ids == {1, 2}, "two genders"
    assert training_batches(genres, configured(), NO_FEATURES)[0][0].sequence_features is None


def test_good_turing_rate_is_the_share_of_events_whose_item_occurs_once(tmp_path):
    """Each sequence has three items that all have, and one that no other has."""
    log = {f"s{row}": ["a", "b", f"own{row}", "c"] for row in range(120)}
    log["test"] = ["a", "once", "only", "here"]
    data = dataset_of(tmp_path, log, SplitConfig(kind="holdout", test_share=0.0))
    counts = Counter(
        item
        for row in range(len(data.sequences))
        for item in data.sequences.row(row)[: data.sequences.train_end[row]].tolist()
    )
    events = sum(counts.values())
    rate = sum(count == 1 for count in counts.values()) / events
    assert rate == pytest.approx(0.25, abs=0.01)
    batches = training_batches(
        data, configured({"end": True}, unknown_rate="good-turing", epochs=100), NO_FEATURES
    )
    tokens = values_of(batches, "tokens")
    events = tokens[(tokens >= N_SPECIALS) | (tokens == UNK)]
    assert (events == UNK).mean() == pytest.approx(rate, abs=0.01)


def test_items_become_unknown_at_the_configured_rate(cycles):
    for rate in (0.0, 0.4):
        batches = training_batches(cycles, configured(unknown_rate=rate, epochs=40), NO_FEATURES)
        tokens = values_of(batches, "tokens")
        events = tokens[tokens > END]
        assert (events == UNK).mean() == pytest.approx(rate, abs=0.02)


@pytest.mark.parametrize(
    ("model", "training"),
    [
        ({}, {"unknown_rate": 0.2, "horizon": 3}),
        ({"end": True}, {"unknown_rate": "good-turing"}),
        ({}, {"unknown_rate": 0.0}),
    ],
)
def test_labels_occur_as_often_as_their_log_shares_state(holdout, model, training):
    config = configured({"context": 40, **model}, **training, epochs=60)
    batches = training_batches(holdout, config, NO_FEATURES)
    labels = values_of(batches, "labels")
    counts = np.bincount(labels, minlength=holdout.vocabulary_size)
    shares = counts[END:] / counts[END:].sum()
    expected = np.exp(log_shares(holdout, config, batches.options.unknown_rate))[END:]
    np.testing.assert_allclose(shares, expected, atol=0.01)


def test_if_rows_are_targets_no_label_becomes_unknown(windows):
    shares = np.exp(log_shares(windows, configured(), unknown_rate=0.5))
    assert shares[UNK] == shares.min()


def test_a_horizon_without_effect_on_target_rows_is_refused(cycles, windows):
    for data, config in (
        (windows, configured(horizon=2)),
        (cycles, configured(FLATTEN, horizon=2)),
    ):
        with pytest.raises(ConfigError, match=r"training.horizon .*target") as caught:
            training_batches(data, config, NO_FEATURES)
        assert caught.value.hint.startswith("set training.horizon=")


def test_in_batch_negatives_are_refused_for_the_exact_softmax(cycles, tmp_path):
    config = Config.model_validate({"loss": {"in_batch": True}})
    with pytest.raises(ConfigError, match="compares with every item"):
        train(cycles, tmp_path / "run", config=config)
    assert not (tmp_path / "run").exists()


# --- validation ---

NOISE = {
    "unknown_rate": 0.5,
    "feature_dropout": 0.5,
    "horizon": 4,
    "rating_scale": (1.0, 5.0),
    "epochs": 3,
    "batch_size": 7,
}
"""Options that apply to training batches only."""


def rows_of(batches: Batches) -> list[tuple[list[int], list[int]]]:
    """Tokens and labels of every row that is not padding, without PAD, and END as a label only."""
    rows = []
    for number in range(len(batches)):
        for bucket in batches[number]:
            assert bucket.weights is None
            for tokens, labels in zip(bucket.tokens, bucket.labels, strict=True):
                if labels.any():
                    inputs = tokens[(tokens != PAD) & (tokens != END)]
                    rows.append((inputs.tolist(), labels[labels != PAD].tolist()))
    return sorted(rows)


def held_out_rows(
    data: Dataset, window: int, among: list[int] | None = None
) -> list[tuple[list[int], list[int]]]:
    """All validation targets, or those of some rows, with the events before them, one by one."""
    held_out = data.targets("validation", "every")
    rows = []
    for row, position in zip(held_out.rows.tolist(), held_out.positions.tolist(), strict=True):
        if among is not None and row not in among:
            continue
        events = data.sequences.row(row).tolist()
        tokens = [START, *events[max(position - window, 0) : position]]
        rows.append((tokens[-6:], [events[position]]))
    return sorted(rows)


def test_validation_contains_each_held_out_target_once(genres, windows):
    config = configured(**NOISE)
    assert rows_of(validation_batches(genres, config, NO_FEATURES)) == held_out_rows(genres, 6)
    assert rows_of(validation_batches(windows, config, NO_FEATURES)) == held_out_rows(windows, 3)


@pytest.mark.parametrize("model", [{"start": True}, {"start": False}, {"start": False, **FLATTEN}])
def test_first_events_are_targets_if_the_model_has_a_start_token(tmp_path, model):
    """The validation part contains one whole sequence and the end of another."""
    log = {"old": ["a", "b"] * 10, "new": ["a", "b", "a"], "late": ["b"] * 4}
    starts = {"old": 0, "new": 16, "late": 30}
    split = SplitConfig(kind="global-time", test_share=0.1, validation_share=0.4)
    data = dataset_of(tmp_path, log, split, starts=starts)
    targets = data.targets("validation", "every")
    assert (targets.positions == 0).sum() == 1
    n_targets = len(rows_of(validation_batches(data, configured(model), NO_FEATURES)))
    assert n_targets == len(targets.positions) - (not model["start"])


def test_held_out_sequences_are_whole_rows(holdout):
    config = configured({"context": 16, "end": True}, **NOISE)
    sequences = holdout.sequences
    rows = np.flatnonzero((sequences.train_end == 0) & (sequences.valid_end > 0)).tolist()
    assert len(rows) == 24
    expected = sorted(
        ([START, *sequences.row(row).tolist()], [*sequences.row(row).tolist(), END]) for row in rows
    )
    assert rows_of(validation_batches(holdout, config, NO_FEATURES)) == expected


def test_held_out_sequences_become_single_targets_if_rows_are_targets(holdout):
    config = configured(rows="targets", **NOISE)
    assert rows_of(validation_batches(holdout, config, NO_FEATURES)) == held_out_rows(holdout, 6)


@pytest.mark.parametrize("limit", [1, 5])
def test_at_most_the_configured_number_of_sequences_is_sampled_with_all_targets(windows, limit):
    def sampled_rows(seed: int) -> list[tuple[list[int], list[int]]]:
        config = configured(validation_sequences=limit, seed=seed)
        return rows_of(validation_batches(windows, config, NO_FEATURES))

    rows = held_out_rows(windows, 3)
    assert all(row in rows for row in sampled_rows(0))
    assert limit <= len(sampled_rows(0)) < len(rows)
    assert sampled_rows(0) == sampled_rows(0)
    assert sampled_rows(1) == sampled_rows(0)  # so that runs of several seeds are comparable


def test_sequences_are_sampled_among_all_that_have_a_target(holdout, genres, windows):
    def sampled_sequences(data: Dataset) -> list[int]:
        rows = data.targets("validation", "every").rows
        return np.random.default_rng(0).choice(np.unique(rows), 5, replace=False).tolist()

    for data, window in ((holdout, 6), (genres, 6), (windows, 3)):
        config = configured(rows="targets", validation_sequences=5, seed=7)
        expected = held_out_rows(data, window, sampled_sequences(data))
        assert rows_of(validation_batches(data, config, NO_FEATURES)) == expected
    config = configured({"context": 16}, validation_sequences=5, seed=7)
    sequences = sorted(holdout.sequences.row(row).tolist() for row in sampled_sequences(holdout))
    labels = [labels for _, labels in rows_of(validation_batches(holdout, config, NO_FEATURES))]
    assert sorted(labels) == sequences


def test_validation_drops_no_sequence_features(genres):
    batches = validation_batches(genres, configured(**NOISE), features_of(genres, "user"))
    ids = []
    for number in range(len(batches)):
        for bucket in batches[number]:
            assert bucket.sequence_features is not None
            ids += bucket.sequence_features.ids[bucket.labels.any(axis=1), 0].tolist()
    assert sorted(ids) == list(range(1, 121)), "every user once, none dropped"
