"""``PromptLayout``: histories to model input, with special tokens, truncation and padding.

A sequence becomes the tokens START, its events, END (START and END where the model uses them).
Only a window of them is kept, by default the last ``context`` tokens. Items outside the catalogue
become UNK.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int32, Int64

from segue.ragged import Ragged, rows_at
from segue.tokens import END, PAD, START, UNK


@dataclass(frozen=True)
class PromptLayout:
    """The layout of a model's input, the same in training, evaluation and serving.

    Attributes:
        context: input length in tokens.
        vocabulary_size: special tokens and catalogue items; larger indices become UNK.
        start: whether sequences begin with START, so that an empty history has a prompt.
        end: whether sequences end with END, in training only.
        left_padding: whether a short prompt is padded on the left with START, instead of on
            the right with PAD.
        step: number of tokens by which the window moves once a sequence is longer than the
            context. With 1 it is the last ``context`` tokens; with more, the window stays the
            same for several events, and has between ``context - step + 1`` and ``context`` tokens.
    """

    context: int
    vocabulary_size: int
    start: bool
    end: bool
    left_padding: bool = False
    step: int = 1

    def first_tokens(self, lengths: Int64[np.ndarray, " batch"]) -> Int64[np.ndarray, " batch"]:
        """The first token of the window of histories of so many events, by their length alone."""
        beyond = np.maximum(lengths + int(self.start) - self.context, 0)
        return -(-beyond // self.step) * self.step

    def tokens(
        self,
        items: Int32[np.ndarray, " events"],
        row_starts: Int64[np.ndarray, " batch"],
        lengths: Int64[np.ndarray, " batch"],
        first: Int64[np.ndarray, " batch"],
        width: int,
    ) -> Int32[np.ndarray, "batch width"]:
        """The ``width`` tokens of each sequence from token ``first`` on, as one array.

        Args:
            items: item indices of all sequences, stored end to end.
            row_starts: where each sequence starts in ``items``.
            lengths: number of events of each sequence.
            first: index of the first token; may be negative. Token 0 is START if the layout
                begins with START, else the first event. Before the first token and after the
                last one there is PAD.
            width: number of tokens per sequence.
        """
        positions = self.event_positions(first, width)
        tokens = rows_at(items, row_starts, lengths, positions, PAD)
        tokens[tokens >= self.vocabulary_size] = UNK
        if self.start:
            tokens[positions == -1] = START
        if self.end:
            tokens[positions == lengths[:, None]] = END
        return tokens

    def event_positions(
        self, first: Int64[np.ndarray, " batch"], width: int
    ) -> Int64[np.ndarray, "batch width"]:
        """The position of each token's event in its row, from 0; -1 for START."""
        return first[:, None] + np.arange(width) - int(self.start)

    def prompts(
        self, histories: Ragged
    ) -> tuple[Int32[np.ndarray, "batch length"], Int32[np.ndarray, " batch"]]:
        """Model input for predicting the next item of each history; see ``prompts_of_spans``."""
        row_starts = histories.offsets[:-1]
        return self.prompts_of_spans(histories.values, row_starts, np.diff(histories.offsets))

    def prompts_of_spans(
        self,
        items: Int32[np.ndarray, " events"],
        row_starts: Int64[np.ndarray, " batch"],
        lengths: Int64[np.ndarray, " batch"],
    ) -> tuple[Int32[np.ndarray, "batch length"], Int32[np.ndarray, " batch"]]:
        """Model input for predicting the item after each span of ``items``.

        Row ``i`` is the span of ``lengths[i]`` events from ``row_starts[i]`` on.

        Returns:
            The tokens, and the position of the last token of each row, whose hidden state
            predicts the next item. An empty span gives START alone, or only PAD (position 0)
            if the model does not use START.
        """
        if self.left_padding:
            first = lengths + int(self.start) - self.context
        else:
            first = self.first_tokens(lengths)
        layout = replace(self, end=False)
        tokens = layout.tokens(items, row_starts, lengths, first, self.context)
        if self.left_padding:
            tokens[tokens == PAD] = START
        last_positions = np.maximum(lengths + int(self.start) - first - 1, 0)
        return tokens, last_positions.astype(np.int32)

    def n_truncated(self, length: int) -> int:
        """Number of events that are cut off a history of ``length`` events."""
        # As in ``first_tokens``, in integers: it is computed for every answer of a server.
        beyond = max(length + int(self.start) - self.context, 0)
        return max(-(-beyond // self.step) * self.step - int(self.start), 0)
