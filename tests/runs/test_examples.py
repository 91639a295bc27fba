"""Which batches go with a dataset and a configuration, in training and in validation."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from cycles import write_cycles
from genre_world import prepare_genres
from segue.axes import END, N_SPECIALS, PAD, START, UNK
from segue.batches import SequenceBatches, TargetBatches, TrainingBatches
from segue.config import Config, PrepareConfig, SplitConfig
from segue.dataset import Dataset, prepare, targets
from segue.errors import ConfigError, DatasetError
from segue.features import SequenceVocabulary
from segue.trainer import train
from segue.trainer.examples import training_batches, validation_batches
from segue.trainer.loss import log_shares
from small_datasets import dataset_of

NOTHING = SequenceVocabulary({})


def asked(model: dict | None = None, **training) -> Config:
    chosen = {"model": {"context": 6, **(model or {})}, "training": training}
    return Config.model_validate(chosen)


FLATTEN = {"head": "flatten", "tied_output": False}


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("windows")
    split = SplitConfig(kind="windows", validation_share=0.2, window=3)
    log = write_cycles(folder / "log.csv")
    return prepare(log, folder / "data", PrepareConfig(split=split))


@pytest.fixture(scope="module")
def holdout(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return prepare_genres(tmp_path_factory.mktemp("holdout"), kind="holdout", validation_share=0.2)


# --- training ---


def test_rows_are_sequences_unless_the_split_or_the_head_says_otherwise(cycles, windows):
    def kind(data: Dataset, config: Config) -> type[TrainingBatches]:
        return type(training_batches(data, config, NOTHING))

    assert kind(cycles, asked()) is SequenceBatches
    assert kind(cycles, asked(rows="sequences")) is SequenceBatches
    assert kind(cycles, asked(rows="targets")) is TargetBatches
    assert kind(cycles, asked(FLATTEN)) is TargetBatches
    assert kind(windows, asked()) is TargetBatches
    assert kind(windows, asked(FLATTEN, rows="targets")) is TargetBatches


def test_rows_cannot_be_sequences_where_each_has_one_label(cycles, windows, tmp_path):
    for data, model, why in (
        (windows, {}, "the split windows"),
        (cycles, FLATTEN, "the head flat"),
    ):
        config = asked(model, rows="sequences", validation_metric="loss")
        with pytest.raises(ConfigError, match=f"rows is 'sequences', but {why}") as caught:
            train(data, tmp_path / "run", config=config)
        assert "'targets'" in caught.value.hint
        assert not (tmp_path / "run").exists(), "nothing is written for a mistake"


def test_windows_are_as_long_as_the_split_has_them_elsewhere_as_the_context(cycles, windows):
    for data, window in ((windows, 3), (cycles, 6)):
        batches = training_batches(data, asked({"start": False}, rows="targets"), NOTHING)
        tokens = np.concatenate([batches[i].tokens for i in range(batches.batches_per_epoch)])
        assert (tokens != PAD).sum(axis=1).max() == window


@pytest.mark.parametrize(
    ("name", "what"), [("item_features", "item"), ("sequence_features", "seq")]
)
def test_a_feature_that_there_is_not_is_refused_before_anything_is_written(
    cycles, tmp_path, name, what
):
    config = asked({name: ("artist",)}, validation_metric="loss")
    with pytest.raises(ConfigError, match=f"model.{what}.*_features names 'artist'"):
        train(cycles, tmp_path / "run", config=config)
    assert not (tmp_path / "run").exists()


def test_a_feature_that_teaches_nothing_is_refused_before_anything_is_written(tmp_path):
    log = {f"u{user}": list("abcde") for user in range(4)}
    artists = {item: f"The {item}" for item in "abcde"}
    data = dataset_of(tmp_path, log, SplitConfig(kind="leave-one-out"), artists=artists)
    config = asked({"item_features": ("artist",)}, validation_metric="loss")
    with pytest.raises(ConfigError, match="item_features names 'artist', which teaches nothing"):
        train(data, tmp_path / "run", config=config)
    assert not (tmp_path / "run").exists()


def test_ratings_outside_the_scale_are_refused_before_anything_is_written(genres, cycles, tmp_path):
    config = asked(rating_scale=(1.0, 4.0), validation_metric="loss")
    for data, message in ((genres, "outside the scale 1 to 4"), (cycles, "the log has no ratings")):
        with pytest.raises(DatasetError, match=message):
            train(data, tmp_path / "run", config=config)
        assert not (tmp_path / "run").exists()


def test_labels_weigh_by_their_rating_where_that_is_asked_for(genres):
    batch = training_batches(genres, asked(rating_scale=(1.0, 5.0)), NOTHING)[0]
    assert batch.weights is not None
    found = np.unique(batch.weights[batch.labels != PAD])
    np.testing.assert_allclose(found, [0.2, 0.4, 0.6, 0.8, 1.0], rtol=1e-6)
    assert training_batches(genres, asked(), NOTHING)[0].weights is None


def test_batches_tell_what_the_vocabulary_knows(genres):
    vocabulary = SequenceVocabulary.of(genres.sequences, ("gender",))
    batch = training_batches(genres, asked(), vocabulary)[0]
    assert batch.told is not None
    assert set(batch.told.codes[:, 0].tolist()) == {0, 1, 2}  # two genders, and rows of padding
    assert training_batches(genres, asked(), NOTHING)[0].told is None


def test_good_turing_is_the_share_of_events_whose_item_occurs_once(tmp_path):
    """Three items that all sequences hold, and one in each that no other has."""
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
        data, asked({"end": True}, unknown_rate="good-turing", epochs=100), NOTHING
    )
    shown = np.concatenate([batches[number].tokens for number in range(len(batches))])
    events = shown[(shown >= N_SPECIALS) | (shown == UNK)]
    assert (events == UNK).mean() == pytest.approx(rate, abs=0.01)


def test_unknown_items_come_at_the_rate_that_is_set(cycles):
    for rate in (0.0, 0.4):
        batches = training_batches(cycles, asked(unknown_rate=rate, epochs=40), NOTHING)
        shown = np.concatenate([batches[number].tokens for number in range(len(batches))])
        events = shown[shown > END]
        assert (events == UNK).mean() == pytest.approx(rate, abs=0.02)


@pytest.mark.parametrize(
    ("model", "training"),
    [
        ({}, {"unknown_rate": 0.2, "horizon": 3}),
        ({"end": True}, {"unknown_rate": "good-turing"}),
        ({}, {"unknown_rate": 0.0}),
    ],
)
def test_labels_come_as_often_as_their_correction_has_it(holdout, model, training):
    config = asked({"context": 40, **model}, **training, epochs=60)
    batches = training_batches(holdout, config, NOTHING)
    labels = np.concatenate([batches[number].labels.ravel() for number in range(len(batches))])
    found = np.bincount(labels, minlength=holdout.table_size)
    found = found[END:] / found[END:].sum()
    expected = np.exp(log_shares(holdout, config))[END:]
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_where_rows_are_targets_no_label_is_replaced(windows):
    shares = np.exp(log_shares(windows, asked(unknown_rate=0.5)))
    assert shares[UNK] == shares.min()


@pytest.mark.parametrize("setting", [{"horizon": 2}, {"bucket": True}])
def test_what_has_no_effect_where_rows_are_targets_is_refused(cycles, windows, setting):
    (name,) = setting
    for data, config in ((windows, asked(**setting)), (cycles, asked(FLATTEN, **setting))):
        with pytest.raises(ConfigError, match=f"training.{name} .*target") as caught:
            training_batches(data, config, NOTHING)
        assert caught.value.hint.startswith(f"set training.{name}=")


def test_labels_of_a_batch_are_no_negatives_of_an_exact_loss(cycles, tmp_path):
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
"""What belongs to training only."""


def shown(batches: TrainingBatches) -> list[tuple[list[int], list[int]]]:
    """Tokens and labels of every row that is no padding, without PAD."""
    rows = []
    for number in range(len(batches)):
        batch = batches[number]
        assert batch.weights is None
        for tokens, labels in zip(batch.tokens, batch.labels, strict=True):
            if labels.any():
                rows.append((tokens[tokens != PAD].tolist(), labels[labels != PAD].tolist()))
    return sorted(rows)


def held_out(
    data: Dataset, window: int, among: list[int] | None = None
) -> list[tuple[list[int], list[int]]]:
    """Every validation target, or those of some rows, with the events before it, the slow way."""
    found = targets(data.sequences, data.manifest.split, "validation", "every")
    rows = []
    for row, position in zip(found.rows.tolist(), found.positions.tolist(), strict=True):
        if among is not None and row not in among:
            continue
        events = data.sequences.row(row).tolist()
        before = [START, *events[max(position - window, 0) : position]]
        rows.append((before[-6:], [events[position]]))
    return sorted(rows)


def test_validation_asks_for_each_held_out_target_once(genres, windows):
    config = asked(**NOISE)
    assert shown(validation_batches(genres, config, NOTHING)) == held_out(genres, 6)
    assert shown(validation_batches(windows, config, NOTHING)) == held_out(windows, 3)


@pytest.mark.parametrize("model", [{"start": True}, {"start": False}, {"start": False, **FLATTEN}])
def test_first_events_are_asked_for_where_a_model_can_begin_from_nothing(tmp_path, model):
    """The validation part holds a whole sequence, and the end of another."""
    log = {"old": ["a", "b"] * 10, "new": ["a", "b", "a"], "late": ["b"] * 4}
    starts = {"old": 0, "new": 16, "late": 30}
    split = SplitConfig(kind="global-time", test_share=0.1, validation_share=0.4)
    data = dataset_of(tmp_path, log, split, starts=starts)
    found = targets(data.sequences, data.manifest.split, "validation", "every")
    assert (found.positions == 0).sum() == 1
    n_asked = len(shown(validation_batches(data, asked(model), NOTHING)))
    assert n_asked == len(found.positions) - (not model["start"])


def test_held_out_sequences_are_asked_for_whole(holdout):
    config = asked({"context": 16, "end": True}, **NOISE)
    sequences = holdout.sequences
    rows = np.flatnonzero((sequences.train_end == 0) & (sequences.valid_end > 0)).tolist()
    assert len(rows) == 24
    expected = sorted(
        ([START, *sequences.row(row).tolist(), END], [*sequences.row(row).tolist(), END])
        for row in rows
    )
    assert shown(validation_batches(holdout, config, NOTHING)) == expected


def test_held_out_sequences_are_targets_one_by_one_where_rows_are(holdout):
    config = asked(rows="targets", **NOISE)
    assert shown(validation_batches(holdout, config, NOTHING)) == held_out(holdout, 6)


@pytest.mark.parametrize("limit", [1, 5])
def test_at_most_so_many_sequences_are_asked_about_all_of_their_targets(windows, limit):
    def rows_of(seed: int) -> list[tuple[list[int], list[int]]]:
        config = asked(validation_sequences=limit, seed=seed)
        return shown(validation_batches(windows, config, NOTHING))

    every = held_out(windows, 3)
    assert all(row in every for row in rows_of(0))
    assert limit <= len(rows_of(0)) < len(every)
    assert rows_of(0) == rows_of(0)
    assert rows_of(1) == rows_of(0)  # or runs of several seeds could not be compared


def test_the_sequences_asked_about_are_drawn_among_all_that_have_a_target(holdout, genres, windows):
    def drawn(data: Dataset) -> list[int]:
        every = targets(data.sequences, data.manifest.split, "validation", "every").rows
        return np.random.default_rng(0).choice(np.unique(every), 5, replace=False).tolist()

    for data, window in ((holdout, 6), (genres, 6), (windows, 3)):
        config = asked(rows="targets", validation_sequences=5, seed=7)
        expected = held_out(data, window, drawn(data))
        assert shown(validation_batches(data, config, NOTHING)) == expected
    config = asked({"context": 16}, validation_sequences=5, seed=7)
    whole = sorted(holdout.sequences.row(row).tolist() for row in drawn(holdout))
    labels = [labels for _, labels in shown(validation_batches(holdout, config, NOTHING))]
    assert sorted(labels) == whole


def test_validation_is_told_everything(genres):
    vocabulary = SequenceVocabulary.of(genres.sequences, ("user",))
    batches = validation_batches(genres, asked(**NOISE), vocabulary)
    codes = []
    for number in range(len(batches)):
        batch = batches[number]
        assert batch.told is not None
        codes += batch.told.codes[batch.labels.any(axis=1), 0].tolist()
    assert sorted(codes) == list(range(1, 121)), "every user once, none left out"
