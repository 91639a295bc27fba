"""Prompts: truncation, special tokens, padding, and agreement with the training batches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from small_data import VOCABULARY_SIZE, pad, random_data

from segue.batches import PromptLayout
from segue.ragged import Ragged
from segue.tokens import END, PAD, START, UNK


@given(data=random_data())
def test_prompts_agree_with_training_batches(data):
    """The prompt of the history before a label ends with the tokens that training has before it."""
    for row in data.trainable():
        events = data.rows[row][: data.train_ends[row]]
        for first, (tokens, labels) in enumerate(data.windows(row)):
            for position, label in enumerate(labels):
                if label in (PAD, END):
                    continue
                n_events = first + position + 1 - data.start
                prompt, last = data.layout.prompts(Ragged.from_rows([events[:n_events]]))
                expected = tokens[: position + 1]
                # Otherwise the prompt contains more events than this window.
                if last[0] == position:
                    assert prompt[0].tolist() == pad(expected, data.context)
                assert prompt[0, : last[0] + 1].tolist()[-len(expected) :] == expected
                assert label == (UNK if events[n_events] >= VOCABULARY_SIZE else events[n_events])


@given(data=random_data())
def test_prompts_contain_the_end_of_the_history(data):
    prompts, last = data.layout.prompts(Ragged.from_rows(data.rows))
    assert prompts.shape == (len(data.rows), data.context)
    assert prompts.dtype == last.dtype == np.int32
    for row, prompt, last_position in zip(data.rows, prompts.tolist(), last, strict=True):
        items = [UNK if item >= VOCABULARY_SIZE else item for item in row]
        tokens = ([START] * data.start + items)[-data.context :]
        assert prompt == pad(tokens, data.context)
        assert last_position == max(len(tokens) - 1, 0)
        assert END not in prompt


def test_empty_history():
    for start, first in [(True, START), (False, PAD)]:
        prompts, last = PromptLayout(3, VOCABULARY_SIZE, start, end=True).prompts(
            Ragged.from_rows([[]])
        )
        assert prompts.tolist() == [[first, PAD, PAD]]
        assert last.tolist() == [0]


@given(data=random_data())
def test_n_truncated_counts_the_events_that_are_cut_off(data):
    prompts, _ = data.layout.prompts(Ragged.from_rows(data.rows))
    for row, prompt in zip(data.rows, prompts, strict=True):
        assert data.layout.n_truncated(len(row)) == len(row) - np.count_nonzero(prompt > END)


# --- left padding ---


@given(data=random_data())
def test_left_padding_pads_short_prompts_with_start(data):
    layout = replace(data.layout, left_padding=True)
    prompts, last = layout.prompts(Ragged.from_rows(data.rows))
    assert last.tolist() == [data.context - 1] * len(data.rows)
    for row, prompt in zip(data.rows, prompts.tolist(), strict=True):
        items = [UNK if item >= VOCABULARY_SIZE else item for item in row][-data.context :]
        assert prompt == [START] * (data.context - len(items)) + items
