"""Batches against a slow reference that builds one sequence after another."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.axes import END, N_SPECIALS, PAD, START, UNK, Ragged
from segue.batches import Batch, Layout, SequenceBatches, TrainingBatches, training_batches
from segue.config import ModelConfig, TrainingConfig
from segue.dataset import NO_TARGET, TEST_TARGET, TRAIN_TARGET, Sequences

TABLE = 12  # catalogue items 4 to 11; what lies beyond is outside


@dataclass(frozen=True)
class World:
    """A few sequences, their training parts, and how they are to be cut."""

    rows: list[list[int]]
    train_ends: list[int]
    context: int = 5
    start: bool = True
    end: bool = False

    @property
    def layout(self) -> Layout:
        return Layout(self.context, TABLE, self.start, self.end)

    def batches(self, **options) -> TrainingBatches:
        config = TrainingConfig(
            **{"batch_size": 2, "epochs": 3, "window": "last", "unknown_rate": 0.0, **options}
        )
        return SequenceBatches(sequences_of(self.rows, self.train_ends), self.layout, config)

    def tokens(self, row: int) -> list[int]:
        """All tokens that may be trained on, the slow and obvious way."""
        events = self.rows[row][: self.train_ends[row]]
        known = [UNK if item >= TABLE else item for item in events]
        return [START] * self.start + known + [END] * self.end

    def trainable(self) -> list[int]:
        rows = range(len(self.rows))
        return [row for row in rows if self.train_ends[row] and len(self.tokens(row)) > 1]

    def windows(self, row: int) -> list[tuple[list[int], list[int]]]:
        """Every input and its labels that a sequence could show, the last one last."""
        tokens, width = self.tokens(row), self.context + 1
        firsts = range(max(len(tokens) - width, 0) + 1)
        cuts = [padded(tokens[first : first + width], width) for first in firsts]
        return [(cut[:-1], cut[1:]) for cut in cuts]


def padded(tokens: list[int], width: int) -> list[int]:
    return tokens + [PAD] * (width - len(tokens))


def sequences_of(rows: list[list[int]], train_ends: list[int]) -> Sequences:
    ragged = Ragged.of(rows)
    ends = np.array(train_ends, np.int32)
    return Sequences(
        ids=pa.array([str(row) for row in range(len(rows))]),
        offsets=ragged.offsets,
        items=ragged.values,
        times=None,
        ratings=None,
        train_end=ends,
        valid_end=ends,
        target_parts=None,
        attributes=pa.table({}),
    )


def windowed(rows: list[list[int]], parts: list[list[int]]) -> Sequences:
    flat = np.array([part for row in parts for part in row], np.int8)
    return replace(sequences_of(rows, [len(row) for row in rows]), target_parts=flat)


def rows_of(batch: Batch) -> list[tuple[list[int], list[int]]]:
    return list(zip(batch.tokens.tolist(), batch.labels.tolist(), strict=True))


@st.composite
def worlds(draw) -> World:
    items = st.integers(N_SPECIALS, TABLE + 3)
    rows = draw(st.lists(st.lists(items, max_size=9), min_size=1, max_size=6))
    ends = [draw(st.integers(0, len(row))) for row in rows]
    context, start, end = draw(st.tuples(st.integers(1, 7), st.booleans(), st.booleans()))
    return World(rows, ends, context, start, end)


# --- against the slow reference ---


@given(world=worlds(), batch_size=st.integers(1, 4), window=st.sampled_from(["last", "random"]))
def test_an_epoch_shows_every_trainable_sequence_once(world, batch_size, window):
    batches = world.batches(batch_size=batch_size, window=window, epochs=2)
    trainable = world.trainable()
    assert batches.batches_per_epoch == -(-len(trainable) // batch_size)
    assert len(batches) == 2 * batches.batches_per_epoch
    for epoch in range(2):
        numbers = range(epoch * batches.batches_per_epoch, (epoch + 1) * batches.batches_per_epoch)
        shown = [row for number in numbers for row in rows_of(batches[number])]
        n_filled = len(numbers) * batch_size - len(trainable)
        empty = ([PAD] * world.context, [PAD] * world.context)
        assert shown[len(shown) - n_filled :] == [empty] * n_filled
        left = shown[: len(shown) - n_filled]
        for row in trainable:
            choices = world.windows(row) if window == "random" else world.windows(row)[-1:]
            found = next(one for one in left if one in choices)
            left.remove(found)
        assert not left


@given(world=worlds(), seed=st.integers(0, 99))
def test_nothing_beyond_the_training_part_ever_appears(world, seed):
    """Held-out events are marked by items of their own, which no batch may show."""
    marked = [
        [4 + place % 4 if place < end else 8 + place % 4 for place in range(len(row))]
        for row, end in zip(world.rows, world.train_ends, strict=True)
    ]
    marked_world = World(marked, world.train_ends, world.context, world.start, world.end)
    batches = marked_world.batches(seed=seed, window="random", unknown_rate=0.3)
    for number in range(len(batches)):
        batch = batches[number]
        assert batch.tokens.max() < 8
        assert batch.labels.max() < 8


# --- tokens ---


@pytest.mark.parametrize(
    ("start", "end", "tokens", "labels"),
    [
        (False, False, [4, 5, UNK, 7, 0], [5, UNK, 7, 0, 0]),
        (True, False, [START, 4, 5, UNK, 7], [4, 5, UNK, 7, 0]),
        (False, True, [4, 5, UNK, 7, END], [5, UNK, 7, END, 0]),
        (True, True, [START, 4, 5, UNK, 7], [4, 5, UNK, 7, END]),
    ],
)
def test_start_end_and_unknown_have_their_places(start, end, tokens, labels):
    world = World([[4, 5, TABLE, 7, 8]], [4], context=5, start=start, end=end)
    (shown,) = rows_of(world.batches(batch_size=1)[0])
    assert shown == (tokens, labels)


def test_long_sequences_lose_their_beginning_start_too():
    world = World([[4, 5, 6, 7, 8, 9, 10]], [7], context=3)
    (shown,) = rows_of(world.batches(batch_size=1)[0])
    assert shown == ([7, 8, 9], [8, 9, 10])


def test_one_event_teaches_only_where_start_or_end_stands_beside_it():
    for start, end, n in [(False, False, 0), (True, False, 1), (False, True, 1), (True, True, 1)]:
        assert len(World([[4]], [1], start=start, end=end).batches(epochs=1)) == n


def test_a_sequence_without_training_events_is_never_shown():
    assert len(World([[4, 5, 6]], [0], end=True).batches()) == 0


def test_arrays_are_ready_for_the_device():
    batch = World([[4, 5, 6], [7, 8, 9]], [3, 3]).batches()[0]
    for array in batch:
        assert array.dtype == np.int32
        assert array.shape == (2, 5)
        assert array.flags.c_contiguous


# --- order and chance ---

MANY = World([[4 + row % 8, 4 + row // 8] for row in range(40)], [2] * 40)
LONG = World([[4 + place % 8 for place in range(30)]] * 8, [30] * 8)


def epoch_of(batches: TrainingBatches, epoch: int) -> list:
    first = epoch * batches.batches_per_epoch
    return [rows_of(batches[first + place]) for place in range(batches.batches_per_epoch)]


def test_the_order_is_drawn_from_seed_and_epoch():
    batches, again, other = MANY.batches(), MANY.batches(), MANY.batches(seed=1)
    assert epoch_of(batches, 0) == epoch_of(again, 0)
    assert epoch_of(batches, 0) != epoch_of(batches, 1)
    assert epoch_of(batches, 0) != epoch_of(other, 0)


@given(numbers=st.lists(st.integers(0, 11), min_size=1, max_size=8))
def test_a_batch_is_a_function_of_its_number(numbers):
    """In whatever order batches are asked for, as a resumed run does."""
    options = {"window": "random", "unknown_rate": 0.2}
    used, fresh = LONG.batches(**options), LONG.batches(**options)
    asked = [rows_of(used[number]) for number in numbers]
    assert asked == [rows_of(fresh[number]) for number in numbers]
    assert rows_of(LONG.batches(**options)[numbers[-1]]) == asked[-1]


def test_random_windows_reach_both_ends_and_differ_between_epochs():
    batches = LONG.batches(window="random", epochs=60, batch_size=8)
    firsts = {tuple(tokens) for epoch in range(60) for tokens in batches[epoch].tokens.tolist()}
    assert (START, 4, 5, 6, 7) in firsts
    assert any(labels[-1] == LONG.rows[0][-1] for labels in batches[0].labels.tolist())
    assert len(firsts) == 9, "START's window, and the eight phases of the cycle"
    assert (batches[0].tokens != batches[1].tokens).any()


def test_last_windows_are_the_same_in_every_epoch():
    batches = LONG.batches(window="last", batch_size=8)
    np.testing.assert_array_equal(batches[0].tokens, batches[1].tokens)


def test_iterating_ends():
    batches = MANY.batches(epochs=1)
    assert len(list(batches)) == len(batches) == 20
    for number in (-1, 20):
        with pytest.raises(IndexError):
            batches[number]


# --- unknown ---


def test_unknown_is_injected_at_its_rate_and_specials_are_spared():
    rows = [[4 + place % 8 for place in range(200)]] * 20
    world = World(rows, [200] * 20, context=202, end=True)
    batch = world.batches(unknown_rate=0.25, batch_size=20)[0]
    plain = world.batches(batch_size=20)[0]
    items = plain.tokens >= N_SPECIALS
    assert (batch.tokens[items] == UNK).mean() == pytest.approx(0.25, abs=0.03)
    np.testing.assert_array_equal(batch.tokens[~items], plain.tokens[~items])
    kept = batch.tokens != UNK
    np.testing.assert_array_equal(batch.tokens[kept], plain.tokens[kept])
    np.testing.assert_array_equal(batch.tokens[:, 1:], batch.labels[:, :-1])


# --- prompts ---


@given(world=worlds())
def test_a_prompt_is_what_training_shows_for_the_same_history(world):
    """The history before a label, cut to the window: the same tokens up to the same place."""
    for row in world.trainable():
        events = world.rows[row][: world.train_ends[row]]
        for first, (tokens, labels) in enumerate(world.windows(row)):
            for place, label in enumerate(labels):
                if label in (PAD, END):
                    continue
                n_events = first + place + 1 - world.start
                prompt, last = world.layout.prompts(Ragged.of([events[:n_events]]))
                visible = tokens[: place + 1]
                if last[0] == place:  # else the prompt sees more than this window
                    assert prompt[0].tolist() == padded(visible, world.context)
                assert prompt[0, : last[0] + 1].tolist()[-len(visible) :] == visible
                assert label == (UNK if events[n_events] >= TABLE else events[n_events])


@given(world=worlds())
def test_prompts_are_the_end_of_the_history(world):
    prompts, last = world.layout.prompts(Ragged.of(world.rows))
    assert prompts.shape == (len(world.rows), world.context)
    assert prompts.dtype == last.dtype == np.int32
    for row, prompt, place in zip(world.rows, prompts.tolist(), last, strict=True):
        known = [UNK if item >= TABLE else item for item in row]
        tokens = ([START] * world.start + known)[-world.context :]
        assert prompt == padded(tokens, world.context)
        assert place == max(len(tokens) - 1, 0)
        assert END not in prompt


def test_empty_history():
    for start, first in [(True, START), (False, PAD)]:
        prompts, last = Layout(3, TABLE, start, end=True).prompts(Ragged.of([[]]))
        assert prompts.tolist() == [[first, PAD, PAD]]
        assert last.tolist() == [0]


@given(world=worlds())
def test_truncated_counts_what_the_prompt_leaves_out(world):
    prompts, _ = world.layout.prompts(Ragged.of(world.rows))
    for row, prompt in zip(world.rows, prompts, strict=True):
        assert world.layout.truncated(len(row)) == len(row) - np.count_nonzero(prompt > END)


def test_layout_of_a_model():
    model = ModelConfig(context=7, start=False, end=True)
    assert Layout.of(model, TABLE) == Layout(7, TABLE, start=False, end=True)


# --- windows ---


def test_a_window_has_one_label_and_sees_only_the_events_before_it():
    parts = [[NO_TARGET] * 3 + [TRAIN_TARGET, TEST_TARGET, TRAIN_TARGET]]
    sequences = windowed([[4, 5, 6, 7, 8, 9]], parts)
    config = TrainingConfig(batch_size=2, epochs=1, unknown_rate=0.0)
    batches = training_batches(sequences, Layout(5, TABLE, start=True, end=False), config, window=4)
    assert len(batches) == 1
    assert sorted(rows_of(batches[0])) == [
        ([START, 4, 5, 6, PAD], [PAD, PAD, PAD, 7, PAD]),
        ([START, 5, 6, 7, 8], [PAD, PAD, PAD, PAD, 9]),
    ]


@given(world=worlds(), seed=st.integers(0, 5))
def test_windows_are_exactly_the_training_targets(world, seed):
    random = np.random.default_rng(seed)
    parts = [
        [
            int(random.choice([TRAIN_TARGET, TEST_TARGET])) if place >= 3 else NO_TARGET
            for place in range(len(row))
        ]
        for row in world.rows
    ]
    layout = replace(world.layout, end=False)
    config = TrainingConfig(batch_size=2, epochs=2, unknown_rate=0.0, seed=seed)
    batches = training_batches(windowed(world.rows, parts), layout, config, window=2)
    expected = []
    for row, row_parts in zip(world.rows, parts, strict=True):
        for place in np.flatnonzero(np.array(row_parts) == TRAIN_TARGET):
            known = [UNK if item >= TABLE else item for item in row[place - 2 : place + 1]]
            tokens = ([START] * layout.start + known[:-1])[-layout.context :]
            labels = [PAD] * (len(tokens) - 1) + known[-1:]
            expected.append((padded(tokens, layout.context), padded(labels, layout.context)))
    for epoch in range(2):
        rows = [row for batch in epoch_of(batches, epoch) for row in batch]
        assert sorted(row for row in rows if any(row[1])) == sorted(expected)
