"""Prompts: what a model is shown before it predicts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from batch_worlds import TABLE, padded, worlds
from hypothesis import given

from segue.axes import END, PAD, START, UNK, Ragged
from segue.batches import Layout
from segue.config import ModelConfig


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


# --- what the head `flatten` reads stands at the end ---


def test_only_the_head_that_flattens_fills_in_front():
    model = ModelConfig(context=5, start=False, head="flatten", tied_output=False)
    assert Layout.of(model, TABLE) == Layout(5, TABLE, start=False, end=False, fills=True)
    assert not Layout.of(ModelConfig(), TABLE).fills


@given(world=worlds())
def test_short_prompts_are_filled_with_start_in_front(world):
    layout = replace(world.layout, fills=True)
    prompts, last = layout.prompts(Ragged.of(world.rows))
    assert last.tolist() == [world.context - 1] * len(world.rows)
    for row, prompt in zip(world.rows, prompts.tolist(), strict=True):
        known = [UNK if item >= TABLE else item for item in row][-world.context :]
        assert prompt == [START] * (world.context - len(known)) + known
